//! Requests to a provider: each over a connection of its own, bounded in bytes and time, and no redirection is followed.

use std::io;
use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_model::limits::{
    IDENTITY_PROVIDER_ANSWER_BYTES, IDENTITY_PROVIDER_REQUESTS, IDENTITY_PROVIDER_TIMEOUT,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::endpoint::Endpoint;
use crate::error::ProviderError;

/// How a provider is asked.
pub(crate) struct Http {
    dialer: Arc<Dialer>,
    tls: Arc<ClientConfig>,
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
    pub(crate) fn new(dialer: Arc<Dialer>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        Ok(Self {
            dialer,
            tls: Arc::new(tls),
            at_once: Semaphore::new(IDENTITY_PROVIDER_REQUESTS),
        })
    }

    /// Reads a document.
    pub(crate) async fn get(
        &self,
        endpoint: &Endpoint,
        authorization: Option<Authorization>,
    ) -> Result<Answered, ProviderError> {
        let request = request(endpoint, Method::GET, authorization);
        self.send(endpoint, request, Bytes::new()).await
    }

    /// Sends a form.
    pub(crate) async fn post(
        &self,
        endpoint: &Endpoint,
        form: String,
        authorization: Option<Authorization>,
    ) -> Result<Answered, ProviderError> {
        let request = request(endpoint, Method::POST, authorization)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(endpoint, request, form.into()).await
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Answered, ProviderError> {
        let _turn = self
            .at_once
            .try_acquire()
            .map_err(|_| ProviderError::Busy)?;
        let request = request
            .body(Full::new(body))
            .expect("a URL is what a request may have");
        let asking = self.ask(endpoint, request);
        tokio::time::timeout(IDENTITY_PROVIDER_TIMEOUT, asking)
            .await
            .map_err(|_| ProviderError::Timeout)?
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        request: Request<Full<Bytes>>,
    ) -> Result<Answered, ProviderError> {
        let stream = self.dialer.dial_for_operator(&endpoint.address).await?;
        if !endpoint.is_encrypted() {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(endpoint.host().to_owned())
            .map_err(|error| ProviderError::Connection(io::Error::other(error)))?;
        let connecting = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        let stream = connecting.await.map_err(ProviderError::Connection)?;
        exchange(stream, request).await
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

fn request(
    endpoint: &Endpoint,
    method: Method,
    authorization: Option<Authorization>,
) -> hyper::http::request::Builder {
    let request = Request::builder()
        .method(method)
        .uri(endpoint.target())
        .header(HOST, endpoint.authority())
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("bailiwick/", env!("CARGO_PKG_VERSION")));
    match authorization {
        Some(Authorization(value)) => request.header(AUTHORIZATION, value),
        None => request,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answered, ProviderError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with this, also when this is given up.
    let mut connecting = tokio::task::JoinSet::new();
    connecting.spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), IDENTITY_PROVIDER_ANSWER_BYTES);
    let body = body.collect().await.map_err(|_| ProviderError::Body)?;
    Ok(Answered {
        status,
        body: body.to_bytes(),
    })
}
