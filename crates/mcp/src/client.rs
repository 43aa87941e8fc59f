//! A client of one MCP server: its tools, and calls of them.
//!
//! Streamable HTTP of the revisions from 2025-03-26 on, with and without sessions; where a server refuses that, the older transport of
//! 2024-11-05. Each request is dialled by itself, under the policy and with the token that hold at that moment. What is kept open besides (a
//! stream of news, the stream of the older transport) is closed by the next use whose policy or token would not let it be made. So nothing
//! that was taken away lives on in a connection. What the server says is bounded in bytes and time, and rid of the token before anybody sees it.
//!
//! A call is sent once. It is sent again only where the server says that it did not know the session it came with, and so ran nothing.

mod begun;
mod kept;
mod line;
mod listening;
mod talk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_model::limits::{
    MCP_ASIDE_TIME, MCP_CALL_TIME, MCP_CURSOR_BYTES, MCP_ID_BYTES, MCP_LIST_TIME, MCP_TOOL_PAGES,
};
use bailiwick_outbound::{Outbound, OutboundError, Waited};
use bailiwick_policy::Policy;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::heard::RpcError;
use crate::result::CallResult;
use crate::tools::{Gathering, Listing};
use begun::{Begun, Transport};
use line::Line;
use listening::Ear;
pub use listening::Listening;
pub(crate) use talk::{LAST_EVENT, UNREAD};
use talk::{TOOLS_CHANGED, Talk};

/// Revisions with sessions, the newest first: the first is asked for, the others are taken.
pub(crate) const WITH_SESSIONS: [&str; 4] =
    ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The first revision without.
pub(crate) const WITHOUT_SESSIONS: &str = "2026-07-28";
pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");

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
    /// What was agreed with it, if anything.
    begun: Mutex<Option<Arc<Begun>>>,
    ear: Mutex<Option<Ear>>,
    last_id: AtomicU64,
    has_changed: Arc<AtomicBool>,
    has_no_news: AtomicBool,
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
    /// A server of the older transport wants messages to be sent to another origin.
    #[error("the server names an endpoint of another origin, where nothing is sent")]
    Endpoint,
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
    /// The program that it is has ended, and with it whatever was asked.
    #[error("the server's program has ended")]
    Ended,
    /// It is a program that should run and does not; the text says why, and what to do.
    #[error("{0}")]
    NotRunning(Box<str>),
    /// It took too long.
    #[error("the server did not answer in time")]
    Timeout,
    /// Whoever has the access to it says no, in these words.
    #[error("{0}")]
    NotAsked(String),
    /// Whoever asked wants it no more.
    #[error("interrupted")]
    Cancelled,
    /// The server does not know the session any more.
    #[error("the server ends each session at once")]
    SessionGone,
}

impl McpError {
    /// Whether what was asked for may have happened all the same.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::TooLong
            | Self::Cut
            | Self::Ended
            | Self::Timeout
            | Self::Cancelled
            | Self::Outbound(OutboundError::Http(_) | OutboundError::Timeout(Waited::Answer)) => {
                true
            }
            // What a server does not understand, or does not let in, it has not run; taken (202) and failed (5xx) say nothing of that.
            Self::Status(status) => !matches!(status, 400..=407 | 409..=499),
            Self::Outbound(
                OutboundError::Url(_)
                | OutboundError::Dial(_)
                | OutboundError::Tls(_)
                | OutboundError::Timeout(Waited::Connection),
            )
            | Self::Token
            | Self::NotAsked(_)
            | Self::Unauthorized
            | Self::Forbidden
            | Self::Redirect(_)
            | Self::Endpoint
            | Self::Rpc(_)
            | Self::NotRunning(_)
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
            begun: Mutex::default(),
            ear: Mutex::default(),
            last_id: AtomicU64::new(0),
            has_changed: Arc::default(),
            has_no_news: AtomicBool::new(false),
        }
    }

    /// Asks whether a policy allows the server: its name, and the addresses that it has now. One that is allowed is connected to, and told
    /// nothing; it need not answer.
    ///
    /// # Errors
    ///
    /// Why it is denied, or why nobody can tell: its name does not resolve now.
    pub async fn allowed(&self, policy: &Policy) -> Result<(), OutboundError> {
        crate::outbound::allowed((&self.outbound, policy), &self.server).await
    }

    /// With other bounds of time than the usual ones.
    #[must_use]
    pub fn with_times(self, times: McpTimes) -> Self {
        Self { times, ..self }
    }

    /// Whether the server may have other tools than those that it [listed](Self::tools) last: it said so, or it forgot its session.
    pub fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Relaxed)
    }

    fn has_other_tools(&self) {
        self.has_changed.store(true, Ordering::Relaxed);
    }

    /// Takes note of what the server told.
    fn told(&self, method: &str) {
        if method == TOOLS_CHANGED {
            self.has_other_tools();
        }
    }

    /// Whether there is nothing to [listen](Self::listen) to: the server said so when it was last asked, since it was begun with.
    pub fn has_no_news(&self) -> bool {
        self.has_no_news.load(Ordering::Relaxed)
    }

    /// There are none in what was begun, if that is what is used still.
    fn has_no_news_of(&self, gone: &Arc<Begun>) {
        // Whoever has it begins anew.
        if let Ok(begun) = self.begun.try_lock()
            && begun.as_ref().is_some_and(|begun| Arc::ptr_eq(begun, gone))
        {
            self.has_no_news.store(true, Ordering::Relaxed);
        }
    }

    /// Hears for this long what the server says without being asked; [`Self::has_changed`] has what came of it. A stream that is open stays
    /// open until this is asked again, which whoever listens does at once, with the access of then, or they [hang up](Self::hang_up).
    ///
    /// # Errors
    ///
    /// See [`McpError`]. What may pass is no error, and tried again.
    pub async fn listen(&self, access: Access<'_>, time: Duration) -> Result<Listening, McpError> {
        let end = Instant::now() + time;
        let mut ear = self.ear.lock().await;
        // Whoever begins may take long, and nobody looks meanwhile whether the stream may be open.
        let known = timeout_at(end, self.begun.lock()).await;
        let Ok(known) = known.map(|begun| begun.clone()) else {
            if let Some(ear) = &mut *ear {
                ear.close();
            }
            return Ok(Listening::GoesOn);
        };
        let Some(begun) = known else {
            *ear = None;
            return Ok(Listening::IsOver);
        };
        let listened = match &begun.transport {
            Transport::NoSessions => Ok(Listening::IsOver),
            Transport::Line(line) => {
                let talk = Talk::new(self, access, end)?;
                let goes_on = begun.holds(self, access) && line.listen(&talk, end).await;
                if goes_on {
                    return Ok(Listening::GoesOn);
                }
                Err(McpError::SessionGone)
            }
            Transport::Sessions(_) => {
                let known = ear.take().filter(|ear| ear.is_of(&begun));
                let ear = ear.insert(known.unwrap_or_else(|| Ear::of(Arc::clone(&begun))));
                ear.listen(self, access, end).await
            }
        };
        match listened {
            Ok(Listening::GoesOn) => return listened,
            Ok(Listening::IsOver) => self.has_no_news_of(&begun),
            Err(McpError::SessionGone) => {
                *ear = None;
                self.forget(&begun).await;
                self.has_other_tools();
                return Ok(Listening::IsOver);
            }
            // The place in the stream stays, for whoever may listen again.
            Err(_) => return listened,
        }
        *ear = None;
        listened
    }

    /// Closes what is kept open. The session with the server goes on if it does not hang on that.
    pub async fn hang_up(&self) {
        if let Some(ear) = &mut *self.ear.lock().await {
            ear.close();
        }
        let mut begun = self.begun.lock().await;
        let is_line = |begun: &Arc<Begun>| matches!(begun.transport, Transport::Line(_));
        if begun.as_ref().is_some_and(is_line) {
            *begun = None;
            self.has_other_tools();
        }
    }

    /// The tools of the server.
    ///
    /// # Errors
    ///
    /// See [`McpError`].
    pub async fn tools(&self, access: Access<'_>) -> Result<Listing, McpError> {
        let deadline = Instant::now() + self.times.list;
        let looking = Looking::begin(&self.has_changed);
        let listing = async {
            let talk = Talk::new(self, access, deadline)?;
            match self.pages(&talk).await {
                Err(McpError::SessionGone) => self.pages(&talk).await,
                listed => listed,
            }
        };
        let listed = timeout_at(deadline, listing).await;
        let listed = listed.map_err(|_| McpError::Timeout)??;
        looking.end();
        Ok(listed)
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
            called = timeout_at(deadline, calling) => {
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
        *self.ear.lock().await = None;
        let Some(begun) = self.begun.lock().await.take() else {
            return;
        };
        let deadline = Instant::now() + MCP_ASIDE_TIME;
        if begun.has_session_id()
            && let Ok(talk) = Talk::new(self, access, deadline)
        {
            let headers = begun.headers("", None);
            let _ = talk.send(Method::DELETE, &self.server, None, headers).await;
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
                return Err(McpError::Malformed("its list of tools is not a list"));
            };
            gathering.add(tools);
            cursor = match page.remove("nextCursor") {
                None | Some(Value::Null) => return Ok(gathering.whole()),
                Some(Value::String(next)) if next.len() <= MCP_CURSOR_BYTES => Some(next),
                Some(_) => return Err(McpError::Malformed("a cursor is not text, or too long")),
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
        if !begun.has_sessions() {
            params["_meta"] = without_session();
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let asked = begun.request(talk, (id, method), &message).await;
        match &asked {
            Err(McpError::SessionGone) => {
                self.forget(&begun).await;
                // Most likely it was started anew.
                self.has_other_tools();
            }
            // It was not of this revision, either.
            Err(error) if !begun.has_sessions() && is_another_revision(error) => {
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
        let mut known = self.begun.lock().await;
        if let Some(begun) = &*known {
            if begun.holds(self, talk.access) {
                return Ok(Arc::clone(begun));
            }
            *known = None;
            self.has_other_tools();
        }
        self.has_no_news.store(false, Ordering::Relaxed);
        let begun = Arc::new(self.begin(talk).await?);
        *known = Some(Arc::clone(&begun));
        Ok(begun)
    }

    /// In the newest way that the server knows.
    async fn begin(&self, talk: &Talk<'_>) -> Result<Begun, McpError> {
        let refused = match self.initialize(talk, None).await {
            Err(error) => error,
            begun => return begun,
        };
        // As the specification has it: who does not take the message there may have a stream instead.
        if matches!(refused, McpError::Status(400..=499))
            && let Some(line) = Line::open(talk).await?
        {
            return self.initialize(talk, Some(line)).await;
        }
        if is_another_revision(&refused) {
            return Ok(Begun {
                version: HeaderValue::from_static(WITHOUT_SESSIONS),
                transport: Transport::NoSessions,
            });
        }
        Err(refused)
    }

    async fn initialize(&self, talk: &Talk<'_>, line: Option<Line>) -> Result<Begun, McpError> {
        const INITIALIZED: &str = "notifications/initialized";
        let id = self.fresh_id();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
            "protocolVersion": WITH_SESSIONS[0],
            "capabilities": {},
            "clientInfo": client_info(),
        }});
        let (result, transport) = match line {
            Some(line) => (
                line.request(talk, id, &message).await?,
                Transport::Line(line),
            ),
            None => {
                let (result, session) = talk.begin(id, &message).await?;
                (result, Transport::Sessions(session))
            }
        };
        let version = result.get("protocolVersion").and_then(Value::as_str);
        let version = WITH_SESSIONS.iter().find(|known| Some(**known) == version);
        let version = version.ok_or(McpError::Malformed(
            "it speaks no revision that is known here",
        ))?;
        if matches!(&transport, Transport::Sessions(Some(id)) if id.len() > MCP_ID_BYTES) {
            return Err(McpError::Malformed("the id of its session is too long"));
        }
        let begun = Begun {
            version: HeaderValue::from_static(version),
            transport,
        };
        // What is answered to it says nothing; the next request does.
        let told = json!({"jsonrpc": "2.0", "method": INITIALIZED});
        begun.tell(talk, INITIALIZED, &told).await;
        Ok(begun)
    }

    async fn forget(&self, gone: &Arc<Begun>) {
        let mut known = self.begun.lock().await;
        if known.as_ref().is_some_and(|begun| Arc::ptr_eq(begun, gone)) {
            *known = None;
        }
    }

    /// Where there are no sessions, the end of the connection says it.
    async fn tell_cancelled(&self, talk: &Talk<'_>, id: u64) {
        const CANCELLED: &str = "notifications/cancelled";
        // Where another use begins just now, nobody can tell in which session it was.
        let Ok(Some(begun)) = self.begun.try_lock().map(|begun| begun.clone()) else {
            return;
        };
        if begun.has_sessions() {
            let params = json!({"requestId": id, "reason": "nobody waits for it any more"});
            let told = json!({"jsonrpc": "2.0", "method": CANCELLED, "params": params});
            begun.tell(talk, CANCELLED, &told).await;
        }
    }
}

/// A look at what a server has. What had changed before is still a change unless the look comes to its end.
struct Looking<'c> {
    has_changed: &'c AtomicBool,
    had_changed: bool,
}

impl<'c> Looking<'c> {
    fn begin(has_changed: &'c AtomicBool) -> Self {
        Self {
            had_changed: has_changed.swap(false, Ordering::Relaxed),
            has_changed,
        }
    }

    fn end(mut self) {
        self.had_changed = false;
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if self.had_changed {
            self.has_changed.store(true, Ordering::Relaxed);
        }
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

pub(crate) fn client_info() -> Value {
    json!({"name": "bailiwick", "version": env!("CARGO_PKG_VERSION")})
}
