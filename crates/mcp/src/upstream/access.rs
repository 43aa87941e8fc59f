//! What servers of a gateway are asked under.

use std::fmt;
use std::sync::Arc;

use bailiwick_model::limits::{
    MCP_CALL_TIME, MCP_GATEWAY_CONNECT_TIME, MCP_GATEWAY_IDLE_CONNECTION_TIME,
    MCP_GATEWAY_IDLE_CONNECTIONS, OUTBOUND_HEAD_BYTES, OUTBOUND_HEADERS,
};
use bailiwick_outbound::{Body, HttpUrl, Message, Outbound, OutboundError, Pool, PoolLimits, Way};
use bailiwick_policy::Policy;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::client::McpError;
use crate::secrets::Secrets;

/// Connections to servers that are kept from one request to the next, under one policy. Whose policy changes gets others: what one policy
/// allowed does not live on under another. Those of an environment may be shared by everybody whom its policy is for.
#[derive(Debug)]
pub struct Connections(Pool<Full<Bytes>>);

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
        Self(Pool::new(outbound, Way::Policy(policy), limits))
    }

    pub(super) async fn ask(
        &self,
        url: &HttpUrl,
        message: Message<Full<Bytes>>,
    ) -> Result<Response<Body>, McpError> {
        match self.0.ask(url, message, MCP_CALL_TIME).await {
            Ok((answer, _)) => Ok(answer),
            Err(OutboundError::Timeout(_)) => Err(McpError::Timeout),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a request to a server goes under. It is looked up for each; a copy costs next to nothing, so that it can be kept until it changes.
#[derive(Clone)]
pub struct HeldAccess(Arc<Held>);

struct Held {
    connections: Arc<Connections>,
    authorization: Option<HeaderValue>,
    secrets: Secrets,
}

impl HeldAccess {
    /// Over these connections, with a bearer token.
    ///
    /// # Errors
    ///
    /// [`McpError::Token`].
    pub fn new(connections: Arc<Connections>, token: Option<&str>) -> Result<Self, McpError> {
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
            connections,
            authorization,
            secrets,
        })))
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.authorization.as_ref()
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// Whether a stream that was opened under one may stay open under the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.connections, &other.0.connections)
            && self.0.authorization == other.0.authorization
    }
}

/// Not the token.
impl fmt::Debug for HeldAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldAccess").finish_non_exhaustive()
    }
}
