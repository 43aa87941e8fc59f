//! Connections that are kept.

use std::error::Error;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bailiwick_policy::Policy;
use hyper::body::{Body as HttpBody, Bytes};
use hyper::{Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use crate::plain::Plain;
use crate::stream::Stream;
use crate::{Body, HttpUrl, Message, Outbound, OutboundError, Waited, Way, secured};

/// Connections that are kept from one request to the next. HTTP/2 is offered over TLS.
///
/// One pool is for one [`Way`]: what one policy allowed must not serve requests under another. When a policy changes, a new pool is made, which
/// shares nothing but dialer and trust, and is cheap; with the old one go the connections that nobody uses.
#[derive(Clone)]
pub struct Pool<B: HttpBody + 'static> {
    http: legacy::Client<Connector, B>,
    /// Those without TLS, which nobody can answer in HTTP/2.
    plain: Plain<B>,
}

/// The bounds of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// How long connecting may take, before TLS.
    pub connect: Duration,
    /// How long TLS may take.
    pub tls: Duration,
    /// Idle connections to one server.
    pub idle_connections: usize,
    /// How long one may be idle.
    pub idle_time: Duration,
    /// Bytes of the head of an answer.
    pub head_bytes: usize,
    /// Headers of an answer.
    pub headers: usize,
    /// How often a connection of HTTP/2 is asked whether somebody is there, and how long that may take to be answered.
    pub ping: Duration,
}

impl<B> Pool<B>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// Nothing is connected to until it is used.
    pub fn new(outbound: &Outbound, way: Way, limits: PoolLimits) -> Self {
        let mut tls = ClientConfig::clone(&outbound.tls);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::of(Connector {
            outbound: Outbound {
                dialer: Arc::clone(&outbound.dialer),
                tls: Arc::new(tls),
                account: outbound.account.clone(),
            },
            way,
            limits,
        })
    }

    /// A pool of its own that goes the same way, to a server that the operator chose, but to nothing that this policy denies expressly. What a
    /// policy already decides on is decided by that one alone.
    #[must_use]
    pub fn within(&self, policy: Arc<Policy>) -> Self {
        let connector = self.plain.connector();
        let way = match &connector.way {
            Way::Operator | Way::OperatorWithin(_) => Way::OperatorWithin(policy),
            Way::Policy(policy) => Way::Policy(Arc::clone(policy)),
        };
        Self::of(Connector {
            way,
            ..connector.clone()
        })
    }

    fn of(connector: Connector) -> Self {
        let limits = connector.limits;
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle_time)
            .pool_max_idle_per_host(limits.idle_connections)
            .http1_max_headers(limits.headers)
            .http1_max_buf_size(limits.head_bytes)
            .http2_max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .http2_keep_alive_interval(limits.ping)
            .http2_keep_alive_timeout(limits.ping)
            .build(connector.clone());
        let plain = Plain::new(connector);
        Self { http, plain }
    }

    /// Asks, and returns once the answer's head is there, within `time` from when there is a connection (making one has bounds of its own). Also
    /// says when that time ends, for whoever waits for the body too.
    ///
    /// # Errors
    ///
    /// See [`OutboundError`].
    pub async fn ask(
        &self,
        url: &HttpUrl,
        message: Message<B>,
        time: Duration,
    ) -> Result<(Response<Body>, Instant), OutboundError> {
        if !url.is_tls() {
            return self.plain.ask(url, message, time).await;
        }
        let mut request = message.into_request(url.uri(), None);
        let mut connection = capture_connection(&mut request);
        let mut answering = pin!(self.http.request(request));
        let early = tokio::select! {
            answer = &mut answering => Some(answer),
            _ = connection.wait_for_connection_metadata() => None,
        };
        let deadline = Instant::now() + time;
        let answer = match early {
            Some(answer) => answer,
            None => timeout_at(deadline, answering)
                .await
                .map_err(|_| OutboundError::Timeout(Waited::Answer))?,
        };
        Ok((answer.map_err(cause)?.map(Body::of_pool), deadline))
    }
}

impl<B: HttpBody + 'static> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Makes connections for the pool.
#[derive(Clone)]
pub(crate) struct Connector {
    outbound: Outbound,
    way: Way,
    pub(crate) limits: PoolLimits,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = OutboundError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, OutboundError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OutboundError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let url = uri.to_string().parse()?;
            connector.connect(&url).await.map(TokioIo::new)
        })
    }
}

impl Connector {
    pub(crate) async fn connect(&self, url: &HttpUrl) -> Result<Stream, OutboundError> {
        let late = |_| OutboundError::Timeout(Waited::Connection);
        let reaching = self.outbound.reach(self.way.borrowed(), url);
        let mut reached = timeout(self.limits.connect, reaching)
            .await
            .map_err(late)??;
        reached.tcp.recorded_by(reached.recording.take());
        let securing = secured(&self.outbound.tls, url, reached.tcp);
        timeout(self.limits.tls, securing).await.map_err(late)?
    }
}

/// What the client's error came from: it wraps what the connector said.
fn cause(error: legacy::Error) -> OutboundError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(connecting) = inner.downcast_ref::<OutboundError>() {
            return connecting.clone();
        }
        source = inner.source();
    }
    OutboundError::http(error)
}
