//! Receivers that take POST requests over HTTP, at the operator's choice.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::Dialer;
use bailiwick_outbound::{HttpUrl as Asked, Message, NotHttpUrl, Outbound, Way};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use tokio::time::Instant;

use crate::{ExportError, NotADestination};

/// The URL of such a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(Asked);

impl FromStr for HttpUrl {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        let url: Asked = text.parse().map_err(|error| match error {
            NotHttpUrl::Form => NotADestination::Form,
            NotHttpUrl::Host(source) => NotADestination::Host {
                text: text.to_owned(),
                source,
            },
            NotHttpUrl::UserInfo => NotADestination::UserInfo,
        })?;
        match url.url().fragment() {
            None => Ok(Self(url)),
            Some(_) => Err(NotADestination::UserInfo),
        }
    }
}

impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl HttpUrl {
    /// Whether everybody on the way can read what is sent: it leaves this machine, and not over TLS.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// The URL below this one: its path, then `path`.
    #[must_use]
    pub fn below(&self, path: &'static str) -> Self {
        Self(self.0.below(path))
    }
}

/// A receiver of POST requests.
#[derive(Clone)]
pub struct Receiver {
    url: HttpUrl,
    outbound: Outbound,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Receiver").field(&self.url).finish()
    }
}

impl Receiver {
    /// Makes ready to send; nobody is connected to.
    ///
    /// # Errors
    ///
    /// [`ExportError::Trust`].
    pub fn new(url: HttpUrl, dialer: Arc<Dialer>) -> Result<Self, ExportError> {
        let outbound = Outbound::trusting_this_machine(dialer)?;
        Ok(Self { url, outbound })
    }

    /// Sends one request over a connection of its own and returns the status of the answer, within `time`: deliveries are seconds apart, and
    /// receivers close what is idle. A redirection is not followed.
    ///
    /// # Errors
    ///
    /// [`ExportError::Outbound`].
    pub async fn post(
        &self,
        headers: HeaderMap,
        body: Bytes,
        time: Duration,
    ) -> Result<StatusCode, ExportError> {
        let message = Message {
            method: Method::POST,
            headers,
            body: Full::new(body),
        };
        let deadline = Instant::now() + time;
        let asking = self
            .outbound
            .ask(Way::Operator, &self.url.0, message, deadline);
        Ok(asking.await?.status())
    }
}
