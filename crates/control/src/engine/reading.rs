//! From what is stored to what happened.

use bailiwick_llm::Block;
use bailiwick_model::{SessionEventId, SessionEventType, StopDetails};
use bailiwick_store::{SessionRecord, StoreError};
use bailiwick_wire::{
    AgentEvent, ConfirmationResult, ContentBlock, PermissionEvaluation, UserEvent,
};
use serde::{Deserialize, Serialize};

use super::history::{
    Answer, AnswerStop, Call, CallPermission, Confirmation, Entry, Outcome, Said, Speaker, Tool,
};
use super::mcp_tools::Listed;

/// What is kept of an answer beside what everybody sees.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptAnswer {
    /// To the letter, but for the ids of calls.
    pub(crate) content: Vec<Block>,
    /// What the model said of why it would not go on.
    pub(crate) refusal: Option<KeptRefusal>,
}

/// What a model said of why it would not go on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptRefusal {
    pub(crate) category: Option<String>,
    pub(crate) explanation: Option<String>,
}

/// Reads records in their order, and says what happened.
#[derive(Debug)]
pub(crate) struct Reading {
    is_self_hosted: bool,
    /// Calls of an answer that is not whole yet, and those of them that were begun.
    calls: Vec<Call>,
    begun: Vec<SessionEventId>,
    /// The request to a model whose end was not told.
    asking: Option<SessionEventId>,
    /// The tools of MCP servers, as they were stored last.
    listed: Listed,
}

impl Reading {
    pub(crate) fn new(is_self_hosted: bool) -> Self {
        Self {
            is_self_hosted,
            calls: Vec::new(),
            begun: Vec::new(),
            asking: None,
            listed: Listed::default(),
        }
    }

    /// The request to a model that has begun, and of which nobody has told the end: whoever made it is at it, or has died over it.
    pub(crate) fn asking(&self) -> Option<&SessionEventId> {
        self.asking.as_ref()
    }

    /// The tools of MCP servers, as far as is stored.
    pub(crate) fn listed(&self) -> &Listed {
        &self.listed
    }

    /// What happened by this event being stored. That it was taken up later is no part of it.
    pub(crate) fn read(&mut self, record: &SessionRecord) -> Result<Vec<Entry>, StoreError> {
        use SessionEventType as T;
        let event = &record.event;
        let id = event.id.clone();
        match event.kind {
            T::UserMessage
            | T::UserInterrupt
            | T::UserToolConfirmation
            | T::UserCustomToolResult
            | T::UserToolResult
            | T::SystemMessage => {
                let said = UserEvent::stored(event.kind, &event.body).map_err(corrupt)?;
                Ok(vec![said_by(id, said)?])
            }
            T::AgentToolUse
            | T::AgentMcpToolUse
            | T::AgentCustomToolUse
            | T::AgentToolResult
            | T::AgentMcpToolResult
            | T::AgentThreadContextCompacted
            | T::SpanModelRequestEnd => {
                let done = AgentEvent::stored(event.kind, &event.body).map_err(corrupt)?;
                if record.is_begun {
                    self.begun.push(id.clone());
                }
                self.done_by(id, done, record.private.as_deref())
            }
            T::SpanModelRequestStart => {
                self.asking = Some(id);
                if let Some(listed) = record.private.as_deref() {
                    self.listed = serde_json::from_str(listed).map_err(corrupt)?;
                }
                Ok(Vec::new())
            }
            T::SessionThreadStatusIdle => Ok(gave_up(&event.body).into_iter().collect()),
            // What else is told of the session decides nothing.
            T::UserDefineOutcome
            | T::AgentMessage
            | T::AgentThinking
            | T::AgentThreadMessageReceived
            | T::AgentThreadMessageSent
            | T::SessionStatusRunning
            | T::SessionStatusIdle
            | T::SessionStatusRescheduled
            | T::SessionStatusTerminated
            | T::SessionDeleted
            | T::SessionUpdated
            | T::SessionError
            | T::SessionUsage
            | T::SessionThreadCreated
            | T::SessionThreadStatusRunning
            | T::SessionThreadStatusRescheduled
            | T::SessionThreadStatusTerminated
            | T::SpanOutcomeEvaluationStart
            | T::SpanOutcomeEvaluationOngoing
            | T::SpanOutcomeEvaluationEnd
            | T::WorkflowRunCreated
            | T::WorkflowRunStatusRunning
            | T::WorkflowRunStatusIdle
            | T::WorkflowRunStatusEnded
            | T::WorkflowRunError
            | T::WorkflowRunPhaseStarted
            | T::WorkflowRunPhaseEnded => Ok(Vec::new()),
        }
    }

    fn done_by(
        &mut self,
        id: SessionEventId,
        done: AgentEvent,
        private: Option<&str>,
    ) -> Result<Vec<Entry>, StoreError> {
        match done {
            AgentEvent::ToolUse {
                name,
                input,
                permission,
            } => {
                let is_elsewhere = self.is_self_hosted && crate::tool_calls::is_in_sandbox(&name);
                let tool = if is_elsewhere {
                    Tool::Elsewhere(name)
                } else {
                    Tool::BuiltIn(name)
                };
                self.call(id, tool, &input, permission.evaluated_permission)
            }
            AgentEvent::McpToolUse {
                mcp_server_name: server,
                name,
                input,
                permission,
            } => {
                let tool = Tool::Mcp { server, name };
                self.call(id, tool, &input, permission.evaluated_permission)
            }
            AgentEvent::CustomToolUse { name, input } => {
                self.call(id, Tool::Custom(name), &input, None)
            }
            AgentEvent::ToolResult {
                tool_use_id: call,
                output,
            }
            | AgentEvent::McpToolResult {
                mcp_tool_use_id: call,
                output,
            } => Ok(vec![Entry::Resulted(
                call,
                outcome(output.content.as_deref(), output.is_error)?,
            )]),
            AgentEvent::ContextCompacted {} => {
                let summary = serde_json::from_str(private.unwrap_or_default());
                let summary = summary.map_err(corrupt)?;
                Ok(vec![Entry::Compacted(summary)])
            }
            AgentEvent::ModelRequestEnd { is_error, .. } => {
                self.asking = None;
                self.answered(is_error, private)
            }
            AgentEvent::Message { .. }
            | AgentEvent::Thinking {}
            | AgentEvent::ThreadMessageReceived { .. }
            | AgentEvent::ThreadMessageSent { .. }
            | AgentEvent::Error { .. }
            | AgentEvent::ModelRequestStart {} => Ok(Vec::new()),
        }
    }

    fn call(
        &mut self,
        id: SessionEventId,
        tool: Tool,
        input: &serde_json::Map<String, serde_json::Value>,
        permission: Option<PermissionEvaluation>,
    ) -> Result<Vec<Entry>, StoreError> {
        self.calls.push(Call {
            id,
            tool,
            input: bailiwick_llm::Raw::of(input).map_err(corrupt)?,
            permission: match permission {
                Some(PermissionEvaluation::Allow) | None => CallPermission::Allow,
                Some(PermissionEvaluation::Ask) => CallPermission::Ask,
                Some(PermissionEvaluation::Deny) => CallPermission::Deny,
            },
        });
        Ok(Vec::new())
    }

    fn answered(
        &mut self,
        is_error: bool,
        private: Option<&str>,
    ) -> Result<Vec<Entry>, StoreError> {
        let (calls, begun) = (
            std::mem::take(&mut self.calls),
            std::mem::take(&mut self.begun),
        );
        let Some(kept) = private.filter(|_| !is_error) else {
            return Ok(Vec::new());
        };
        let kept: KeptAnswer = serde_json::from_str(kept).map_err(corrupt)?;
        let stop = match kept.refusal {
            Some(refusal) => AnswerStop::Refused(StopDetails {
                category: refusal.category,
                explanation: refusal.explanation,
            }),
            None => AnswerStop::Complete,
        };
        let answer = Entry::Answered(Answer {
            content: kept.content,
            calls,
            stop,
        });
        let begun = begun.into_iter().map(Entry::Begun);
        Ok(std::iter::once(answer).chain(begun).collect())
    }
}

/// Whether the thread waits since it failed too often.
fn gave_up(body: &str) -> Option<Entry> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    (body["stop_reason"]["type"] == "retries_exhausted").then_some(Entry::GaveUp)
}

fn said_by(id: SessionEventId, said: UserEvent) -> Result<Entry, StoreError> {
    Ok(match said {
        UserEvent::Message { content } => Entry::Said(Said {
            id,
            by: Speaker::User,
            content: blocks(&content)?,
        }),
        UserEvent::SystemMessage { content } => Entry::Said(Said {
            id,
            by: Speaker::System,
            content: blocks(&content)?,
        }),
        UserEvent::Interrupt { .. } => Entry::Interrupted(id),
        UserEvent::ToolConfirmation {
            tool_use_id,
            result,
            deny_message,
            ..
        } => Entry::Confirmed(
            tool_use_id,
            match result {
                ConfirmationResult::Allow => Confirmation::Allowed,
                ConfirmationResult::Deny => Confirmation::Denied(deny_message),
            },
        ),
        UserEvent::CustomToolResult {
            custom_tool_use_id: call,
            content,
            is_error,
            ..
        }
        | UserEvent::ToolResult {
            tool_use_id: call,
            content,
            is_error,
            ..
        } => Entry::Resulted(call, outcome(content.as_deref(), is_error)?),
    })
}

fn outcome(
    content: Option<&[ContentBlock]>,
    is_error: Option<bool>,
) -> Result<Outcome, StoreError> {
    Ok(Outcome {
        content: blocks(content.unwrap_or_default())?,
        is_error: is_error.unwrap_or(false),
    })
}

/// The wire's blocks are those of the Messages API.
fn blocks(blocks: &[impl Serialize]) -> Result<Vec<Block>, StoreError> {
    let read = |block| {
        let raw = bailiwick_llm::Raw::of(block).map_err(corrupt)?;
        raw.read().map_err(corrupt)
    };
    blocks.iter().map(read).collect()
}

fn corrupt(_: serde_json::Error) -> StoreError {
    StoreError::Corrupt { column: "body" }
}
