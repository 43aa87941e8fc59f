//! Where an upstream is.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::Destination;
use bailiwick_model::limits::CREDENTIAL_URL_CHARS;
use bailiwick_outbound::{HttpUrl, NotHttpUrl};
use bailiwick_policy::DestinationError;

/// `https://HOST[:PORT][/PATH]`: what the paths of an API are appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(HttpUrl);

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
        if base.0.is_open() {
            Err(NotABaseUrl::PlainHttp)
        } else {
            Ok(base)
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
        let url: HttpUrl = text.parse().map_err(|error| match error {
            NotHttpUrl::Form => NotABaseUrl::Form,
            NotHttpUrl::Host(error) => NotABaseUrl::Host(error),
            NotHttpUrl::UserInfo => NotABaseUrl::Extras,
        })?;
        if url.url().query().is_some() || url.url().fragment().is_some() {
            return Err(NotABaseUrl::Extras);
        }
        Ok(Self(url))
    }

    /// What is dialled.
    pub fn destination(&self) -> &Destination {
        self.0.destination()
    }

    /// This URL and a path that begins with no slash.
    pub(crate) fn join(&self, path: &'static str) -> HttpUrl {
        self.0.below(path)
    }
}

/// As it is written, without a slash at the end.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.url().as_str().trim_end_matches('/'))
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
            assert_eq!(base.join("v1/messages").to_string(), uri);
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
            let asked = base.join("v1/messages");
            prop_assert!(asked.url().path().ends_with("/v1/messages"));
            prop_assert_eq!(asked.destination(), base.destination());
            let again = BaseUrl::accepting_plain_http(&base.to_string()).unwrap();
            prop_assert_eq!(again.destination(), base.destination());
        }
    }
}
