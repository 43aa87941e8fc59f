//! Where a provider is asked.

use std::net::IpAddr;

use bailiwick_model::{Destination, Host, Protocol};
use bailiwick_policy::{DestinationError, parse_destination};
use url::{Position, Url};

/// A URL of a provider that is connected to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    pub(crate) address: Destination,
}

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
        let form = || NotAnEndpoint::Form(text.to_owned());
        let url: Url = text.parse().map_err(|_| form())?;
        let host = url.host_str().ok_or_else(form)?;
        let port = url.port_or_known_default().ok_or_else(form)?;
        let host = match parse_destination(host) {
            Ok(destination) => destination.host,
            Err(source) => {
                let text = text.to_owned();
                return Err(NotAnEndpoint::Host { text, source });
            }
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(NotAnEndpoint::Extras(text.to_owned()));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_here(&host) => {}
            "http" => return Err(NotAnEndpoint::PlainHttp(text.to_owned())),
            _ => return Err(form()),
        }
        let address = Destination {
            host,
            port,
            protocol: Protocol::Tcp,
        };
        Ok(Self { url, address })
    }

    /// Whether what is sent there is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host of the URL as a certificate names it.
    pub(crate) fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// What a request to it names as its host.
    pub(crate) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// What a request to it asks for.
    pub(crate) fn target(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Address(address) => IpAddr::is_loopback(address),
        Host::Name(name) => name.as_str() == "localhost",
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
