//! Destinations as people type them: names, URLs, addresses.

use std::net::{IpAddr, Ipv6Addr};

use bailiwick_model::{Destination, Host, Protocol};

use crate::host::{HostError, loose_address, normalise_host};
use crate::ports::{PortsError, parse_port};

/// Why a text is not a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// `127.1`, `0x7f.0.0.1`, `2130706433`.
    #[error("some programs read this as an address; write {0}")]
    OddAddress(IpAddr),
    /// `fe80::1%eth0`.
    #[error("an address with a zone is of one link of one machine; leave out `%` and what follows")]
    Zone,
    /// A `[` without its `]`, or something other than a port after it.
    #[error("in brackets there is an IPv6 address, and after them nothing or `:PORT`")]
    Brackets,
    /// A URL whose scheme has no known port and that names none.
    #[error("the port of `{0}:` is not known; add it, as in `{0}://example.com:443/`")]
    UnknownScheme(String),
    /// A backslash in a URL, which some programs read as `/`.
    #[error("programs differ in how they read `\\` in a URL; write `/`")]
    Backslash,
    /// What follows the colon is not a port.
    #[error(transparent)]
    Port(#[from] PortsError),
    /// Neither an address nor a host name.
    #[error(transparent)]
    Host(HostError),
}

/// Default ports of URL schemes: the WHATWG URL standard, and what the programs behind the others use.
const SCHEMES: &[(&str, u16)] = &[
    ("http", 80),
    ("https", 443),
    ("ws", 80),
    ("wss", 443),
    ("ftp", 21),
    ("ssh", 22),
    ("git", 9418),
    ("smtp", 25),
    ("ldap", 389),
    ("ldaps", 636),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("mysql", 3306),
    ("redis", 6379),
    ("rediss", 6379),
    ("mongodb", 27017),
    ("amqp", 5672),
    ("amqps", 5671),
    ("nats", 4222),
];

/// Reads `example.com`, `example.com:5432`, `https://example.com/path`, `192.0.2.7`, `192.0.2.7:22`, `2001:db8::7`,
/// `[2001:db8::7]:443`. A URL has the port of its scheme.
///
/// Without a port the result is a question ([`Protocol::Dns`], port 0): may this host be reached at all, on any port?
///
/// # Errors
///
/// Says what is wrong, or which form to write.
pub fn parse_destination(text: &str) -> Result<Destination, DestinationError> {
    let (authority, default_port) = match text.split_once("://") {
        Some((scheme, rest)) => (authority(rest)?, Some(scheme)),
        None => (text, None),
    };
    let (host, port) = host_and_port(authority)?;
    let port = match (port, default_port) {
        (Some(port), _) => port,
        (None, None) => 0,
        (None, Some(scheme)) => scheme_port(scheme)?,
    };
    let protocol = if port == 0 {
        Protocol::Dns
    } else {
        Protocol::Tcp
    };
    Ok(Destination {
        host,
        port,
        protocol,
    })
}

fn scheme_port(scheme: &str) -> Result<u16, DestinationError> {
    let known = SCHEMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(scheme));
    known
        .map(|(_, port)| *port)
        .ok_or_else(|| DestinationError::UnknownScheme(scheme.to_owned()))
}

/// The host and port of a URL, from what follows `://` (RFC 3986 section 3.2).
fn authority(rest: &str) -> Result<&str, DestinationError> {
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    if rest[end..].starts_with('\\') {
        return Err(DestinationError::Backslash);
    }
    let authority = &rest[..end];
    Ok(authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host))
}

fn host_and_port(text: &str) -> Result<(Host, Option<u16>), DestinationError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((Host::Address(address.to_canonical()), None));
    }
    if text
        .split_once('%')
        .is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
    {
        return Err(DestinationError::Zone);
    }
    if let Some(rest) = text.strip_prefix('[') {
        return bracketed(rest);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let host = plain_host(host)?;
    Ok((host, port.map(parse_port).transpose()?))
}

fn bracketed(rest: &str) -> Result<(Host, Option<u16>), DestinationError> {
    let (address, after) = rest.split_once(']').ok_or(DestinationError::Brackets)?;
    if address.contains('%') {
        return Err(DestinationError::Zone);
    }
    let address: Ipv6Addr = address.parse().map_err(|_| DestinationError::Brackets)?;
    let port = match after.strip_prefix(':') {
        Some(port) => Some(parse_port(port)?),
        None if after.is_empty() => None,
        None => return Err(DestinationError::Brackets),
    };
    Ok((Host::Address(IpAddr::V6(address).to_canonical()), port))
}

fn plain_host(text: &str) -> Result<Host, DestinationError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Address(address.to_canonical()));
    }
    if let Some(address) = loose_address(text.strip_suffix('.').unwrap_or(text)) {
        return Err(DestinationError::OddAddress(address));
    }
    match normalise_host(text) {
        Ok(name) => Ok(Host::Name(name)),
        Err(HostError::Address(address)) => Err(DestinationError::OddAddress(address)),
        Err(error) => Err(DestinationError::Host(error)),
    }
}
