//! What can be asked over HTTP.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use bailiwick_model::{Destination, Host, Protocol};
use bailiwick_policy::{DestinationError, parse_destination};
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;
use url::{Position, Url};

/// A URL of http or https whose host can be dialled, without user and password. A copy costs next to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    url: Url,
    uri: Uri,
    target: Uri,
    host: HeaderValue,
    destination: Destination,
    name: ServerName<'static>,
}

/// Why a URL is none that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHttpUrl {
    /// Another scheme, no host, or no URL at all.
    #[error("the URL names no host that can be asked over HTTP")]
    Form,
    /// Its host is none.
    #[error("the host of the URL: {0}")]
    Host(#[from] DestinationError),
    /// It would be shown, and is no place for a secret.
    #[error("the URL has a user or a password")]
    UserInfo,
}

impl TryFrom<Url> for HttpUrl {
    type Error = NotHttpUrl;

    fn try_from(url: Url) -> Result<Self, NotHttpUrl> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotHttpUrl::Form);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotHttpUrl::UserInfo);
        }
        let host = url.host_str().ok_or(NotHttpUrl::Form)?;
        let destination = Destination {
            host: parse_destination(host)?.host,
            port: url.port_or_known_default().ok_or(NotHttpUrl::Form)?,
            protocol: Protocol::Tcp,
        };
        let name = server_name(&url)?;
        // Two crates read it; what only one of them takes is none.
        let uri = url[..Position::AfterQuery].parse();
        let uri: Uri = uri.map_err(|_| NotHttpUrl::Form)?;
        let target = uri.path_and_query().cloned();
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        Ok(Self(Arc::new(Parts {
            target: target.map_or_else(|| Uri::from_static("/"), Uri::from),
            host: host.map_err(|_| NotHttpUrl::Form)?,
            url,
            uri,
            destination,
            name,
        })))
    }
}

impl FromStr for HttpUrl {
    type Err = NotHttpUrl;

    fn from_str(text: &str) -> Result<Self, NotHttpUrl> {
        let url: Url = text.parse().map_err(|_| NotHttpUrl::Form)?;
        url.try_into()
    }
}

/// As it was parsed, with its fragment.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.url.fmt(f)
    }
}

impl HttpUrl {
    /// As it was parsed.
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// What is dialled.
    pub fn destination(&self) -> &Destination {
        &self.0.destination
    }

    /// Whether what is sent there is encrypted.
    pub fn is_tls(&self) -> bool {
        self.0.url.scheme() == "https"
    }

    /// Whether everybody on the way can read what is sent: it leaves this machine, and not over TLS.
    pub fn is_open(&self) -> bool {
        let is_here = match &self.0.destination.host {
            Host::Address(address) => IpAddr::is_loopback(address),
            Host::Name(name) => name.as_str() == "localhost",
        };
        !self.is_tls() && !is_here
    }

    /// The URL below this one: its path, then `path`, which begins with no slash. A query stays.
    #[must_use]
    pub fn below(&self, path: &'static str) -> Self {
        let mut url = self.0.url.clone();
        url.set_path(&format!(
            "{}/{path}",
            self.0.url.path().trim_end_matches('/')
        ));
        let below = Self::try_from(url);
        below.expect("a constant path below a URL that can be asked makes another")
    }

    /// The same URL with this query: words of URLs, already encoded.
    #[must_use]
    pub fn asking(&self, query: &str) -> Self {
        let mut url = self.0.url.clone();
        url.set_query(Some(query));
        let asking = Self::try_from(url);
        asking.unwrap_or_else(|_| self.clone())
    }

    /// The whole of it, for a pool of connections.
    pub(crate) fn uri(&self) -> Uri {
        self.0.uri.clone()
    }

    /// What a request over a connection of its own asks for.
    pub(crate) fn target(&self) -> Uri {
        self.0.target.clone()
    }

    /// What such a request names as its host: the port is in it where the scheme does not say it.
    pub(crate) fn host_header(&self) -> HeaderValue {
        self.0.host.clone()
    }

    /// Whom a certificate has to be for.
    pub(crate) fn server_name(&self) -> ServerName<'static> {
        self.0.name.clone()
    }
}

/// A dot at the end is no part of a name in a certificate.
fn server_name(url: &Url) -> Result<ServerName<'static>, NotHttpUrl> {
    match url.host().ok_or(NotHttpUrl::Form)? {
        url::Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_owned();
            ServerName::try_from(name).map_err(|_| NotHttpUrl::Form)
        }
        url::Host::Ipv4(address) => Ok(IpAddr::from(address).into()),
        url::Host::Ipv6(address) => Ok(IpAddr::from(address).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_whom_a_certificate_is_for_follow_from_the_url() {
        let check = |text: &str, target: &str, host: &str, destination: &str| {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.target().to_string(), target, "{text}");
            assert_eq!(url.host_header(), host, "{text}");
            assert_eq!(url.destination().to_string(), destination, "{text}");
        };
        check("https://a.test", "/", "a.test", "a.test:443");
        check("http://a.test:80/b?c=d#e", "/b?c=d", "a.test", "a.test:80");
        check("https://A.test:8443/b", "/b", "a.test:8443", "a.test:8443");
        check(
            "http://[2001:db8::1]:81/",
            "/",
            "[2001:db8::1]:81",
            "[2001:db8::1]:81",
        );
        let dotted: HttpUrl = "https://a.test./".parse().unwrap();
        assert_eq!(
            dotted.server_name(),
            ServerName::try_from("a.test").unwrap()
        );
    }

    #[test]
    fn what_cannot_be_asked_is_no_such_url() {
        let refused = |text: &str| text.parse::<HttpUrl>().unwrap_err();
        assert_eq!(refused(""), NotHttpUrl::Form);
        assert_eq!(refused("a.test"), NotHttpUrl::Form);
        assert_eq!(refused("ftp://a.test"), NotHttpUrl::Form);
        assert_eq!(refused("file:///etc/passwd"), NotHttpUrl::Form);
        assert_eq!(refused("https://user@a.test"), NotHttpUrl::UserInfo);
        assert_eq!(refused("https://:password@a.test"), NotHttpUrl::UserInfo);
        assert!(matches!(refused("https://*.test"), NotHttpUrl::Host(_)));
    }

    #[test]
    fn plain_http_that_leaves_this_machine_is_open() {
        let is_open = |text: &str| text.parse::<HttpUrl>().unwrap().is_open();
        assert!(is_open("http://a.test"));
        assert!(is_open("http://10.0.0.1"));
        assert!(!is_open("https://a.test"));
        assert!(!is_open("http://127.0.0.1:1"));
        assert!(!is_open("http://[::1]:1"));
        assert!(!is_open("http://localhost"));
    }
}
