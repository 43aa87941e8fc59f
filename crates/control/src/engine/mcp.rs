//! MCP servers of sessions at work: their lists of tools, and calls.
//!
//! A session with a server lasts as long as the session of the agent uses it, over several turns, since servers may keep things in it. It is
//! only known to this process: another one begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_mcp::{CallResult, Content, Listing, McpClient, McpError};
use bailiwick_model::limits::{
    MCP_IDLE_TIME, MCP_LISTENERS, MCP_LISTENERS_OF_ORGANIZATION, TOOL_OUTPUT_CHARS,
    TOOL_PREVIEW_CHARS,
};
use bailiwick_model::{OrganizationId, SessionId};
use bailiwick_outbound::OutboundError;
use bailiwick_store::Session;
use bailiwick_tools::Context;
use bailiwick_wire::{ContentBlock, ImageSource, RetryStatus, SessionErrorKind, ToolOutput};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Shared;
use super::failing::failure;
use super::history::Call;
use super::mcp_news::Listener;
use super::mcp_tools::McpServerOfAgent;
use crate::control::Control;
use crate::mcp_access::{McpAccess, NoMcpAccess};
use crate::session_engine::NewAgentEvent;
use crate::shares::Shares;
use crate::validation::detail;

/// The clients that sessions have, by what they are of.
pub(crate) struct McpClients {
    all: Mutex<HashMap<(SessionId, String), Known>>,
    /// Places of those that listen.
    listeners: Shares,
}

struct Known {
    organization: OrganizationId,
    client: Arc<McpClient>,
    used: Instant,
    listener: Option<Listener>,
}

impl Default for McpClients {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            listeners: Shares::new(MCP_LISTENERS, MCP_LISTENERS_OF_ORGANIZATION),
        }
    }
}

impl Known {
    fn is_listening(&self) -> bool {
        self.listener.as_ref().is_some_and(Listener::is_at_work)
    }
}

/// Whose use of a server it is.
#[derive(Clone, Copy)]
pub(crate) struct OfSession<'a> {
    pub(crate) organization: &'a OrganizationId,
    pub(crate) session: &'a Session,
}

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum McpFailure {
    #[error(transparent)]
    Access(#[from] NoMcpAccess),
    #[error("{}", words(.0))]
    Server(#[from] McpError),
    /// What it was asked for was under way.
    #[error("it may not be reached any more: {}", detail(.0))]
    Denied(OutboundError),
    #[error("its URL is not valid")]
    Url,
}

/// In one line; where a policy denies it, with what would change that.
fn words(error: &McpError) -> String {
    match error {
        McpError::Outbound(error) => detail(error),
        McpError::NotAsked(_)
        | McpError::Token
        | McpError::Unauthorized
        | McpError::Forbidden
        | McpError::Redirect(_)
        | McpError::Endpoint
        | McpError::Status(_)
        | McpError::Rpc(_)
        | McpError::Malformed(_)
        | McpError::TooLong
        | McpError::Cut
        | McpError::Ended
        | McpError::NotRunning(_)
        | McpError::Timeout
        | McpError::Cancelled
        | McpError::SessionGone => error.to_string(),
    }
}

impl McpFailure {
    /// The kind of failure that is told of the session; `None` for what is only the call's.
    fn kind(&self, server: &str) -> Option<SessionErrorKind> {
        let mcp_server_name = server.to_owned();
        let is_of_connection = match self {
            Self::Access(
                NoMcpAccess::NoCredential | NoMcpAccess::NotTaken | NoMcpAccess::NoToken(_),
            )
            | Self::Server(McpError::Token | McpError::Unauthorized | McpError::Forbidden) => false,
            Self::Access(NoMcpAccess::NoWayOut | NoMcpAccess::Control(_))
            | Self::Url
            | Self::Denied(_)
            | Self::Server(
                McpError::Outbound(_)
                | McpError::Redirect(_)
                | McpError::Endpoint
                | McpError::NotAsked(_)
                | McpError::Status(_),
            ) => true,
            Self::Server(
                McpError::Rpc(_)
                | McpError::Malformed(_)
                | McpError::TooLong
                | McpError::Cut
                | McpError::Ended
                | McpError::NotRunning(_)
                | McpError::Timeout
                | McpError::Cancelled
                | McpError::SessionGone,
            ) => return None,
        };
        Some(if is_of_connection {
            SessionErrorKind::McpConnectionFailed { mcp_server_name }
        } else {
            SessionErrorKind::McpAuthenticationFailed { mcp_server_name }
        })
    }

    /// What is told of a server whose tools cannot be listed.
    pub(crate) fn of_listing(&self, server: &str) -> NewAgentEvent {
        let connection = || SessionErrorKind::McpConnectionFailed {
            mcp_server_name: server.to_owned(),
        };
        let kind = self.kind(server).unwrap_or_else(connection);
        self.told(kind, server)
    }

    fn of_call(&self, server: &str) -> Option<NewAgentEvent> {
        Some(self.told(self.kind(server)?, server))
    }

    fn told(&self, kind: SessionErrorKind, server: &str) -> NewAgentEvent {
        let message = format!("the MCP server {server:?} cannot be used: {self}");
        failure(kind, message, RetryStatus::Exhausted)
    }

    /// What the model is told of a call.
    fn of_result(&self, server: &str) -> ToolOutput {
        let (may_have_happened, is_policy) = match self {
            Self::Server(error) => {
                let is_policy =
                    matches!(error, McpError::Outbound(error) if error.denial().is_some());
                (error.may_have_happened(), is_policy)
            }
            Self::Denied(_) => (true, true),
            Self::Access(_) | Self::Url => (false, false),
        };
        let more = match (may_have_happened, is_policy) {
            (true, _) => {
                "; the call may have happened, wholly or in part, and was not made again: look before you repeat it"
            }
            (false, true) => "; this is policy, and trying again does not help",
            (false, false) => "",
        };
        super::runner::told(&format!("the MCP server {server:?}: {self}{more}"))
    }
}

impl McpClients {
    fn known(&self, of: OfSession<'_>, server: &McpServerOfAgent) -> Option<Arc<McpClient>> {
        let mut all = self.lock();
        let known = all.get_mut(&(of.session.id.clone(), server.url.clone()))?;
        known.used = Instant::now();
        Some(Arc::clone(&known.client))
    }

    /// Takes this one, unless there is one already.
    fn take(
        &self,
        of: OfSession<'_>,
        server: &McpServerOfAgent,
        client: McpClient,
    ) -> Arc<McpClient> {
        let mut all = self.lock();
        let key = (of.session.id.clone(), server.url.clone());
        let known = all.entry(key).or_insert_with(|| Known {
            organization: of.organization.clone(),
            client: Arc::new(client),
            used: Instant::now(),
            listener: None,
        });
        Arc::clone(&known.client)
    }

    /// Hears from now on what a server says without being asked, if that is not done and there is a place for it.
    fn listen(&self, control: &Arc<Control>, of: OfSession<'_>, server: &McpServerOfAgent) {
        let mut all = self.lock();
        let key = (of.session.id.clone(), server.url.clone());
        let Some(known) = all.get_mut(&key) else {
            return;
        };
        if known.is_listening() || known.client.has_no_news() {
            return;
        }
        if let Some(place) = self.listeners.take(of.organization) {
            known.listener = Some(Listener::start(
                Arc::clone(control),
                (of.organization.clone(), key.0),
                key.1,
                Arc::clone(&known.client),
                place,
            ));
        }
    }

    /// Whether a server may have other tools than were listed: it said so, or nobody has listened to it.
    pub(crate) fn has_changed(&self, session: &SessionId, server: &McpServerOfAgent) -> bool {
        let all = self.lock();
        let known = all.get(&(session.clone(), server.url.clone()));
        known.is_none_or(|known| known.client.has_changed())
    }

    /// Takes out those that nobody has used for long.
    fn take_idle(&self) -> Vec<((SessionId, String), Known)> {
        let mut all = self.lock();
        // A call may take a while without anybody touching this.
        let is_idle = |known: &Known| {
            let of_its_own = 1 + usize::from(known.is_listening());
            known.used.elapsed() > MCP_IDLE_TIME && Arc::strong_count(&known.client) <= of_its_own
        };
        all.extract_if(|_, known| is_idle(known)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(SessionId, String), Known>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Ends sessions with servers that nobody has used for long. Nobody waits for it.
    pub(crate) fn end_idle_mcp_sessions(self: &Arc<Self>) {
        for ((session, url), known) in self.mcp.take_idle() {
            let control = Arc::clone(&self.control);
            let Known {
                organization,
                client,
                listener,
                ..
            } = known;
            // Nobody waits for what it is listening to.
            drop(listener);
            tokio::spawn(async move {
                let found = control.session_at_work(&organization, &session).await;
                if let Ok(Some(session)) = found
                    && let Ok(access) = control.mcp_access(&organization, &session, &url).await
                {
                    client.end(access.under()).await;
                }
            });
        }
    }

    /// The tools that a server has.
    pub(crate) async fn list_mcp_tools(
        &self,
        of: OfSession<'_>,
        server: &McpServerOfAgent,
    ) -> Result<Listing, McpFailure> {
        let client = self.mcp_client(of, server).await?;
        let control = &self.control;
        let access = control
            .mcp_access(of.organization, of.session, &server.url)
            .await?;
        let listing = async {
            match client.tools(access.under()).await {
                Err(McpError::Unauthorized) => {
                    let anew =
                        control.mcp_access_anew(of.organization, of.session, &server.url, &access);
                    Ok(client.tools(anew.await?.under()).await?)
                }
                listed => Ok(listed?),
            }
        };
        let listed = self.while_let((of, &access, &client), listing).await?;
        self.mcp.listen(control, of, server);
        Ok(listed)
    }

    /// Makes a call: what it came to, and what is told of the session besides.
    pub(crate) async fn call_mcp_tool(
        &self,
        of: OfSession<'_>,
        server: &McpServerOfAgent,
        (call, tool): (&Call, &str),
        cancel: &CancellationToken,
    ) -> (ToolOutput, Option<NewAgentEvent>) {
        let Ok(input) = call.input.read::<Map<String, Value>>() else {
            return (super::runner::told("the input is not an object"), None);
        };
        match self.called(of, server, (tool, &input), cancel).await {
            Ok(result) => (self.output_of(of, call, result).await, None),
            Err(failure) => (
                failure.of_result(&server.name),
                failure.of_call(&server.name),
            ),
        }
    }

    async fn called(
        &self,
        of: OfSession<'_>,
        server: &McpServerOfAgent,
        (tool, input): (&str, &Map<String, Value>),
        cancel: &CancellationToken,
    ) -> Result<CallResult, McpFailure> {
        let client = self.mcp_client(of, server).await?;
        let control = &self.control;
        let access = control.mcp_access(of.organization, of.session, &server.url);
        let access = unless_cancelled(cancel, access).await?;
        let calling = async {
            match client.call(access.under(), tool, input, cancel).await {
                // Who is not let in has had nothing run.
                Err(McpError::Unauthorized) => {
                    let anew =
                        control.mcp_access_anew(of.organization, of.session, &server.url, &access);
                    let anew = unless_cancelled(cancel, anew).await?;
                    let called = client.call(anew.under(), tool, input, cancel).await;
                    called.map_err(McpFailure::from)
                }
                called => called.map_err(McpFailure::from),
            }
        };
        let called = self.while_let((of, &access, &client), calling).await?;
        // Another server may have listed the tools, or this one given up to listen.
        self.mcp.listen(control, of, server);
        Ok(called)
    }

    /// Uses a server for as long as that is let: it may take minutes, and go on over several connections, and outlives no rule.
    async fn while_let<T>(
        &self,
        (of, access, client): (OfSession<'_>, &McpAccess, &McpClient),
        using: impl Future<Output = Result<T, McpFailure>>,
    ) -> Result<T, McpFailure> {
        let session = &of.session.id;
        let denied = self
            .control
            .until_denied(of.organization, session, access, client);
        tokio::select! {
            biased;
            used = using => used,
            denial = denied => Err(McpFailure::Denied(denial)),
        }
    }

    async fn mcp_client(
        &self,
        of: OfSession<'_>,
        server: &McpServerOfAgent,
    ) -> Result<Arc<McpClient>, McpFailure> {
        if let Some(client) = self.mcp.known(of, server) {
            return Ok(client);
        }
        let url = Url::parse(&server.url).map_err(|_| McpFailure::Url)?;
        let account = self.control.mcp_account(of.organization, of.session).await;
        let account = account.map_err(NoMcpAccess::from)?;
        let outbound = self.control.outbound.as_ref();
        let outbound = outbound.ok_or(NoMcpAccess::NoWayOut)?;
        let client = McpClient::new(outbound.on_account(Arc::new(account)), url);
        Ok(self.mcp.take(of, server, client))
    }

    /// A result as an event has it. Text that is too long for a model goes to a file in the sandbox.
    async fn output_of(&self, of: OfSession<'_>, call: &Call, result: CallResult) -> ToolOutput {
        let texts = result.content.iter().filter_map(|content| match content {
            Content::Text(text) => Some(text.as_str()),
            Content::Image { .. } => None,
        });
        let texts: Vec<_> = texts.collect();
        let length: usize = texts.iter().map(|text| text.chars().count()).sum();
        let long = if length > TOOL_OUTPUT_CHARS {
            Some(self.kept(of, call, &texts.join("\n")).await)
        } else {
            None
        };
        let blocks = result
            .content
            .into_iter()
            .filter_map(|content| match content {
                Content::Text(text) => long.is_none().then_some(ContentBlock::Text { text }),
                Content::Image { media_type, data } => Some(ContentBlock::Image {
                    source: ImageSource::Base64 { media_type, data },
                }),
            });
        let blocks: Vec<_> = blocks.collect();
        let long = long.map(|text| ContentBlock::Text { text });
        ToolOutput {
            content: Some(long.into_iter().chain(blocks).collect()),
            is_error: Some(result.is_error),
        }
    }

    /// Puts a long text into a file of the sandbox; what the model is shown instead of it.
    async fn kept(&self, of: OfSession<'_>, call: &Call, text: &str) -> String {
        let path = format!("/tmp/mcp-{}.txt", call.id);
        let input = json!({"file_path": path, "content": text});
        let context = Context {
            cancel: CancellationToken::new(),
            live: None,
        };
        let writing = self
            .workplaces
            .call(of.organization, of.session, "write", input, &context);
        let place = match writing.await.outcome {
            Ok(result) if !result.is_error => format!("the whole output is in {path}"),
            Ok(_) | Err(_) => {
                "the rest is lost, since there is no sandbox to keep it in".to_owned()
            }
        };
        let beginning: String = text.chars().take(TOOL_PREVIEW_CHARS).collect();
        let length = text.chars().count();
        format!("{beginning}\n\n[the first {TOOL_PREVIEW_CHARS} of {length} characters; {place}]")
    }
}

/// Another token may take its time, which an interrupt does not wait for.
async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    access: impl Future<Output = Result<T, NoMcpAccess>>,
) -> Result<T, McpFailure> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(McpError::Cancelled.into()),
        access = access => Ok(access?),
    }
}
