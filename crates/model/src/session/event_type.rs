//! The kinds of what happens in a session, in the words of the wire.

use std::fmt;
use std::str::FromStr;

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// What kind of thing happened in a session.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SessionEventType {
            $($(#[$doc])* $name,)+
        }

        impl SessionEventType {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The wire's word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

event_types! {
    /// Somebody said something to the agent.
    UserMessage = "user.message";
    /// Somebody wants it to stop what it does.
    UserInterrupt = "user.interrupt";
    /// Somebody allows a call of a tool, or does not.
    UserToolConfirmation = "user.tool_confirmation";
    /// What a tool of the client came to.
    UserCustomToolResult = "user.custom_tool_result";
    /// What a tool came to that a worker ran.
    UserToolResult = "user.tool_result";
    /// What the agent is to achieve.
    UserDefineOutcome = "user.define_outcome";
    /// What the agent is told besides, with more weight.
    SystemMessage = "system.message";
    /// The agent said something.
    AgentMessage = "agent.message";
    /// The agent thinks.
    AgentThinking = "agent.thinking";
    /// The agent calls a tool of the sandbox.
    AgentToolUse = "agent.tool_use";
    /// What a tool of the sandbox came to.
    AgentToolResult = "agent.tool_result";
    /// The agent calls a tool of an MCP server.
    AgentMcpToolUse = "agent.mcp_tool_use";
    /// What a tool of an MCP server came to.
    AgentMcpToolResult = "agent.mcp_tool_result";
    /// The agent calls a tool of the client.
    AgentCustomToolUse = "agent.custom_tool_use";
    /// A thread was told something by another one.
    AgentThreadMessageReceived = "agent.thread_message_received";
    /// A thread told another one something.
    AgentThreadMessageSent = "agent.thread_message_sent";
    /// What was said so far was summed up.
    AgentThreadContextCompacted = "agent.thread_context_compacted";
    /// It runs.
    SessionStatusRunning = "session.status_running";
    /// It waits for input.
    SessionStatusIdle = "session.status_idle";
    /// It is tried again.
    SessionStatusRescheduled = "session.status_rescheduled";
    /// It has ended.
    SessionStatusTerminated = "session.status_terminated";
    /// It is gone. Nobody reads it again: streams alone have it.
    SessionDeleted = "session.deleted";
    /// Somebody changed it.
    SessionUpdated = "session.updated";
    /// Something failed.
    SessionError = "session.error";
    /// What it has used so far.
    SessionUsage = "session.usage";
    /// It has one more thread.
    SessionThreadCreated = "session.thread_created";
    /// A thread runs.
    SessionThreadStatusRunning = "session.thread_status_running";
    /// A thread waits.
    SessionThreadStatusIdle = "session.thread_status_idle";
    /// A thread is tried again.
    SessionThreadStatusRescheduled = "session.thread_status_rescheduled";
    /// A thread has ended.
    SessionThreadStatusTerminated = "session.thread_status_terminated";
    /// A model was asked.
    SpanModelRequestStart = "span.model_request_start";
    /// A model answered, or failed.
    SpanModelRequestEnd = "span.model_request_end";
    /// What was achieved is being judged.
    SpanOutcomeEvaluationStart = "span.outcome_evaluation_start";
    /// It is still being judged.
    SpanOutcomeEvaluationOngoing = "span.outcome_evaluation_ongoing";
    /// It was judged.
    SpanOutcomeEvaluationEnd = "span.outcome_evaluation_end";
    /// A workflow was begun.
    WorkflowRunCreated = "workflow_run.created";
    /// A workflow runs.
    WorkflowRunStatusRunning = "workflow_run.status_running";
    /// A workflow waits.
    WorkflowRunStatusIdle = "workflow_run.status_idle";
    /// A workflow has ended.
    WorkflowRunStatusEnded = "workflow_run.status_ended";
    /// A workflow failed.
    WorkflowRunError = "workflow_run.error";
    /// A part of a workflow was begun.
    WorkflowRunPhaseStarted = "workflow_run.phase_started";
    /// A part of a workflow has ended.
    WorkflowRunPhaseEnded = "workflow_run.phase_ended";
}

/// A word that is none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the type of an event of a session")]
pub struct UnknownSessionEventType(pub String);

impl SessionEventType {
    /// Whether it is the agent's call of some tool.
    pub fn is_tool_use(self) -> bool {
        matches!(
            self,
            Self::AgentToolUse | Self::AgentMcpToolUse | Self::AgentCustomToolUse
        )
    }
}

impl FromStr for SessionEventType {
    type Err = UnknownSessionEventType;

    fn from_str(text: &str) -> Result<Self, UnknownSessionEventType> {
        let mut all = Self::ALL.iter().copied();
        let found = all.find(|known| known.as_str() == text);
        found.ok_or_else(|| UnknownSessionEventType(text.to_owned()))
    }
}

impl fmt::Display for SessionEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
