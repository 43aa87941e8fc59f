//! Receivers that take POST requests over HTTP, at the operator's choice.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_model::{Destination as Address, Host, Protocol};
use bailiwick_policy::parse_destination;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::{ExportError, NotADestination, tls};

/// The URL of such a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    url: Url,
    address: Address,
}

impl FromStr for HttpUrl {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        let url: Url = text.parse().map_err(|_| NotADestination::Form)?;
        let port = match url.scheme() {
            "http" | "https" => url.port_or_known_default(),
            _ => None,
        };
        let (Some(host), Some(port)) = (url.host_str(), port) else {
            return Err(NotADestination::Form);
        };
        let parsed = parse_destination(host).map_err(|source| NotADestination::Host {
            text: host.to_owned(),
            source,
        })?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(NotADestination::UserInfo);
        }
        let address = Address {
            host: parsed.host,
            port,
            protocol: Protocol::Tcp,
        };
        Ok(Self { url, address })
    }
}

impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.url)
    }
}

impl HttpUrl {
    /// Whether everybody on the way can read what is sent: it leaves this machine, and not over TLS.
    pub fn is_open(&self) -> bool {
        let is_here = match &self.address.host {
            Host::Address(address) => IpAddr::is_loopback(address),
            Host::Name(name) => name.as_str() == "localhost",
        };
        self.url.scheme() == "http" && !is_here
    }

    /// The URL below this one: its path, then `path`.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        Self {
            url,
            address: self.address.clone(),
        }
    }
}

/// A receiver of POST requests.
#[derive(Clone)]
pub struct Receiver {
    url: HttpUrl,
    dialer: Arc<Dialer>,
    tls: Arc<ClientConfig>,
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
    /// [`ExportError::Tls`].
    pub fn new(url: HttpUrl, dialer: Arc<Dialer>) -> Result<Self, ExportError> {
        let tls = tls::trusted_here().map_err(Arc::new)?;
        Ok(Self { url, dialer, tls })
    }

    /// Sends one request over a connection of its own and returns the status of the answer: deliveries are seconds apart, and receivers close
    /// what is idle. A redirection is not followed. How long it may take is the caller's to say.
    ///
    /// # Errors
    ///
    /// [`ExportError::Dial`], [`ExportError::Connection`], [`ExportError::Http`].
    pub async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<StatusCode, ExportError> {
        let request = self.request(headers, body);
        let stream = self.dialer.dial_for_operator(&self.url.address).await?;
        let url = &self.url.url;
        if url.scheme() != "https" {
            return send(stream, request).await;
        }
        let name = url.host_str().unwrap_or_default();
        let name = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(name)
            .map_err(|error| ExportError::Connection(std::io::Error::other(error)))?;
        let connecting = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        send(connecting.await.map_err(ExportError::Connection)?, request).await
    }

    fn request(&self, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let url = &self.url.url;
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::post(target)
            .header(HOST, host)
            .header(USER_AGENT, concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .expect("a URL has what a request may have");
        request.headers_mut().extend(headers);
        request
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, ExportError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let answer = sender.send_request(request).await;
    drop(connection);
    Ok(answer?.status())
}

/// A connection that ends with whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
