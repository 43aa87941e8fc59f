//! What agents do, as whoever runs them tells it.

use bailiwick_model::{SessionEventId, SessionEventType, SessionThreadId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content::{ContentBlock, TextBlock};
use super::{body_of, of_body};

/// Something that happens while an agent works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(missing_docs, reason = "fields are the wire's")]
pub enum AgentEvent {
    /// It says something.
    #[serde(rename = "agent.message")]
    Message { content: Vec<TextBlock> },
    /// It thinks.
    #[serde(rename = "agent.thinking")]
    Thinking {},
    /// It calls a tool of the sandbox, or of the server.
    #[serde(rename = "agent.tool_use")]
    ToolUse {
        name: String,
        input: Map<String, Value>,
        #[serde(flatten)]
        permission: CallPermission,
    },
    /// What that came to.
    #[serde(rename = "agent.tool_result")]
    ToolResult {
        tool_use_id: SessionEventId,
        #[serde(flatten)]
        output: ToolOutput,
    },
    /// It calls a tool of an MCP server.
    #[serde(rename = "agent.mcp_tool_use")]
    McpToolUse {
        mcp_server_name: String,
        name: String,
        input: Map<String, Value>,
        #[serde(flatten)]
        permission: CallPermission,
    },
    /// What that came to.
    #[serde(rename = "agent.mcp_tool_result")]
    McpToolResult {
        mcp_tool_use_id: SessionEventId,
        #[serde(flatten)]
        output: ToolOutput,
    },
    /// It calls a tool of the client.
    #[serde(rename = "agent.custom_tool_use")]
    CustomToolUse {
        name: String,
        input: Map<String, Value>,
    },
    /// Another thread told this one something.
    #[serde(rename = "agent.thread_message_received")]
    ThreadMessageReceived {
        from_session_thread_id: SessionThreadId,
        from_agent_name: Option<String>,
        content: Vec<ContentBlock>,
    },
    /// This thread told another one something.
    #[serde(rename = "agent.thread_message_sent")]
    ThreadMessageSent {
        to_session_thread_id: SessionThreadId,
        to_agent_name: Option<String>,
        content: Vec<ContentBlock>,
    },
    /// What was said so far was summed up.
    #[serde(rename = "agent.thread_context_compacted")]
    ContextCompacted {},
    /// Something failed.
    #[serde(rename = "session.error")]
    Error { error: SessionError },
    /// A model was asked.
    #[serde(rename = "span.model_request_start")]
    ModelRequestStart {},
    /// It answered, or failed.
    #[serde(rename = "span.model_request_end")]
    ModelRequestEnd {
        model_request_start_id: SessionEventId,
        is_error: bool,
        model_usage: ModelUsage,
    },
}

/// Whether a call may be made, and who says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPermission {
    /// Whether it may; a call that the server refused before it asked anybody is denied.
    pub evaluated_permission: Option<PermissionEvaluation>,
    /// Which policy said so, as the wire shows it.
    pub evaluation: Option<Value>,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermissionEvaluation {
    /// It may.
    Allow,
    /// If somebody confirms it.
    Ask,
    /// It may not.
    Deny,
}

/// What a call came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// What.
    pub content: Option<Vec<ContentBlock>>,
    /// Whether it failed.
    pub is_error: Option<bool>,
}

/// What one request of a model has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "fields are the wire's")]
pub struct ModelUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub cache_creation_input_tokens: u64,
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionError {
    /// What kind of failure it is, with what belongs to it.
    #[serde(flatten)]
    pub kind: SessionErrorKind,
    /// What happened, in words.
    pub message: String,
    /// Whether it is tried again.
    pub retry_status: RetryStatus,
}

/// What kind of failure it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(missing_docs, reason = "fields are the wire's")]
pub enum SessionErrorKind {
    /// None of the others.
    #[serde(rename = "unknown_error")]
    Unknown,
    /// The model has too much to do.
    #[serde(rename = "model_overloaded_error")]
    ModelOverloaded,
    /// The model was asked too often.
    #[serde(rename = "model_rate_limited_error")]
    ModelRateLimited,
    /// The model did not answer.
    #[serde(rename = "model_request_failed_error")]
    ModelRequestFailed,
    /// An MCP server cannot be reached.
    #[serde(rename = "mcp_connection_failed_error")]
    McpConnectionFailed { mcp_server_name: String },
    /// An MCP server takes no credential that there is.
    #[serde(rename = "mcp_authentication_failed_error")]
    McpAuthenticationFailed { mcp_server_name: String },
    /// Nobody pays.
    #[serde(rename = "billing_error")]
    Billing,
    /// The host of a credential cannot be reached.
    #[serde(rename = "credential_host_unreachable_error")]
    CredentialHostUnreachable {
        vault_id: String,
        credential_id: String,
    },
    /// Too many tools were called.
    #[serde(rename = "tool_use_limit_reached_error")]
    ToolUseLimitReached,
    /// What was said cannot be summed up any further.
    #[serde(rename = "compaction_limit_reached_error")]
    CompactionLimitReached,
    /// A repository takes no token that there is.
    #[serde(rename = "repository_authentication_error")]
    RepositoryAuthentication { repository_url: Option<String> },
    /// A repository is not for this token.
    #[serde(rename = "repository_forbidden_error")]
    RepositoryForbidden { repository_url: Option<String> },
    /// There is no such repository.
    #[serde(rename = "repository_not_found_error")]
    RepositoryNotFound { repository_url: Option<String> },
    /// A repository has no such branch or commit.
    #[serde(rename = "repository_checkout_error")]
    RepositoryCheckout { repository_url: Option<String> },
    /// A repository cannot be cloned.
    #[serde(rename = "repository_clone_error")]
    RepositoryClone { repository_url: Option<String> },
}

/// Whether what failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RetryStatus {
    /// It is.
    Retrying,
    /// It was, too often.
    Exhausted,
    /// It would not help.
    Terminal,
}

impl AgentEvent {
    /// What kind of event it is.
    pub fn kind(&self) -> SessionEventType {
        use SessionEventType as T;
        match self {
            Self::Message { .. } => T::AgentMessage,
            Self::Thinking {} => T::AgentThinking,
            Self::ToolUse { .. } => T::AgentToolUse,
            Self::ToolResult { .. } => T::AgentToolResult,
            Self::McpToolUse { .. } => T::AgentMcpToolUse,
            Self::McpToolResult { .. } => T::AgentMcpToolResult,
            Self::CustomToolUse { .. } => T::AgentCustomToolUse,
            Self::ThreadMessageReceived { .. } => T::AgentThreadMessageReceived,
            Self::ThreadMessageSent { .. } => T::AgentThreadMessageSent,
            Self::ContextCompacted {} => T::AgentThreadContextCompacted,
            Self::Error { .. } => T::SessionError,
            Self::ModelRequestStart {} => T::SpanModelRequestStart,
            Self::ModelRequestEnd { .. } => T::SpanModelRequestEnd,
        }
    }

    /// What is stored of it.
    pub fn body(&self) -> String {
        body_of(self)
    }

    /// One that was stored.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn stored(kind: SessionEventType, body: &str) -> serde_json::Result<Self> {
        of_body(kind, body)
    }

    /// The call of a tool whose result it is.
    pub fn call(&self) -> Option<&SessionEventId> {
        match self {
            Self::ToolResult { tool_use_id, .. } => Some(tool_use_id),
            Self::McpToolResult {
                mcp_tool_use_id, ..
            } => Some(mcp_tool_use_id),
            Self::Message { .. }
            | Self::Thinking {}
            | Self::ToolUse { .. }
            | Self::McpToolUse { .. }
            | Self::CustomToolUse { .. }
            | Self::ThreadMessageReceived { .. }
            | Self::ThreadMessageSent { .. }
            | Self::ContextCompacted {}
            | Self::Error { .. }
            | Self::ModelRequestStart {}
            | Self::ModelRequestEnd { .. } => None,
        }
    }
}
