//! Requests to a provider: each over a connection of its own, bounded in bytes and time, and no redirection is followed.

use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_model::limits::{
    IDENTITY_PROVIDER_ANSWER_BYTES, IDENTITY_PROVIDER_REQUESTS, IDENTITY_PROVIDER_TIMEOUT,
};
use bailiwick_outbound::{Message, NotTrusted, Outbound, Way};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::endpoint::Endpoint;
use crate::error::ProviderError;

/// How a provider is asked.
pub(crate) struct Http {
    outbound: Outbound,
    /// Whoever is not known yet causes requests: so many at once.
    at_once: Semaphore,
}

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    body: Bytes,
}

/// How the client shows who it is.
pub(crate) struct Authorization(pub(crate) HeaderValue);

impl Http {
    /// Certificates are checked against the authorities that this machine trusts.
    pub(crate) fn new(dialer: Arc<Dialer>) -> Result<Self, NotTrusted> {
        Ok(Self {
            outbound: Outbound::trusting_this_machine(dialer)?,
            at_once: Semaphore::new(IDENTITY_PROVIDER_REQUESTS),
        })
    }

    /// Reads a document.
    pub(crate) async fn get(
        &self,
        endpoint: &Endpoint,
        authorization: Option<Authorization>,
    ) -> Result<Answered, ProviderError> {
        let message = message(Method::GET, Bytes::new(), authorization);
        self.send(endpoint, message).await
    }

    /// Sends a form.
    pub(crate) async fn post(
        &self,
        endpoint: &Endpoint,
        form: String,
        authorization: Option<Authorization>,
    ) -> Result<Answered, ProviderError> {
        let mut message = message(Method::POST, form.into(), authorization);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        message.headers.insert(CONTENT_TYPE, form);
        self.send(endpoint, message).await
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        message: Message<Full<Bytes>>,
    ) -> Result<Answered, ProviderError> {
        let _turn = self
            .at_once
            .try_acquire()
            .map_err(|_| ProviderError::Busy)?;
        let deadline = Instant::now() + IDENTITY_PROVIDER_TIMEOUT;
        let asking = self
            .outbound
            .ask(Way::Operator, endpoint.asked(), message, deadline);
        let answer = asking.await?;
        let status = answer.status();
        let body = answer.into_body().whole(IDENTITY_PROVIDER_ANSWER_BYTES);
        match timeout_at(deadline, body).await {
            Ok(Ok(body)) => Ok(Answered { status, body }),
            Ok(Err(_)) | Err(_) => Err(ProviderError::Body),
        }
    }
}

fn message(
    method: Method,
    body: Bytes,
    authorization: Option<Authorization>,
) -> Message<Full<Bytes>> {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([(ACCEPT, json)]);
    headers.extend(authorization.map(|Authorization(value)| (AUTHORIZATION, value)));
    Message {
        method,
        headers,
        body: Full::new(body),
    }
}

impl Answered {
    /// The body of a success.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        if self.status != StatusCode::OK {
            return Err(ProviderError::Status(self.status.as_u16()));
        }
        serde_json::from_slice(&self.body).map_err(ProviderError::Form)
    }
}
