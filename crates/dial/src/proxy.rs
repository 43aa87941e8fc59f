//! The proxy between this machine and the network, from the variables that people set for it.
//!
//! Only tunnels (HTTP CONNECT) are used: a proxy that sees requests would see more than it needs.

use std::fmt;
use std::net::IpAddr;

use bailiwick_model::{Destination, Host};
use bailiwick_policy::normalise_host;
use serde::{Deserialize, Serialize};
use url::Url;

/// The URL of an HTTP proxy: `http://user:password@host:port`.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    host: Host,
    port: u16,
    authorization: Option<String>,
}

/// Why a text is not the URL of a proxy that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// Not a URL.
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
    /// Another scheme than `http`: TLS to the proxy and SOCKS are not spoken.
    #[error("the scheme {0:?} is not supported for a proxy; only http (CONNECT) is")]
    Scheme(String),
    /// No host, or one that is not a name.
    #[error("the proxy's host is not a name or an address")]
    Host,
}

impl ProxyUrl {
    /// Reads a URL; without a scheme `http://` is meant, as in curl.
    ///
    /// # Errors
    ///
    /// Says what cannot be used.
    pub fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let url = if text.contains("://") {
            Url::parse(text)?
        } else {
            Url::parse(&format!("http://{text}"))?
        };
        if url.scheme() != "http" {
            return Err(ProxyUrlError::Scheme(url.scheme().to_owned()));
        }
        let host = match url.host() {
            Some(url::Host::Ipv4(address)) => Host::Address(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Host::Address(IpAddr::V6(address)),
            Some(url::Host::Domain(name)) => {
                Host::Name(normalise_host(name).map_err(|_| ProxyUrlError::Host)?)
            }
            None => return Err(ProxyUrlError::Host),
        };
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let user = percent_decoded(url.username());
            let password = percent_decoded(url.password().unwrap_or_default());
            base64(&[&user[..], b":", &password].concat())
        });
        Ok(Self {
            host,
            port: url.port().unwrap_or(80),
            authorization,
        })
    }

    /// Where the proxy is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port of the proxy.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The credentials of the `Basic` scheme (RFC 7617), encoded.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

/// The password is never printed.
impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.authorization.is_some() {
            "***@"
        } else {
            ""
        };
        match &self.host {
            Host::Address(IpAddr::V6(address)) => {
                write!(f, "http://{user}[{address}]:{}", self.port)
            }
            host @ (Host::Address(_) | Host::Name(_)) => {
                write!(f, "http://{user}{host}:{}", self.port)
            }
        }
    }
}

/// The values of the proxy variables, as the process found them. Nothing here reads the environment.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ProxyVariables {
    /// `https_proxy` or `HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `http_proxy` or `HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `all_proxy` or `ALL_PROXY`.
    pub all_proxy: Option<String>,
    /// `no_proxy` or `NO_PROXY`.
    pub no_proxy: Option<String>,
}

/// A proxy, and the destinations that go past it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    url: ProxyUrl,
    no_proxy: Vec<Exception>,
}

/// One entry of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    /// `*`
    Everything,
    /// A name and everything below it; `.example.com` means the same.
    Name(String, Option<u16>),
    /// An address.
    Address(IpAddr),
    /// A block, as in Go and Python's requests.
    Block(IpAddr, u8),
}

impl ProxySettings {
    /// A proxy for everything.
    pub fn new(url: ProxyUrl) -> Self {
        Self {
            url,
            no_proxy: Vec::new(),
        }
    }

    /// Chooses the one proxy that tunnels are made through: that of HTTPS, else of everything, else of HTTP.
    ///
    /// # Errors
    ///
    /// If the chosen variable does not hold a usable URL. An empty variable counts as unset.
    pub fn from_variables(variables: &ProxyVariables) -> Result<Option<Self>, ProxyUrlError> {
        let chosen = [
            &variables.https_proxy,
            &variables.all_proxy,
            &variables.http_proxy,
        ]
        .into_iter()
        .flatten()
        .find(|value| !value.trim().is_empty());
        let Some(chosen) = chosen else {
            return Ok(None);
        };
        let no_proxy = variables.no_proxy.as_deref().unwrap_or_default();
        let no_proxy = no_proxy
            .split([',', ' '])
            .filter_map(Exception::parse)
            .collect();
        Ok(Some(Self {
            url: ProxyUrl::parse(chosen.trim())?,
            no_proxy,
        }))
    }

    /// Where the proxy is.
    pub fn url(&self) -> &ProxyUrl {
        &self.url
    }

    /// True when connections to `destination` go past the proxy.
    pub fn bypasses(&self, destination: &Destination) -> bool {
        self.no_proxy
            .iter()
            .any(|exception| exception.holds(destination))
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(address));
        }
        if let Some((address, bits)) = text.split_once('/') {
            return Some(Self::Block(address.parse().ok()?, bits.parse().ok()?));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.');
        Some(Self::Name(
            normalise_host(name).ok()?.as_str().to_owned(),
            port,
        ))
    }

    fn holds(&self, destination: &Destination) -> bool {
        match (self, &destination.host) {
            (Self::Everything, _) => true,
            (Self::Name(suffix, port), Host::Name(name)) => {
                let below = name
                    .as_str()
                    .strip_suffix(suffix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && port.is_none_or(|port| port == destination.port)
            }
            (Self::Address(only), Host::Address(address)) => only == address,
            (Self::Block(network, bits), Host::Address(address)) => {
                in_block(*network, *bits, *address)
            }
            (Self::Name(..), Host::Address(_))
            | (Self::Address(_) | Self::Block(..), Host::Name(_)) => false,
        }
    }
}

fn in_block(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (network.to_bits().into(), address.to_bits().into(), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let difference: u128 = network ^ address;
    bits <= width && difference.checked_shr(u32::from(width - bits)).unwrap_or(0) == 0
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match escape.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            None => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    decoded
}

/// RFC 4648 section 4, for one header of at most a few dozen bytes.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - group.len()));
        for position in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * position) & 63).unwrap_or(0);
            text.push(if position <= group.len() {
                char::from(ALPHABET[digit])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(https: &str, no_proxy: &str) -> ProxySettings {
        let variables = ProxyVariables {
            https_proxy: Some(https.to_owned()),
            no_proxy: Some(no_proxy.to_owned()),
            ..ProxyVariables::default()
        };
        ProxySettings::from_variables(&variables).unwrap().unwrap()
    }

    #[test]
    fn a_url_is_read_and_its_password_never_printed() {
        let url = ProxyUrl::parse("http://me:p%40ss@proxy.example:3128").unwrap();
        assert_eq!(url.authorization(), Some("bWU6cEBzcw=="));
        assert_eq!(format!("{url:?}"), "http://***@proxy.example:3128");
        assert_eq!(ProxyUrl::parse("proxy.example").unwrap().port(), 80);
        assert_eq!(
            ProxyUrl::parse("socks5://x:1"),
            Err(ProxyUrlError::Scheme("socks5".to_owned()))
        );
    }

    #[test]
    fn the_proxy_of_https_comes_first_and_an_empty_variable_is_none() {
        let both = ProxyVariables {
            https_proxy: Some(String::new()),
            http_proxy: Some("http://b:2".to_owned()),
            all_proxy: Some("http://a:1".to_owned()),
            no_proxy: None,
        };
        assert_eq!(
            ProxySettings::from_variables(&both)
                .unwrap()
                .unwrap()
                .url()
                .port(),
            1
        );
        assert_eq!(
            ProxySettings::from_variables(&ProxyVariables::default()),
            Ok(None)
        );
    }

    #[test]
    fn no_proxy_holds_names_below_addresses_and_blocks() {
        let proxy = variables(
            "http://p:1",
            "example.com, .internal,10.0.0.0/8,::1,db.test:5432",
        );
        let name = |text: &str, port| Destination::tcp_name(normalise_host(text).unwrap(), port);
        let address = |text: &str| Destination::tcp_address(text.parse().unwrap(), 1);
        for past in [
            name("example.com", 1),
            name("a.example.com", 1),
            name("x.internal", 1),
            address("10.9.9.9"),
            address("::1"),
            name("db.test", 5432),
        ] {
            assert!(proxy.bypasses(&past), "{past}");
        }
        for through in [
            name("notexample.com", 1),
            address("11.0.0.1"),
            address("::2"),
            name("db.test", 80),
        ] {
            assert!(!proxy.bypasses(&through), "{through}");
        }
        assert!(variables("http://p:1", "*").bypasses(&name("x", 1)));
    }
}
