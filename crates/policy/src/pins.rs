//! Names that the operator pinned to addresses.

use std::net::IpAddr;
use std::str::FromStr;

use bailiwick_model::HostName;

use crate::host::{HostError, normalise_host};
use crate::ports::{PortsError, parse_port};

/// One `--resolve NAME=ADDR[:PORT]`: the name has this address, for connections to this port (or to every port).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pin {
    /// The name that is pinned.
    pub name: HostName,
    /// Where it leads.
    pub address: IpAddr,
    /// The only port of the name that the pin is about; every port if absent. It is also the port that is dialled.
    pub port: Option<u16>,
}

/// Why a text is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// No `=`.
    #[error("write NAME=ADDR or NAME=ADDR:PORT")]
    NoEquals,
    /// The name is not one.
    #[error("the name: {0}")]
    Name(#[from] HostError),
    /// What follows `=` does not start with an address.
    #[error(
        "{0:?} is not an address; write for example 192.0.2.7, 192.0.2.7:443 or [2001:db8::7]:443"
    )]
    Address(String),
    /// What follows the address is not a port.
    #[error(transparent)]
    Port(#[from] PortsError),
    /// The host's loopback is opened for one port at a time.
    #[error("a name pinned to loopback needs the port: {name}={address}:PORT")]
    LoopbackWithoutPort {
        /// The name.
        name: HostName,
        /// The loopback address, in brackets if it is IPv6.
        address: String,
    },
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let (name, target) = text.split_once('=').ok_or(PinError::NoEquals)?;
        let name = normalise_host(name)?;
        let (address, port) = parse_target(target)?;
        match (address.is_loopback(), port) {
            (true, None) => {
                let address = if address.is_ipv6() {
                    format!("[{address}]")
                } else {
                    address.to_string()
                };
                Err(PinError::LoopbackWithoutPort { name, address })
            }
            (true, Some(_)) | (false, _) => Ok(Self {
                name,
                address,
                port,
            }),
        }
    }
}

fn parse_target(text: &str) -> Result<(IpAddr, Option<u16>), PinError> {
    let refused = || PinError::Address(text.to_owned());
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address.to_canonical(), None));
    }
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or_else(refused)?;
            (
                address,
                if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':').ok_or_else(refused)?)
                },
            )
        }
        None => text
            .split_once(':')
            .map(|(address, port)| (address, Some(port)))
            .ok_or_else(refused)?,
    };
    let address: IpAddr = address.parse().map_err(|_| refused())?;
    Ok((address.to_canonical(), port.map(parse_port).transpose()?))
}

/// All pins of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(Vec<Pin>);

impl Pins {
    /// No pins.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.0.iter()
    }

    /// The addresses that a connection to `name` and `port` leads to, in the order in which they were given; nothing if
    /// the name is not pinned for that port, and then it is resolved as usual.
    pub fn addresses(&self, name: &HostName, port: u16) -> impl Iterator<Item = IpAddr> {
        self.0
            .iter()
            .filter(move |pin| pin.name == *name && pin.port.is_none_or(|only| only == port))
            .map(|pin| pin.address)
    }
}

impl FromIterator<Pin> for Pins {
    fn from_iter<I: IntoIterator<Item = Pin>>(pins: I) -> Self {
        Self(pins.into_iter().collect())
    }
}
