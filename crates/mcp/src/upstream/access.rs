//! What servers of a gateway are asked under.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bailiwick_model::limits::{
    MCP_CALL_TIME, MCP_GATEWAY_CONNECT_TIME, MCP_GATEWAY_IDLE_CONNECTION_TIME,
    MCP_GATEWAY_IDLE_CONNECTIONS, OUTBOUND_HEAD_BYTES, OUTBOUND_HEADERS,
};
use bailiwick_outbound::{
    Body, HttpUrl, Message, Outbound, OutboundError, Pool, PoolLimits, Way, ask_over,
};
use bailiwick_policy::Policy;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::piped::PipedServer;
use crate::client::McpError;
use crate::secrets::Secrets;

/// Connections to servers that are kept from one request to the next, under one policy. Whose policy changes gets others: what one policy
/// allowed does not live on under another. Those of an environment may be shared by everybody whom its policy is for.
///
/// To a server inside a sandbox there is a connection for each request, which somebody else makes: see [`Connections::inside`].
pub struct Connections(Made);

/// How a connection is made.
enum Made {
    Dialled(Box<Pool<Full<Bytes>>>),
    Inside(Asks),
}

type Asks = Box<dyn Fn(HttpUrl, Message<Full<Bytes>>) -> Asking + Send + Sync>;
type Asking = Pin<Box<dyn Future<Output = Result<Response<Body>, McpError>> + Send>>;

impl Connections {
    /// None yet.
    pub fn new(outbound: &Outbound, policy: Arc<Policy>) -> Self {
        let limits = PoolLimits {
            connect: MCP_GATEWAY_CONNECT_TIME,
            tls: MCP_GATEWAY_CONNECT_TIME,
            idle_connections: MCP_GATEWAY_IDLE_CONNECTIONS,
            idle_time: MCP_GATEWAY_IDLE_CONNECTION_TIME,
            head_bytes: OUTBOUND_HEAD_BYTES,
            headers: OUTBOUND_HEADERS,
            ping: MCP_GATEWAY_IDLE_CONNECTION_TIME,
        };
        Self(Made::Dialled(Box::new(Pool::new(
            outbound,
            Way::Policy(policy),
            limits,
        ))))
    }

    /// To one server inside a sandbox, whatever host a URL names. `connect` makes a connection to it, or says why there is none.
    pub fn inside<F, C, S>(connect: F) -> Self
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = Result<S, Box<str>>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ask = move |url: HttpUrl, message: Message<Full<Bytes>>| -> Asking {
            let connecting = connect();
            Box::pin(async move {
                let connected = timeout(MCP_GATEWAY_CONNECT_TIME, connecting).await;
                let connected = connected.map_err(|_| McpError::Timeout)?;
                let stream = connected.map_err(McpError::NotRunning)?;
                let deadline = Instant::now() + MCP_CALL_TIME;
                let answer = ask_over(stream, &url, message, deadline).await;
                answer.map_err(in_time)
            })
        };
        Self(Made::Inside(Box::new(ask)))
    }

    pub(super) async fn ask(
        &self,
        url: &HttpUrl,
        message: Message<Full<Bytes>>,
    ) -> Result<Response<Body>, McpError> {
        match &self.0 {
            Made::Dialled(pool) => {
                let asked = pool.ask(url, message, MCP_CALL_TIME).await;
                asked.map(|(answer, _)| answer).map_err(in_time)
            }
            Made::Inside(ask) => ask(url.clone(), message).await,
        }
    }
}

fn in_time(error: OutboundError) -> McpError {
    match error {
        OutboundError::Timeout(_) => McpError::Timeout,
        error @ (OutboundError::Url(_)
        | OutboundError::Dial(_)
        | OutboundError::Tls(_)
        | OutboundError::Http(_)) => error.into(),
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// What a request to a server goes under. It is looked up for each; a copy costs next to nothing, so that it can be kept until it changes.
#[derive(Clone)]
pub struct HeldAccess(Arc<Held>);

struct Held {
    over: Over,
    authorization: Option<HeaderValue>,
    /// The only server that it is for, where that is said: one of the same name may have become another.
    at: Option<HttpUrl>,
    secrets: Secrets,
    /// Each request that is being answered has one.
    asking: Arc<()>,
}

/// What requests go over.
enum Over {
    Connections(Arc<Connections>),
    Pipes(Arc<PipedServer>),
}

impl HeldAccess {
    /// Over these connections, with a bearer token.
    ///
    /// # Errors
    ///
    /// [`McpError::Token`].
    pub fn new(connections: Arc<Connections>, token: Option<&str>) -> Result<Self, McpError> {
        Self::made(connections, token, None)
    }

    /// The same, for a server that is said to be at this URL, and for no other.
    ///
    /// # Errors
    ///
    /// [`McpError::Token`].
    pub fn at(
        connections: Arc<Connections>,
        token: Option<&str>,
        url: &HttpUrl,
    ) -> Result<Self, McpError> {
        Self::made(connections, token, Some(url.clone()))
    }

    fn made(
        connections: Arc<Connections>,
        token: Option<&str>,
        at: Option<HttpUrl>,
    ) -> Result<Self, McpError> {
        let mut secrets = Secrets::default();
        let authorization = match token {
            Some(token) => {
                secrets.add(token);
                let value = Zeroizing::new(format!("Bearer {token}"));
                let mut value = HeaderValue::from_str(&value).map_err(|_| McpError::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self(Arc::new(Held {
            over: Over::Connections(connections),
            authorization,
            at,
            secrets,
            asking: Arc::default(),
        })))
    }

    /// Over these connections, without a token. What the server knows of these secrets is not shown.
    pub fn hiding<'s>(
        connections: Arc<Connections>,
        secrets: impl IntoIterator<Item = &'s str>,
    ) -> Self {
        let mut hidden = Secrets::default();
        secrets.into_iter().for_each(|secret| hidden.add(secret));
        Self(Arc::new(Held {
            over: Over::Connections(connections),
            authorization: None,
            at: None,
            secrets: hidden,
            asking: Arc::default(),
        }))
    }

    /// Over the standard streams of a server; no URL is asked.
    pub fn piped(server: Arc<PipedServer>) -> Self {
        Self(Arc::new(Held {
            over: Over::Pipes(server),
            authorization: None,
            at: None,
            secrets: Secrets::default(),
            asking: Arc::default(),
        }))
    }

    /// Whether somebody waits for an answer of the server now, under this or a copy of it.
    pub fn is_asked(&self) -> bool {
        Arc::strong_count(&self.0.asking) > 1
    }

    /// What is held while an answer is awaited.
    pub(super) fn begin_asking(&self) -> Arc<()> {
        Arc::clone(&self.0.asking)
    }

    /// Where a URL is asked; of a server with pipes there is none.
    pub(super) fn connections(&self) -> Result<&Connections, McpError> {
        match &self.0.over {
            Over::Connections(connections) => Ok(connections),
            Over::Pipes(_) => Err(McpError::Ended),
        }
    }

    pub(super) fn pipes(&self) -> Option<&Arc<PipedServer>> {
        match &self.0.over {
            Over::Connections(_) => None,
            Over::Pipes(server) => Some(server),
        }
    }

    /// Whether it is for the server that is said to be at this URL.
    pub(super) fn is_for(&self, url: &HttpUrl) -> bool {
        self.0.at.as_ref().is_none_or(|at| at == url)
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.authorization.as_ref()
    }

    /// Whether it shows this bearer token.
    pub fn has_token(&self, token: &str) -> bool {
        let shown = self.authorization().and_then(|value| value.to_str().ok());
        shown.and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// Whether a stream that was opened under one may stay open under the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_same_way = match (&self.0.over, &other.0.over) {
            (Over::Connections(one), Over::Connections(two)) => Arc::ptr_eq(one, two),
            (Over::Pipes(one), Over::Pipes(two)) => Arc::ptr_eq(one, two),
            (Over::Connections(_), Over::Pipes(_)) | (Over::Pipes(_), Over::Connections(_)) => {
                false
            }
        };
        is_same_way && self.0.authorization == other.0.authorization
    }
}

/// Not the token.
impl fmt::Debug for HeldAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldAccess").finish_non_exhaustive()
    }
}
