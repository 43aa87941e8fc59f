//! To which hosts a secret goes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use bailiwick_model::{Destination, Host};

use crate::{HostPattern, HostPatternError};

/// To which hosts a secret goes. No rule of it opens anything: the policy decides that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialHosts {
    /// To every host that the policy allows.
    Unrestricted,
    /// To these; to none if there are none.
    Limited(Vec<CredentialHost>),
}

impl CredentialHosts {
    /// Whether the secret goes to this destination.
    pub fn contain(&self, destination: &Destination) -> bool {
        match self {
            Self::Unrestricted => true,
            Self::Limited(hosts) => hosts.iter().any(|host| host.contains(destination)),
        }
    }
}

/// A name, `*.` and a name, or an IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialHost {
    /// As in host rules; a wildcard does not contain its apex.
    Name(HostPattern),
    /// The address itself, and no name that leads to it.
    Address(Ipv4Addr),
}

/// Why a text is no host of a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialHostError {
    /// An IPv6 address, or a block of addresses.
    #[error("of addresses only single IPv4 addresses can be hosts of a credential")]
    Address,
    /// Not a name.
    #[error(transparent)]
    Name(HostPatternError),
}

impl CredentialHost {
    /// Whether it is about this destination.
    pub fn contains(&self, destination: &Destination) -> bool {
        match (self, &destination.host) {
            (Self::Name(pattern), Host::Name(name)) => {
                pattern.matches(name) && pattern.ports().contains(destination.port)
            }
            (Self::Address(own), Host::Address(address)) => {
                address.to_canonical() == IpAddr::V4(*own)
            }
            (Self::Name(_), Host::Address(_)) | (Self::Address(_), Host::Name(_)) => false,
        }
    }
}

impl FromStr for CredentialHost {
    type Err = CredentialHostError;

    fn from_str(text: &str) -> Result<Self, CredentialHostError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        text.parse()
            .map(Self::Name)
            .map_err(|error: HostPatternError| {
                if matches!(
                    error,
                    HostPatternError::Address { .. } | HostPatternError::Block { .. }
                ) {
                    CredentialHostError::Address
                } else {
                    CredentialHostError::Name(error)
                }
            })
    }
}

impl fmt::Display for CredentialHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(pattern) => pattern.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}
