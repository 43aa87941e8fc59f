//! Where an upstream is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bailiwick_model::limits::CREDENTIAL_URL_CHARS;
use bailiwick_model::{Destination, Host, Protocol};
use bailiwick_policy::{DestinationError, parse_destination};
use hyper::Uri;
use url::Url;

/// `https://HOST[:PORT][/PATH]`: what the paths of an API are appended to, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    destination: Destination,
}

/// Why a text is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotABaseUrl {
    /// Another scheme, no host, or no URL at all.
    #[error("a model upstream is https://HOST[:PORT][/PATH]")]
    Form,
    /// The host is none that could be dialled.
    #[error("{0}")]
    Host(#[from] DestinationError),
    /// It would be shown, and is no place for a key.
    #[error(
        "the URL of a model upstream has no user, password, query or fragment: give the key beside it"
    )]
    Extras,
    /// Everybody on the way could read prompts and key.
    #[error(
        "a model upstream on another machine is reached over https; accept plain http for it explicitly if the way there is trusted"
    )]
    PlainHttp,
    /// More than [`CREDENTIAL_URL_CHARS`].
    #[error("it has more than {CREDENTIAL_URL_CHARS} characters")]
    TooLong,
}

/// `https`, or `http` to this machine.
impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        let base = Self::accepting_plain_http(text)?;
        let is_here = match &base.destination.host {
            Host::Address(address) => IpAddr::is_loopback(address),
            Host::Name(name) => name.as_str() == "localhost",
        };
        if base.is_tls() || is_here {
            Ok(base)
        } else {
            Err(NotABaseUrl::PlainHttp)
        }
    }
}

impl BaseUrl {
    /// The same, of an upstream that may be reached over plain HTTP by somebody's explicit choice.
    ///
    /// # Errors
    ///
    /// See [`NotABaseUrl`].
    pub fn accepting_plain_http(text: &str) -> Result<Self, NotABaseUrl> {
        if text.len() > CREDENTIAL_URL_CHARS {
            return Err(NotABaseUrl::TooLong);
        }
        let mut url: Url = text.parse().map_err(|_| NotABaseUrl::Form)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotABaseUrl::Form);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err(NotABaseUrl::Extras);
        }
        let host = url.host_str().ok_or(NotABaseUrl::Form)?;
        let parsed = parse_destination(host)?;
        let destination = Destination {
            port: url.port_or_known_default().ok_or(NotABaseUrl::Form)?,
            protocol: Protocol::Tcp,
            ..parsed
        };
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let base = Self { url, destination };
        // Two crates read it; what only one of them takes is none.
        let uri: Result<Uri, _> = base.to_string().parse();
        uri.map(|_| base).map_err(|_| NotABaseUrl::Form)
    }

    /// What is dialled.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// This URL and a path that begins with a slash.
    pub(crate) fn join(&self, path: &str) -> Uri {
        let base = self.url.as_str().trim_end_matches('/');
        let uri = format!("{base}{path}").parse();
        uri.expect("a URL and a constant path are a URI")
    }
}

/// As it is written, without a slash at the end.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_appended_to_what_was_written() {
        for (base, uri) in [
            (
                "https://api.example.com",
                "https://api.example.com/v1/messages",
            ),
            (
                "https://api.example.com/",
                "https://api.example.com/v1/messages",
            ),
            (
                "https://gateway.example.com:8443/llm/a//",
                "https://gateway.example.com:8443/llm/a/v1/messages",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/messages"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x/v1/messages"),
            ("http://localhost:1", "http://localhost:1/v1/messages"),
        ] {
            let base: BaseUrl = base.parse().unwrap();
            assert_eq!(base.join("/v1/messages").to_string(), uri);
        }
    }

    #[test]
    fn a_key_in_a_url_and_plain_http_to_elsewhere_are_refused() {
        let refused = |text: &str| text.parse::<BaseUrl>().unwrap_err();
        assert_eq!(refused("https://a:b@api.example.com"), NotABaseUrl::Extras);
        assert_eq!(
            refused("https://api.example.com/?key=a"),
            NotABaseUrl::Extras
        );
        assert_eq!(refused("https://api.example.com/#a"), NotABaseUrl::Extras);
        assert_eq!(refused("http://api.example.com"), NotABaseUrl::PlainHttp);
        assert_eq!(
            refused("http://127.0.0.1.example.com"),
            NotABaseUrl::PlainHttp
        );
        assert_eq!(refused("ftp://api.example.com"), NotABaseUrl::Form);
        assert_eq!(refused("api.example.com"), NotABaseUrl::Form);
        assert!(BaseUrl::accepting_plain_http("http://vllm.models.svc:8000/v1").is_ok());
    }

    proptest! {
        #[test]
        fn what_is_dialled_is_what_was_written(text in "https?://[a-z0-9.:@\\[\\]%_é-]{0,16}(:[0-9]{0,6})?(/[ -~é]{0,8}){0,3}") {
            let Ok(base) = BaseUrl::accepting_plain_http(&text) else {
                return Ok(());
            };
            let uri = base.join("/v1/messages");
            prop_assert!(uri.path().ends_with("/v1/messages"));
            let host = parse_destination(uri.host().unwrap()).unwrap().host;
            prop_assert_eq!(&host, &base.destination().host);
            let usual = if base.is_tls() { 443 } else { 80 };
            prop_assert_eq!(uri.port_u16().unwrap_or(usual), base.destination().port);
            let again: Url = base.to_string().parse().unwrap();
            prop_assert_eq!(again.host_str(), base.url.host_str());
        }
    }
}
