//! What a call of a tool needs from outside before its thread goes on.

use bailiwick_model::SessionEventType;
use bailiwick_store::{SessionAnswer, SessionEvent, StoreError};
use bailiwick_wire::{AgentEvent, ConfirmationResult, PermissionEvaluation, UserEvent};

use crate::error::ControlError;

/// The tools of the built-in toolset that run in a sandbox; the others are the server's.
const IN_SANDBOX: [&str; 6] = ["bash", "read", "write", "edit", "glob", "grep"];

/// Whether a built-in tool runs in the sandbox, wherever that is.
pub(crate) fn is_in_sandbox(name: &str) -> bool {
    IN_SANDBOX.contains(&name)
}

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Somebody has to allow it.
    pub(crate) confirmation: bool,
    /// Somebody else makes it, and has to say what it came to.
    pub(crate) result: bool,
}

impl Needs {
    /// Of an event in which the agent calls a tool; `None` of any other.
    pub(crate) fn of(
        event: &SessionEvent,
        is_self_hosted: bool,
    ) -> Result<Option<Self>, ControlError> {
        if !event.kind.is_tool_use() {
            return Ok(None);
        }
        let call = AgentEvent::stored(event.kind, &event.body);
        let call = call.map_err(|_| StoreError::Corrupt { column: "body" })?;
        let (permission, is_elsewhere) = match &call {
            AgentEvent::CustomToolUse { .. } => (None, true),
            AgentEvent::McpToolUse { permission, .. } => (permission.evaluated_permission, false),
            AgentEvent::ToolUse {
                name, permission, ..
            } => {
                let in_sandbox = IN_SANDBOX.contains(&name.as_str());
                (
                    permission.evaluated_permission,
                    is_self_hosted && in_sandbox,
                )
            }
            AgentEvent::Message { .. }
            | AgentEvent::Thinking {}
            | AgentEvent::ToolResult { .. }
            | AgentEvent::McpToolResult { .. }
            | AgentEvent::ThreadMessageReceived { .. }
            | AgentEvent::ThreadMessageSent { .. }
            | AgentEvent::ContextCompacted {}
            | AgentEvent::Error { .. }
            | AgentEvent::ModelRequestStart {}
            | AgentEvent::ModelRequestEnd { .. } => return Ok(None),
        };
        let is_denied = permission == Some(PermissionEvaluation::Deny);
        Ok(Some(Self {
            confirmation: permission == Some(PermissionEvaluation::Ask),
            result: is_elsewhere && !is_denied,
        }))
    }

    /// Whether nobody outside has to do anything about it any more, after what was said to it.
    pub(crate) fn are_met(self, answers: &[SessionEvent]) -> bool {
        let said = Said::of(answers);
        if said.has_result {
            return true;
        }
        match said.confirmed {
            Some(ConfirmationResult::Deny) => true,
            Some(ConfirmationResult::Allow) => !self.result,
            None => !self.result && !self.confirmation,
        }
    }
}

/// What was said to a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said {
    pub(crate) confirmed: Option<ConfirmationResult>,
    pub(crate) has_result: bool,
}

impl Said {
    pub(crate) fn of(answers: &[SessionEvent]) -> Self {
        let mut said = Self::default();
        for event in answers {
            match event.answers {
                Some((_, SessionAnswer::Result)) => said.has_result = true,
                Some((_, SessionAnswer::Confirmation)) => said.confirmed = confirmed(event),
                None => {}
            }
        }
        said
    }
}

/// What cannot be read allows nothing.
fn confirmed(event: &SessionEvent) -> Option<ConfirmationResult> {
    let kind = SessionEventType::UserToolConfirmation;
    match UserEvent::stored(kind, &event.body) {
        Ok(UserEvent::ToolConfirmation { result, .. }) => Some(result),
        Ok(
            UserEvent::Message { .. }
            | UserEvent::Interrupt { .. }
            | UserEvent::CustomToolResult { .. }
            | UserEvent::ToolResult { .. }
            | UserEvent::SystemMessage { .. },
        )
        | Err(_) => Some(ConfirmationResult::Deny),
    }
}
