//! Does a text that a client sent name the destination of its connection? `policy` normalises; this only takes apart.

use bailiwick_model::{Host, HostName};

use super::http::RequestViolation;

/// True when `text` is `name` in any of its ASCII spellings. On the wire nothing else is a name (RFC 6066 section 3,
/// RFC 3986 section 3.2.2), and what a server makes of other bytes is not known.
pub(crate) fn same_name(text: &[u8], name: &HostName) -> bool {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.is_ascii());
    text.is_some_and(|text| {
        text == name.as_str()
            || bailiwick_policy::normalise_host(text).is_ok_and(|host| host == *name)
    })
}

/// True when `text` is `host` or `host:port` of the destination. An IPv6 address is in brackets.
pub(crate) fn names_destination(text: &[u8], host: &Host, port: u16) -> bool {
    match host {
        Host::Name(name) => authority(text, name, port, false).is_ok(),
        Host::Address(address) => {
            let host = match address {
                std::net::IpAddr::V4(address) => address.to_string(),
                std::net::IpAddr::V6(address) => format!("[{address}]"),
            };
            text == host.as_bytes() || text == format!("{host}:{port}").as_bytes()
        }
    }
}

/// Checks `host` or `host:port` (RFC 3986 section 3.2; user information is refused with everything else).
pub(super) fn authority(
    text: &[u8],
    name: &HostName,
    port: u16,
    needs_port: bool,
) -> Result<(), RequestViolation> {
    let other = || RequestViolation::OtherHost(String::from_utf8_lossy(text).into_owned());
    let (host, written_port) = match text.iter().position(|&b| b == b':') {
        Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
        None => (text, None),
    };
    let port_agrees = match written_port {
        Some(digits) => digits == port.to_string().as_bytes(),
        None => !needs_port,
    };
    if port_agrees && same_name(host, name) {
        Ok(())
    } else {
        Err(other())
    }
}
