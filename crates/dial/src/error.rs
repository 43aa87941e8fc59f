//! What can go wrong on the way out.

use std::io;
use std::sync::Arc;

use bailiwick_model::{Decision, Reason};
use rustix::io::Errno;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The policy denies the destination, or an address that it resolved to.
    #[error("denied: {}", .0.reason)]
    Denied(Decision),
    /// The name does not exist, or has no address.
    #[error("the name does not resolve")]
    NameNotFound,
    /// The destination is allowed, but cannot be reached.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

impl DialError {
    /// The reason code that a flow of this error carries.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Denied(decision) => decision.reason,
            Self::NameNotFound => Reason::NameNotFound,
            Self::Unreachable(_) => Reason::Unreachable,
        }
    }

    /// Whether the policy allowed the destination with all its addresses, so that the network alone is in the way. False where its addresses
    /// did not become known: nobody can tell then.
    pub fn is_allowed(&self) -> bool {
        match self {
            Self::Denied(_) | Self::NameNotFound => false,
            Self::Unreachable(why) => match why {
                Unreachable::Refused
                | Unreachable::Network(_)
                | Unreachable::ProxyStatus(_)
                | Unreachable::ProxyProtocol => true,
                // The time is for resolving and connecting together.
                Unreachable::Timeout | Unreachable::Resolver(_) => false,
            },
        }
    }
}

/// Why an allowed destination cannot be reached.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unreachable {
    /// The destination refused the connection.
    #[error("the connection was refused")]
    Refused,
    /// Nothing answered in time.
    #[error("nothing answered in time")]
    Timeout,
    /// The network, or this machine, could not make the connection.
    #[error("the network: {0}")]
    Network(#[source] Arc<io::Error>),
    /// The servers in `resolv.conf` do not answer.
    #[error("the resolver of this machine: {0}")]
    Resolver(#[from] LookupError),
    /// The upstream proxy answered with this status.
    #[error("the upstream proxy answered {0}")]
    ProxyStatus(u16),
    /// The upstream proxy did not answer in HTTP.
    #[error("the upstream proxy did not answer as an HTTP proxy")]
    ProxyProtocol,
}

impl From<io::Error> for Unreachable {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::CONNREFUSED) => Self::Refused,
            Some(Errno::TIMEDOUT) => Self::Timeout,
            Some(_) | None => Self::Network(Arc::new(error)),
        }
    }
}

impl From<Errno> for Unreachable {
    fn from(errno: Errno) -> Self {
        io::Error::from(errno).into()
    }
}

/// Why a DNS look-up gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    /// The name does not exist (NXDOMAIN).
    #[error("the name does not exist")]
    NoSuchName,
    /// The name exists and has no record of the type.
    #[error("the name has no such record")]
    NoSuchRecord,
    /// The host's resolver configuration cannot be used.
    #[error("resolv.conf: {0}")]
    Configuration(#[source] hickory_resolver::net::NetError),
    /// The name servers do not answer, or answer with a failure.
    #[error("{0}")]
    Failed(#[source] hickory_resolver::net::NetError),
}
