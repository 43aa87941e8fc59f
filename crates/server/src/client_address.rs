//! Where a request came from: the other end of its connection, or what proxies that are trusted say of it.
//!
//! Each proxy adds whom it was asked by at the right, and hands on what was there, which anybody may have written. So the entries are believed from
//! the right as long as those who added them are trusted, and no further.

use std::net::IpAddr;

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The older of the two headers.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Networks of proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    fn have(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whose request it is that came from `peer`. If both headers are there and do not say the same, one of them is not of a proxy that is
    /// trusted, and which cannot be known.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.have(peer) {
            return peer;
        }
        let said = |name, read| self.last_believed(peer, headers, name, read);
        let said = (
            said(&FORWARDED, in_forwarded as fn(&str) -> Option<IpAddr>),
            said(&X_FORWARDED_FOR, node as fn(&str) -> Option<IpAddr>),
        );
        match said {
            (None, None) => peer,
            (Some(client), None) | (None, Some(client)) => client,
            (Some(one), Some(other)) if one == other => one,
            (Some(_), Some(_)) => peer,
        }
    }

    /// The left-most address that was added by somebody who is trusted; `None` without the header.
    fn last_believed(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        name: &HeaderName,
        read: fn(&str) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        if lines.is_empty() {
            return None;
        }
        let entries = lines
            .into_iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or("unreadable").rsplit(','));
        let mut believed = peer;
        for entry in entries {
            if !self.have(believed) {
                break;
            }
            let Some(address) = read(entry.trim()) else {
                break;
            };
            believed = address;
        }
        Some(believed)
    }
}

/// One element of `Forwarded` (RFC 7239, section 4). Elements are told apart by commas wherever they stand, so that a quotation mark of somebody
/// who is not trusted cannot swallow what a proxy adds; what is left of an element that has one inside is none.
fn in_forwarded(element: &str) -> Option<IpAddr> {
    let mut client = None;
    for pair in element.split(';').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.trim().split_once('=')?;
        let value = unquoted(value)?;
        if name.eq_ignore_ascii_case("for") && client.replace(value).is_some() {
            return None;
        }
    }
    node(client?)
}

/// A value that is a token, or quoted; none that is looked at has anything to escape.
fn unquoted(value: &str) -> Option<&str> {
    let is_token = |text: &str| {
        let is_plain =
            |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
        !text.is_empty() && text.bytes().all(is_plain)
    };
    match value.strip_prefix('"') {
        None => Some(value).filter(|value| is_token(value)),
        Some(rest) => rest
            .strip_suffix('"')
            .filter(|inner| !inner.contains(['"', '\\'])),
    }
}

/// An address, with a port or without. `unknown` and names that hide one are none.
fn node(text: &str) -> Option<IpAddr> {
    let is_port = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !text.is_empty() && text.bytes().all(is_plain)
    };
    let address: IpAddr = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(address.parse().ok()?)
    } else if let Ok(address) = text.parse() {
        address
    } else {
        let (address, port) = text.split_once(':').filter(|(_, port)| is_port(port))?;
        IpAddr::V4(address.parse().ok().filter(|_| !port.is_empty())?)
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Proxies at 10.0.0.0/8 and fd00::/8, one of which asks.
    fn client(headers: &[(HeaderName, &str)]) -> String {
        client_of("10.0.0.1", headers)
    }

    fn client_of(peer: &str, headers: &[(HeaderName, &str)]) -> String {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let proxies: TrustedProxies = proxies.into_iter().collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &map).to_string()
    }

    fn both(list: &str, forwarded: &str, expected: &str) {
        assert_eq!(client(&[(X_FORWARDED_FOR, list)]), expected, "{list}");
        assert_eq!(client(&[(FORWARDED, forwarded)]), expected, "{forwarded}");
    }

    #[test]
    fn a_proxy_says_who_asked_it_in_every_form_that_an_address_has() {
        both("192.0.2.1", "for=192.0.2.1", "192.0.2.1");
        both("192.0.2.1:4711", "for=\"192.0.2.1:4711\"", "192.0.2.1");
        both(
            "[2001:db8::7]:4711",
            "For=\"[2001:db8::7]:4711\"",
            "2001:db8::7",
        );
        both(
            "[2001:db8::7]",
            "for=\"[2001:DB8::7]\";proto=https",
            "2001:db8::7",
        );
        both(
            "2001:db8::7",
            "by=10.0.0.1;for=\"[2001:db8::7]:_a.b\"",
            "2001:db8::7",
        );
        both(
            "::ffff:192.0.2.1",
            "for=\"[::ffff:192.0.2.1]\"",
            "192.0.2.1",
        );
        both(" 192.0.2.1 ", " FOR=192.0.2.1 ; proto=http ", "192.0.2.1");
    }

    #[test]
    fn nobody_else_says_where_they_come_from() {
        for peer in ["192.0.2.9", "2001:db8::9", "11.0.0.1", "::ffff:192.0.2.9"] {
            let spoofed = [
                (X_FORWARDED_FOR, "198.51.100.1"),
                (FORWARDED, "for=198.51.100.1"),
            ];
            let found = client_of(peer, &spoofed);
            assert_eq!(found, peer.trim_start_matches("::ffff:"));
        }
        // The control, also over a socket of IPv6.
        let said = [(X_FORWARDED_FOR, "198.51.100.1")];
        assert_eq!(client_of("::ffff:10.1.2.3", &said), "198.51.100.1");
        assert_eq!(client_of("fd00::1", &said), "198.51.100.1");
    }

    #[test]
    fn what_was_there_before_a_proxy_added_something_is_not_believed() {
        both(
            "198.51.100.1, 192.0.2.1",
            "for=198.51.100.1, for=192.0.2.1",
            "192.0.2.1",
        );
        both(
            "10.9.9.9, 192.0.2.1",
            "for=10.9.9.9,for=192.0.2.1",
            "192.0.2.1",
        );
        both("garbage, 192.0.2.1", "garbage, for=192.0.2.1", "192.0.2.1");
        both(
            "\", 192.0.2.1",
            "for=\"198.51.100.1, for=192.0.2.1",
            "192.0.2.1",
        );
        let lines = [
            (X_FORWARDED_FOR, "198.51.100.1"),
            (X_FORWARDED_FOR, "192.0.2.1"),
        ];
        assert_eq!(client(&lines), "192.0.2.1");
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_its_beginning() {
        both(
            "198.51.100.1, 192.0.2.1, 10.0.0.3, 10.0.0.2",
            "for=198.51.100.1, for=192.0.2.1, for=10.0.0.3;by=10.0.0.2, for=10.0.0.2",
            "192.0.2.1",
        );
        both(
            "10.0.0.3, 10.0.0.2",
            "for=10.0.0.3, for=10.0.0.2",
            "10.0.0.3",
        );
        both(
            "192.0.2.1,[fd00::2]:80",
            "for=192.0.2.1,for=\"[fd00::2]:80\"",
            "192.0.2.1",
        );
    }

    #[test]
    fn what_is_no_address_ends_what_is_believed() {
        for garbage in [
            "",
            "unknown",
            "_hidden",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "192.0.2.1:",
            "192.0.2.1:a b",
            "[2001:db8::7",
            "2001:db8::7]",
            "[192.0.2.1]",
            "[2001:db8::7]x",
            "[2001:db8::7]:",
            "fe80::1%eth0",
            "http://192.0.2.1",
            "0x7f000001",
            "2130706433",
            "192.0.2.1/32",
        ] {
            let forwarded = format!("for=\"{garbage}\"");
            both(garbage, &forwarded, "10.0.0.1");
            both(
                &format!("192.0.2.1, {garbage}"),
                &format!("for=192.0.2.1, {forwarded}"),
                "10.0.0.1",
            );
            both(
                &format!("{garbage}, 10.0.0.2"),
                &format!("{forwarded}, for=10.0.0.2"),
                "10.0.0.2",
            );
        }
        for forwarded in [
            "for=192.0.2.1;for=198.51.100.1",
            "for",
            "proto=https",
            "for=192.0.2.1;x=\"",
            "for=192.0.2.1:80",
            "for=[2001:db8::7]",
            "for=10.0.0.2;host=\"a, for=192.0.2.1;x=\"",
            "for=10.0.0.2;host=\"a\\\", for=192.0.2.1;x=\\\"\"",
        ] {
            assert_eq!(client(&[(FORWARDED, forwarded)]), "10.0.0.1", "{forwarded}");
        }
    }

    #[test]
    fn two_headers_that_disagree_say_nothing() {
        let disagree = [
            (X_FORWARDED_FOR, "192.0.2.1"),
            (FORWARDED, "for=198.51.100.1"),
        ];
        assert_eq!(client(&disagree), "10.0.0.1");
        let agree = [
            (X_FORWARDED_FOR, "198.51.100.9, 192.0.2.1"),
            (FORWARDED, "for=192.0.2.1"),
        ];
        assert_eq!(client(&agree), "192.0.2.1");
        assert_eq!(client(&[]), "10.0.0.1");
    }
}
