//! One request to a server that somebody named: dialled under a policy, within a time, followed within its origin and no further.

use std::fmt;
use std::io;
use std::sync::Arc;

use bailiwick_dial::{DialError, Dialer};
use bailiwick_model::limits::{OUTBOUND_HEAD_BYTES, OUTBOUND_REDIRECTS, OUTBOUND_TIME};
use bailiwick_model::{Destination, Host, Protocol};
use bailiwick_policy::{DestinationError, Policy, parse_destination};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::answer::{Answer, Wanted};

/// The way to servers that somebody named.
#[derive(Clone)]
pub struct Outbound {
    dialer: Arc<Dialer>,
    tls: Arc<ClientConfig>,
}

/// Why there is no answer. None of it holds anything that was sent.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// It is not the URL of a server.
    #[error("the URL names no host that can be asked")]
    Url,
    /// Its host is none.
    #[error("the host of the URL: {0}")]
    Host(#[from] DestinationError),
    /// The policy denies it, or it cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// What came back is not HTTP, or ended early.
    #[error("the server did not answer in HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// It took too long.
    #[error("the server did not answer in time")]
    Timeout,
}

impl OutboundError {
    /// Whether a policy is the reason.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Dial(DialError::Denied(_)))
    }
}

/// Whether redirections are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// Those that keep method and body (307, 308), within the origin.
    WithinOrigin,
    /// None.
    Never,
}

/// One request.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Values that are secret are marked so.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    pub(crate) redirects: Redirects,
}

/// An answer whose body is still to come. Its connection ends with it.
pub(crate) struct Opened {
    pub(crate) answer: Response<Incoming>,
    _connection: Connection,
}

/// A connection that ends with its value.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

impl Outbound {
    /// Dials with this dialer, and trusts whom these settings trust.
    pub fn new(dialer: Arc<Dialer>, tls: Arc<ClientConfig>) -> Self {
        Self { dialer, tls }
    }

    /// Why a policy denies a server, if it does; see [`crate::McpClient::denial`].
    pub(crate) async fn denial(&self, policy: &Policy, url: &Url) -> Option<OutboundError> {
        let destination = destination(url).ok()?;
        let dialing = self.dialer.dial(policy, &destination);
        let dialed = tokio::time::timeout(OUTBOUND_TIME, dialing).await.ok()?;
        let error = OutboundError::from(dialed.err()?);
        error.is_denied().then_some(error)
    }

    /// Sends a request and reads what is wanted of the answer, within [`OUTBOUND_TIME`] and before `end`. Wherever it leads, the policy is
    /// asked first.
    pub(crate) async fn ask(
        &self,
        policy: &Policy,
        request: Request,
        wanted: Wanted,
        end: Option<Instant>,
    ) -> Result<Answer, OutboundError> {
        let own = Instant::now() + OUTBOUND_TIME;
        let deadline = end.map_or(own, |end| end.min(own));
        let opened = self.open(policy, request, deadline).await?;
        Ok(Answer::read(opened.answer, deadline, wanted).await)
    }

    /// Sends a request, and returns once it begins to be answered.
    pub(crate) async fn open(
        &self,
        policy: &Policy,
        mut request: Request,
        deadline: Instant,
    ) -> Result<Opened, OutboundError> {
        let mut followed = 0;
        loop {
            let opened = self.open_once(policy, &request, deadline).await?;
            match next(&request, &opened.answer) {
                Some(url) if followed < OUTBOUND_REDIRECTS => request.url = url,
                Some(_) | None => return Ok(opened),
            }
            followed += 1;
        }
    }

    async fn open_once(
        &self,
        policy: &Policy,
        request: &Request,
        deadline: Instant,
    ) -> Result<Opened, OutboundError> {
        let sending = async {
            let destination = destination(&request.url)?;
            let stream = self.dialer.dial(policy, &destination).await?.stream;
            let message = message(request)?;
            if request.url.scheme() == "https" {
                let name = server_name(&request.url)?;
                let connecting = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
                send(connecting.await.map_err(OutboundError::Tls)?, message).await
            } else {
                send(stream, message).await
            }
        };
        let sent = tokio::time::timeout_at(deadline, sending).await;
        sent.map_err(|_| OutboundError::Timeout)?
    }
}

/// Where an answer leads, if it may be followed.
fn next(request: &Request, answer: &Response<Incoming>) -> Option<Url> {
    let status = answer.status().as_u16();
    if request.redirects == Redirects::Never || !matches!(status, 307 | 308) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let url = request.url.join(location).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    (url.origin() == request.url.origin() && is_plain).then_some(url)
}

fn destination(url: &Url) -> Result<Destination, OutboundError> {
    let host = url.host_str().ok_or(OutboundError::Url)?;
    let port = match url.scheme() {
        "http" | "https" => url.port_or_known_default().ok_or(OutboundError::Url)?,
        _ => return Err(OutboundError::Url),
    };
    let host: Host = parse_destination(host)?.host;
    Ok(Destination {
        host,
        port,
        protocol: Protocol::Tcp,
    })
}

fn server_name(url: &Url) -> Result<ServerName<'static>, OutboundError> {
    let host = url.host_str().ok_or(OutboundError::Url)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| OutboundError::Url)
}

fn message(request: &Request) -> Result<hyper::Request<Full<Bytes>>, OutboundError> {
    let url = &request.url;
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut message = hyper::Request::builder()
        .method(request.method.clone())
        .uri(target)
        .header(HOST, host)
        .header(USER_AGENT, concat!("bailiwick/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    let body = Full::new(request.body.clone());
    message.body(body).map_err(|_| OutboundError::Url)
}

/// Sends it over a connection of its own.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    message: hyper::Request<Full<Bytes>>,
) -> Result<Opened, OutboundError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(OUTBOUND_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    let connection = Connection(tokio::spawn(connection).abort_handle());
    Ok(Opened {
        answer: sender.send_request(message).await?,
        _connection: connection,
    })
}
