//! HTTP to the outside: whatever the product asks over HTTP, it asks through this crate.
//!
//! There is no request without a [`Way`], which says who decides whether the server may be reached; `dial` then resolves, checks every address and
//! connects to one that was checked. TLS is verified for the name in the URL. The heads of answers are bounded in bytes and headers; bodies
//! stream, and [`Body::whole`] is the way to have one in memory, bounded.
//!
//! The crate must never follow a redirection (it is an answer like any other, and whoever asked decides), never send a request twice that may have
//! arrived, and never have anything of what was sent in an error or in what `Debug` shows.
//!
//! Entry points: [`Outbound::ask`] for a request over a connection of its own; [`Outbound::reach`] for whoever wants to know what was dialled before
//! it asks; [`Pool::ask`] for connections that are kept; [`ask_over`] for one that leads nowhere outside.

mod body;
mod error;
mod flow;
mod plain;
mod pool;
mod stream;
mod trust;
mod url;
mod way;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bailiwick_dial::{DialError, Dialer};
use bailiwick_model::limits::{OUTBOUND_HEAD_BYTES, OUTBOUND_HEADERS};
use bailiwick_model::{Reason, Verdict};
use bailiwick_policy::Policy;
use hyper::body::{Body as HttpBody, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

pub use body::{Body, NotWhole};
pub use error::{OutboundError, Waited};
pub use flow::Account;
pub use pool::{Pool, PoolLimits};
pub use trust::{NotTrusted, trusting};
pub use url::{HttpUrl, NotHttpUrl};
pub use way::Way;

use body::Connection;
use flow::Recording;
use stream::{Counted, Stream, Traffic};

/// What every request says of who asks.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("bailiwick/", env!("CARGO_PKG_VERSION")));

/// The way out: who dials, and which certificates are trusted.
#[derive(Clone)]
pub struct Outbound {
    dialer: Arc<Dialer>,
    tls: Arc<ClientConfig>,
    account: Option<Arc<Account>>,
}

/// What a server is asked, apart from where.
#[derive(Clone)]
pub struct Message<B> {
    /// The method.
    pub method: Method,
    /// Values that are secret are marked so. `User-Agent` is added if it is not there, and `Host` is the URL's.
    pub headers: HeaderMap,
    /// The body. It is sent as it comes, so it may be a stream.
    pub body: B,
}

/// A server that was dialled and has not been asked yet. It is asked once.
pub struct Reached {
    url: HttpUrl,
    tcp: Counted,
    tls: Arc<ClientConfig>,
    dialed: Option<Permit>,
    recording: Option<Recording>,
}

/// What a policy said of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The address that was checked and dialled; none where an upstream proxy resolved the name.
    pub address: Option<IpAddr>,
    /// Whether the operator said which address the name has.
    pub pinned: bool,
    /// Why the policy allowed it.
    pub reason: Reason,
    /// The rule that allowed it, as written.
    pub rule: Option<String>,
}

impl Outbound {
    /// Dials with this dialer, and trusts whom these settings trust.
    pub fn new(dialer: Arc<Dialer>, tls: Arc<ClientConfig>) -> Self {
        Self {
            dialer,
            tls,
            account: None,
        }
    }

    /// The same way out, where each connection that a policy decides on is told of as a flow, the denied ones too: at its end, with the body of
    /// its answer. One of a [`Pool`] ends when nobody has used it for as long as one is kept.
    #[must_use]
    pub fn on_account(&self, account: Arc<Account>) -> Self {
        Self {
            account: Some(account),
            ..self.clone()
        }
    }

    /// Dials with this dialer, and trusts whom this machine trusts.
    ///
    /// # Errors
    ///
    /// [`NotTrusted::Authorities`].
    pub fn trusting_this_machine(dialer: Arc<Dialer>) -> Result<Self, NotTrusted> {
        Ok(Self::new(dialer, trusting(None)?))
    }

    /// Connects to the server of a URL, if that is allowed. Nothing is sent; how long it may take is the dialer's to say.
    ///
    /// # Errors
    ///
    /// See [`DialError`].
    pub async fn reach(&self, way: Way<&Policy>, url: &HttpUrl) -> Result<Reached, DialError> {
        let mut recording = match (&self.account, way) {
            (Some(account), Way::Policy(policy)) => {
                let destination = url.destination();
                Some(Recording::begin(account, policy.source(), destination))
            }
            (Some(_), Way::Operator | Way::OperatorWithin(_)) | (None, _) => None,
        };
        let dialing = way.dial(&self.dialer, url.destination()).await;
        let (tcp, dialed) = dialing.inspect_err(|error| {
            if let Some(recording) = &mut recording {
                recording.has_failed(error);
            }
        })?;
        let tcp = Counted::new(tcp);
        if let (Some(recording), Some(permit)) = (&mut recording, &dialed) {
            recording.is_reached(permit, tcp.traffic());
        }
        Ok(Reached {
            url: url.clone(),
            tcp,
            tls: Arc::clone(&self.tls),
            dialed,
            recording,
        })
    }

    /// Whether this policy would let the same connection be made now.
    pub fn would_reach(&self, policy: &Policy, url: &HttpUrl, permit: &Permit) -> bool {
        let (destination, facts) = (url.destination(), self.dialer.host_facts());
        let ruling = match permit.address {
            Some(address) => policy.decide_resolved(destination, address, permit.pinned, &facts),
            None => policy.decide(destination, &facts),
        };
        ruling.verdict() == Verdict::Allow
    }

    /// Asks over a connection of its own, which ends with the answer's body, and returns once the answer's head is there. The body is the caller's
    /// to read, and to bound.
    ///
    /// # Errors
    ///
    /// See [`OutboundError`].
    pub async fn ask<B>(
        &self,
        way: Way<&Policy>,
        url: &HttpUrl,
        message: Message<B>,
        deadline: Instant,
    ) -> Result<Response<Body>, OutboundError>
    where
        B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let reached = timeout_at(deadline, self.reach(way, url)).await;
        let reached = reached.map_err(|_| OutboundError::Timeout(Waited::Connection))??;
        reached.ask(message, deadline).await
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

/// Neither headers nor body: both may be secret.
impl<B> fmt::Debug for Message<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Message");
        shown.field("method", &self.method).finish_non_exhaustive()
    }
}

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Reached");
        shown.field("dialed", &self.dialed).finish_non_exhaustive()
    }
}

impl Reached {
    /// What the policy said; nothing where the operator decided.
    pub fn permit(&self) -> Option<&Permit> {
        self.dialed.as_ref()
    }

    /// As [`Outbound::ask`].
    ///
    /// # Errors
    ///
    /// See [`OutboundError`].
    pub async fn ask<B>(
        mut self,
        message: Message<B>,
        deadline: Instant,
    ) -> Result<Response<Body>, OutboundError>
    where
        B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let secured = timeout_at(deadline, secured(&self.tls, &self.url, self.tcp)).await;
        let stream = secured.map_err(|_| OutboundError::Timeout(Waited::Connection))?;
        let stream = stream.inspect_err(|error| {
            if let Some(recording) = &mut self.recording
                && error.is_about_a_certificate()
            {
                recording.is_because_of(Reason::UpstreamCertificate);
            }
        })?;
        let asked = timeout_at(deadline, send(stream, &self.url, message)).await;
        let (answer, connection) = asked.map_err(|_| OutboundError::Timeout(Waited::Answer))??;
        Ok(answer.map(|incoming| Body::of_one(incoming, connection, self.recording)))
    }
}

/// TLS where the URL says so.
async fn secured(
    tls: &Arc<ClientConfig>,
    url: &HttpUrl,
    tcp: Counted,
) -> Result<Stream, OutboundError> {
    if !url.is_tls() {
        return Ok(Stream::Plain(tcp));
    }
    let connecting = TlsConnector::from(Arc::clone(tls)).connect(url.server_name(), tcp);
    let stream = connecting.await;
    let stream = stream.map_err(|error| OutboundError::Tls(Arc::new(error)))?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// As [`Outbound::ask`], over a connection that was made otherwise: to a program that no dialer reaches, as one in a sandbox.
///
/// # Errors
///
/// See [`OutboundError`].
pub async fn ask_over<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &HttpUrl,
    message: Message<B>,
    deadline: Instant,
) -> Result<Response<Body>, OutboundError>
where
    B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let asked = timeout_at(deadline, send(stream, url, message)).await;
    let (answer, connection) = asked.map_err(|_| OutboundError::Timeout(Waited::Answer))??;
    Ok(answer.map(|incoming| Body::of_one(incoming, connection, None)))
}

async fn send<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &HttpUrl,
    message: Message<B>,
) -> Result<(Response<Incoming>, Connection), OutboundError>
where
    B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(OUTBOUND_HEAD_BYTES)
        .max_headers(OUTBOUND_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(OutboundError::http)?;
    let connection = Connection::begin(connection);
    let request = message.into_request(url.target(), Some(url.host_header()));
    let answer = sender.send_request(request).await;
    let answer = answer.map_err(OutboundError::http)?;
    Ok((answer, connection))
}

impl<B> Message<B> {
    /// The host is the URL's, whatever the headers say; without one hyper says it, as the version of HTTP has it.
    fn into_request(self, uri: Uri, host: Option<HeaderValue>) -> Request<B> {
        let mut headers = self.headers;
        match host {
            // Where there is a place for it, it stays there.
            Some(host) if headers.contains_key(HOST) => {
                headers.insert(HOST, host);
            }
            Some(host) => headers = with_host_first(host, headers),
            None => {
                headers.remove(HOST);
            }
        }
        headers.entry(USER_AGENT).or_insert(AGENT);
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request
    }
}

/// As RFC 9110, section 7.2, has it.
fn with_host_first(host: HeaderValue, headers: HeaderMap) -> HeaderMap {
    let mut all = HeaderMap::with_capacity(headers.len() + 2);
    all.insert(HOST, host);
    all.extend(headers);
    all
}
