//! Where a provider is asked.

use bailiwick_outbound::{HttpUrl, NotHttpUrl};
use bailiwick_policy::DestinationError;
use url::Url;

/// A URL of a provider that is connected to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(HttpUrl);

/// Why a text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEndpoint {
    /// No URL with a host.
    #[error("{0:?} is no URL of the form https://HOST/PATH")]
    Form(String),
    /// The host is none.
    #[error("{text:?} has no host that can be reached")]
    Host {
        /// What was written.
        text: String,
        /// Why.
        #[source]
        source: DestinationError,
    },
    /// A user, a password or a fragment.
    #[error("{0:?} has a user, a password or a fragment, which a provider's URL does not have")]
    Extras(String),
    /// Everybody on the way could read it, and change it.
    #[error("{0:?} is plain HTTP: a provider on another machine is asked over https only")]
    PlainHttp(String),
}

impl Endpoint {
    /// Plain HTTP only to this machine.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAnEndpoint> {
        let url: HttpUrl = text.parse().map_err(|error| match error {
            NotHttpUrl::Form => NotAnEndpoint::Form(text.to_owned()),
            NotHttpUrl::Host(source) => NotAnEndpoint::Host {
                text: text.to_owned(),
                source,
            },
            NotHttpUrl::UserInfo => NotAnEndpoint::Extras(text.to_owned()),
        })?;
        if url.url().fragment().is_some() {
            return Err(NotAnEndpoint::Extras(text.to_owned()));
        }
        if url.is_open() {
            return Err(NotAnEndpoint::PlainHttp(text.to_owned()));
        }
        Ok(Self(url))
    }

    /// What is asked.
    pub(crate) fn asked(&self) -> &HttpUrl {
        &self.0
    }

    pub(crate) fn url(&self) -> &Url {
        self.0.url()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_asked_over_https_and_over_http_only_here() {
        for text in [
            "https://login.example.com",
            "https://login.example.com:8443/realms/a?b=c",
            "https://[2001:db8::1]/",
            "http://127.0.0.1:3000",
            "http://[::1]:3000/a",
            "http://localhost:3000",
        ] {
            assert!(Endpoint::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "login.example.com",
            "http://login.example.com",
            "http://10.0.0.1",
            "https://user@login.example.com",
            "https://user:password@login.example.com",
            "https://login.example.com/#a",
            "ftp://login.example.com",
            "file:///etc/passwd",
            "data:,{}",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text} was taken");
        }
    }
}
