//! What a sandbox wants to reach.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A DNS name in the one form in which names are compared: ASCII, lower case, no trailing dot.
///
/// `policy::normalise` makes these from what people type; this type only guarantees the form (RFC 1035 section 2.3.4
/// lengths; letters, digits, `-` and `_`, the last for names such as `_dmarc`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(Box<str>);

/// Why a text is not a normalised DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostName {
    /// Nothing there.
    #[error("a host name cannot be empty")]
    Empty,
    /// More than 253 bytes.
    #[error("a host name has at most 253 bytes (RFC 1035), this one has {0}")]
    TooLong(usize),
    /// Two dots in a row, or a dot in front.
    #[error("a label between two dots is empty")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("the label {0:?} has more than 63 bytes (RFC 1035)")]
    LongLabel(String),
    /// A byte that no normalised name has.
    #[error("{0:?} is not allowed in a host name")]
    Character(char),
    /// The last label is a number, so that URL parsers take the name for an IPv4 address (WHATWG URL, "ends in a number").
    #[error("a name whose last label is a number is read as an IPv4 address by some programs")]
    NumericEnd,
}

impl HostName {
    /// The most bytes a name may have, without the trailing dot (RFC 1035 section 2.3.4).
    pub const MAX_BYTES: usize = 253;

    /// Takes a name that is already in normal form.
    ///
    /// # Errors
    ///
    /// Names the first rule that `text` breaks.
    pub fn from_normalised(text: &str) -> Result<Self, InvalidHostName> {
        if text.is_empty() {
            return Err(InvalidHostName::Empty);
        }
        if let Some(c) = text
            .chars()
            .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.'))
        {
            return Err(InvalidHostName::Character(c));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidHostName::TooLong(text.len()));
        }
        for label in text.split('.') {
            if label.is_empty() {
                return Err(InvalidHostName::EmptyLabel);
            }
            if label.len() > 63 {
                return Err(InvalidHostName::LongLabel(label.to_owned()));
            }
        }
        let last = text.rsplit('.').next().unwrap_or(text);
        if last.bytes().all(|b| b.is_ascii_digit()) || is_hexadecimal_number(last) {
            return Err(InvalidHostName::NumericEnd);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `0x7f`, which the WHATWG URL parser (and inet_aton) reads as a number.
fn is_hexadecimal_number(label: &str) -> bool {
    label
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl TryFrom<String> for HostName {
    type Error = InvalidHostName;

    fn try_from(text: String) -> Result<Self, InvalidHostName> {
        Self::from_normalised(&text)
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name or an address literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// A DNS name.
    Name(HostName),
    /// An address that was given as such.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// A relayed TCP connection.
    Tcp,
    /// A datagram that is not a DNS query: never relayed.
    Udp,
    /// A DNS query: the name that was asked for.
    Dns,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Dns => "dns",
        })
    }
}

/// What a sandbox wants to reach: host, port and protocol.
///
/// A DNS question has no port yet; it is asked with port 0, which means "any port that a rule names".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Destination {
    /// The name or address.
    pub host: Host,
    /// The port, or 0 in a DNS question.
    pub port: u16,
    /// What carries the bytes.
    pub protocol: Protocol,
}

impl Destination {
    /// A TCP connection to a name.
    pub fn tcp_name(name: HostName, port: u16) -> Self {
        Self {
            host: Host::Name(name),
            port,
            protocol: Protocol::Tcp,
        }
    }

    /// A TCP connection to an address literal.
    pub fn tcp_address(address: IpAddr, port: u16) -> Self {
        Self {
            host: Host::Address(address),
            port,
            protocol: Protocol::Tcp,
        }
    }

    /// A DNS question for a name.
    pub fn dns(name: HostName) -> Self {
        Self {
            host: Host::Name(name),
            port: 0,
            protocol: Protocol::Dns,
        }
    }
}

/// `name:port`, `1.2.3.4:port`, `[2001:db8::1]:port`; without the port where there is none.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, 0) => host.fmt(f),
            (Host::Address(IpAddr::V6(address)), port) => write!(f, "[{address}]:{port}"),
            (host, port) => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_normal_form_is_a_host_name() {
        for good in [
            "example.com",
            "a",
            "_dmarc.example.com",
            "xn--bcher-kva.example",
            "1.2.3.4.example",
        ] {
            assert_eq!(HostName::from_normalised(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "a..b",
            "a.",
            ".a",
            "Example.com",
            "evil\0.com",
            "a b",
            "1.2.3.4",
            "example.0x7f",
            "[::1]",
            "bücher.example",
        ] {
            assert!(HostName::from_normalised(bad).is_err(), "{bad:?} was taken");
        }
        assert!(HostName::from_normalised(&format!("{}.com", "a".repeat(64))).is_err());
        assert!(HostName::from_normalised(&vec!["abc"; 64].join(".")).is_err());
    }

    #[test]
    fn a_destination_prints_as_people_type_it() {
        let name = HostName::from_normalised("example.com").unwrap();
        assert_eq!(
            Destination::tcp_name(name.clone(), 443).to_string(),
            "example.com:443"
        );
        assert_eq!(Destination::dns(name).to_string(), "example.com");
        assert_eq!(
            Destination::tcp_address("::1".parse().unwrap(), 1).to_string(),
            "[::1]:1"
        );
    }
}
