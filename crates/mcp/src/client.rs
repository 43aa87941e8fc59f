//! A client of one MCP server: its tools, and calls of them.
//!
//! Streamable HTTP of the revisions from 2025-03-26 on, with and without sessions. Each request is dialled by itself, under the policy and with
//! the token that hold at that moment, so nothing that was taken away lives on in a connection. What the server says is bounded in bytes and
//! time, and rid of the token before anybody sees it.
//!
//! A call is sent once. It is sent again only where the server says that it did not know the session it came with, and so ran nothing.

mod talk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_model::limits::{
    MCP_ASIDE_TIME, MCP_CALL_TIME, MCP_CURSOR_BYTES, MCP_ID_BYTES, MCP_LIST_TIME, MCP_TOOL_PAGES,
};
use bailiwick_policy::Policy;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::heard::RpcError;
use crate::outbound::{Outbound, OutboundError};
use crate::result::CallResult;
use crate::tools::{Gathering, Listing};
use talk::Talk;

/// Revisions with sessions, the newest first: the first is asked for, the others are taken.
const WITH_SESSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The first revision without.
const WITHOUT_SESSIONS: &str = "2026-07-28";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What one request goes under. It is looked up for each.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Whether the server, and each of its addresses, may be reached.
    pub policy: &'a Policy,
    /// The bearer token.
    pub token: Option<&'a str>,
}

/// How long a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct McpTimes {
    /// For all pages of the list of its tools.
    pub list: Duration,
    /// For a call.
    pub call: Duration,
}

impl Default for McpTimes {
    fn default() -> Self {
        Self {
            list: MCP_LIST_TIME,
            call: MCP_CALL_TIME,
        }
    }
}

/// One MCP server, as one session sees it.
pub struct McpClient {
    outbound: Outbound,
    server: Url,
    times: McpTimes,
    era: Mutex<Era>,
    last_id: AtomicU64,
    has_changed: AtomicBool,
}

/// Why there is no result. None of it holds the token.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// The server cannot be reached, or may not.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The token cannot be sent.
    #[error("the credential has characters that no header carries")]
    Token,
    /// The server takes no token that it was shown (401).
    #[error("the server does not take the credential (401)")]
    Unauthorized,
    /// The server does not let the bearer in (403).
    #[error("the credential does not allow this (403)")]
    Forbidden,
    /// The server leads to another origin, where nobody follows.
    #[error("the server redirects to another place ({0}), which is not followed")]
    Redirect(u16),
    /// Another answer of HTTP than one with a result.
    #[error("the server answered {0}")]
    Status(u16),
    /// An error of JSON-RPC.
    #[error("the server answered with an error: {0}")]
    Rpc(#[from] RpcError),
    /// It is no answer of an MCP server.
    #[error("the server did not answer as an MCP server: {0}")]
    Malformed(&'static str),
    /// More was said than anybody reads.
    #[error("the answer is too long")]
    TooLong,
    /// The answer ended early.
    #[error("the answer broke off")]
    Cut,
    /// It took too long.
    #[error("the server did not answer in time")]
    Timeout,
    /// Whoever asked wants it no more.
    #[error("interrupted")]
    Cancelled,
    /// The server does not know the session any more.
    #[error("the server ends each session at once")]
    SessionGone,
}

/// How a server is talked to.
#[derive(Debug, Clone)]
enum Era {
    /// Nobody knows yet.
    Unknown,
    /// It was begun with; these headers go along.
    Begun(Arc<Begun>),
}

/// What was agreed with a server.
#[derive(Debug)]
struct Begun {
    version: HeaderValue,
    /// Of its session, if it keeps one.
    session: Option<HeaderValue>,
    has_sessions: bool,
}

impl McpError {
    /// Whether what was asked for may have happened all the same.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::TooLong
            | Self::Cut
            | Self::Timeout
            | Self::Cancelled
            | Self::Outbound(OutboundError::Http(_)) => true,
            Self::Outbound(
                OutboundError::Url
                | OutboundError::Host(_)
                | OutboundError::Dial(_)
                | OutboundError::Tls(_)
                | OutboundError::Timeout,
            )
            | Self::Token
            | Self::Unauthorized
            | Self::Forbidden
            | Self::Redirect(_)
            | Self::Status(_)
            | Self::Rpc(_)
            | Self::SessionGone => false,
        }
    }
}

impl McpClient {
    /// A client that has not begun; nothing is sent until it is used.
    pub fn new(outbound: Outbound, server: Url) -> Self {
        Self {
            outbound,
            server,
            times: McpTimes::default(),
            era: Mutex::new(Era::Unknown),
            last_id: AtomicU64::new(0),
            has_changed: AtomicBool::new(false),
        }
    }

    /// Why a policy denies the server, if it does: its name, or an address that it has now. One that is let through is connected to, and told
    /// nothing; one that does not answer is not denied.
    pub async fn denial(&self, policy: &Policy) -> Option<OutboundError> {
        self.outbound.denial(policy, &self.server).await
    }

    /// With other bounds of time than the usual ones.
    #[must_use]
    pub fn with_times(self, times: McpTimes) -> Self {
        Self { times, ..self }
    }

    /// Whether the server may have other tools, since this was last asked: it said so, or it forgot its session.
    pub fn take_change(&self) -> bool {
        self.has_changed.swap(false, Ordering::Relaxed)
    }

    /// The tools of the server.
    ///
    /// # Errors
    ///
    /// See [`McpError`].
    pub async fn tools(&self, access: Access<'_>) -> Result<Listing, McpError> {
        let deadline = Instant::now() + self.times.list;
        let listing = async {
            let talk = Talk::new(self, access, deadline)?;
            match self.pages(&talk).await {
                Err(McpError::SessionGone) => self.pages(&talk).await,
                listed => listed,
            }
        };
        let listed = tokio::time::timeout_at(deadline, listing).await;
        listed.unwrap_or(Err(McpError::Timeout))
    }

    /// Calls a tool. If it takes too long, or is cancelled, the server is told so.
    ///
    /// # Errors
    ///
    /// See [`McpError`].
    pub async fn call(
        &self,
        access: Access<'_>,
        tool: &str,
        arguments: &Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<CallResult, McpError> {
        let deadline = Instant::now() + self.times.call;
        let talk = Talk::new(self, access, deadline)?;
        let id = self.fresh_id();
        let params = json!({"name": tool, "arguments": arguments});
        let calling = async {
            match self.ask(&talk, id, "tools/call", &params).await {
                Err(McpError::SessionGone) => self.ask(&talk, id, "tools/call", &params).await,
                called => called,
            }
        };
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(McpError::Cancelled),
            called = tokio::time::timeout_at(deadline, calling) => {
                called.unwrap_or(Err(McpError::Timeout))
            }
        };
        if matches!(ended, Err(McpError::Cancelled | McpError::Timeout)) {
            self.tell_cancelled(&talk, id).await;
        }
        ended.map(|result| CallResult::of(&result))
    }

    /// Ends the session with the server, if there is one, for politeness: servers end sessions by themselves too.
    pub async fn end(&self, access: Access<'_>) {
        let Era::Begun(begun) = std::mem::replace(&mut *self.era.lock().await, Era::Unknown) else {
            return;
        };
        let deadline = Instant::now() + MCP_ASIDE_TIME;
        if begun.session.is_some()
            && let Ok(talk) = Talk::new(self, access, deadline)
        {
            let _ = talk
                .send(Method::DELETE, None, begun.headers("", None))
                .await;
        }
    }

    fn fresh_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    async fn pages(&self, talk: &Talk<'_>) -> Result<Listing, McpError> {
        let mut gathering = Gathering::default();
        let mut cursor: Option<String> = None;
        for _ in 0..MCP_TOOL_PAGES {
            let params = match &cursor {
                Some(cursor) => json!({"cursor": cursor}),
                None => json!({}),
            };
            let id = self.fresh_id();
            let mut page = self.ask(talk, id, "tools/list", &params).await?;
            let Some(Value::Array(tools)) = page.remove("tools") else {
                return Err(McpError::Malformed("the list of its tools is none"));
            };
            gathering.add(tools);
            cursor = match page.remove("nextCursor") {
                None | Some(Value::Null) => return Ok(gathering.whole()),
                Some(Value::String(next)) if next.len() <= MCP_CURSOR_BYTES => Some(next),
                Some(_) => return Err(McpError::Malformed("a cursor is no text, or too long")),
            };
        }
        Err(McpError::Malformed("the list of its tools does not end"))
    }

    /// A request and its result, in the session that there is, or one that is begun.
    async fn ask(
        &self,
        talk: &Talk<'_>,
        id: u64,
        method: &'static str,
        params: &Value,
    ) -> Result<Map<String, Value>, McpError> {
        let begun = self.begun(talk).await?;
        let mut params = params.clone();
        let name = params["name"].as_str().map(str::to_owned);
        if !begun.has_sessions {
            params["_meta"] = without_session();
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let headers = begun.headers(method, name.as_deref());
        let asked = talk.request(id, &message, &headers).await;
        match &asked {
            Err(McpError::SessionGone) => {
                self.forget(&begun).await;
                // Most likely it was started anew.
                self.has_changed.store(true, Ordering::Relaxed);
            }
            // It was not of this revision, either.
            Err(error) if !begun.has_sessions && is_another_revision(error) => {
                self.forget(&begun).await;
            }
            Err(_) => {}
            Ok(result) if is_incomplete(result) => {
                return Err(McpError::Malformed(
                    "it wants input that nobody can give here",
                ));
            }
            Ok(_) => {}
        }
        asked
    }

    /// Begins, if that was not done. Whoever else wants to waits meanwhile.
    async fn begun(&self, talk: &Talk<'_>) -> Result<Arc<Begun>, McpError> {
        let mut era = self.era.lock().await;
        if let Era::Begun(begun) = &*era {
            return Ok(Arc::clone(begun));
        }
        let begun = match self.initialize(talk).await {
            Ok(begun) => begun,
            Err(error) if is_another_revision(&error) => Begun {
                version: HeaderValue::from_static(WITHOUT_SESSIONS),
                session: None,
                has_sessions: false,
            },
            Err(error) => return Err(error),
        };
        let begun = Arc::new(begun);
        *era = Era::Begun(Arc::clone(&begun));
        Ok(begun)
    }

    async fn initialize(&self, talk: &Talk<'_>) -> Result<Begun, McpError> {
        let id = self.fresh_id();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
            "protocolVersion": WITH_SESSIONS[0],
            "capabilities": {},
            "clientInfo": client_info(),
        }});
        let (result, session) = talk.begin(id, &message).await?;
        let version = result.get("protocolVersion").and_then(Value::as_str);
        let version = WITH_SESSIONS.iter().find(|known| Some(**known) == version);
        let version = version.ok_or(McpError::Malformed(
            "it speaks no revision that is known here",
        ))?;
        if session.as_ref().is_some_and(|id| id.len() > MCP_ID_BYTES) {
            return Err(McpError::Malformed("the id of its session is too long"));
        }
        let begun = Begun {
            version: HeaderValue::from_static(version),
            session,
            has_sessions: true,
        };
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        // What is answered to it says nothing; the next request does.
        talk.tell(&told, begun.headers("notifications/initialized", None))
            .await;
        Ok(begun)
    }

    async fn forget(&self, gone: &Arc<Begun>) {
        let mut era = self.era.lock().await;
        if matches!(&*era, Era::Begun(begun) if Arc::ptr_eq(begun, gone)) {
            *era = Era::Unknown;
        }
    }

    /// Where there are no sessions, the end of the connection says it.
    async fn tell_cancelled(&self, talk: &Talk<'_>, id: u64) {
        const CANCELLED: &str = "notifications/cancelled";
        let Ok(era) = self.era.try_lock().map(|era| era.clone()) else {
            // It had not even begun.
            return;
        };
        if let Era::Begun(begun) = era
            && begun.has_sessions
        {
            let params = json!({"requestId": id, "reason": "nobody waits for it any more"});
            let told = json!({"jsonrpc": "2.0", "method": CANCELLED, "params": params});
            talk.tell(&told, begun.headers(CANCELLED, None)).await;
        }
    }
}

impl Begun {
    fn headers(&self, method: &'static str, name: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![(VERSION, self.version.clone())];
        headers.extend(self.session.clone().map(|session| (SESSION, session)));
        if !self.has_sessions {
            headers.push((METHOD, HeaderValue::from_static(method)));
            let name = name.and_then(|name| HeaderValue::from_str(name).ok());
            headers.extend(name.map(|name| (NAME, name)));
        }
        headers
    }
}

/// Whether an answer says that the server does not know what it was asked.
fn is_another_revision(error: &McpError) -> bool {
    matches!(error, McpError::Rpc(_) | McpError::Status(400 | 404 | 405))
}

/// Whether a result of the revision without sessions is only a question back.
fn is_incomplete(result: &Map<String, Value>) -> bool {
    result
        .get("resultType")
        .is_some_and(|kind| kind != "complete")
}

fn without_session() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": WITHOUT_SESSIONS,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

fn client_info() -> Value {
    json!({"name": "bailiwick", "version": env!("CARGO_PKG_VERSION")})
}
