//! One request to a model: shown while it is answered, and what the answer means.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_llm::{
    Block, BrokenCall, Delta, Event, Fold, Message, Request, StopReason, UpstreamError, Usage,
};
use bailiwick_model::{SessionEventId, SessionEventType, SessionId, SessionThreadId, SessionUsage};
use bailiwick_wire::{
    AgentEvent, CallPermission, ModelUsage, RetryStatus, SessionErrorKind, TextBlock,
};

use super::Shared;
use super::agent::Agent;
use super::failing::failure;
use super::history::Tool;
use super::models::Asked;
use super::reading::{KeptAnswer, KeptRefusal};
use crate::control::Control;
use crate::session_engine::NewAgentEvent;
use crate::session_feed::{Preview, PreviewPart};

/// A question, with all that is needed to ask it.
pub(crate) struct Question {
    pub(crate) session: SessionId,
    pub(crate) thread: SessionThreadId,
    pub(crate) request: Request,
    /// Who is asked.
    pub(crate) asked: Asked,
    /// What the answer has used so far, also if it is given up.
    pub(crate) used: Mutex<Usage>,
    /// Bytes of the answer that have come.
    pub(crate) streamed_bytes: AtomicU64,
}

/// What came of it.
pub(crate) struct Answered {
    pub(crate) message: Message,
    /// Of each block that was shown, the id of the event that it becomes.
    shown: BTreeMap<usize, SessionEventId>,
}

impl Shared {
    /// Asks, and shows what is answered to whoever watches, as it comes.
    pub(crate) async fn ask(
        self: Arc<Self>,
        question: Arc<Question>,
    ) -> Result<Answered, UpstreamError> {
        let Asked {
            client, upstream, ..
        } = &question.asked;
        let mut events = client.stream(upstream, &question.request).await?;
        let mut fold = Fold::new();
        let mut shown = BTreeMap::new();
        while let Some(event) = events.next().await {
            let event = event?;
            question.count(&event);
            if let Some(preview) = show(&event, &mut shown) {
                let (event, part) = preview;
                let thread = question.thread.clone();
                let preview = Preview {
                    thread,
                    event,
                    part,
                };
                self.control.preview(&question.session, preview);
            }
            fold.push(&event)?;
        }
        let message = fold.finish()?;
        Ok(Answered { message, shown })
    }
}

impl Question {
    fn count(&self, event: &Event) {
        let update = match event {
            Event::Start(start) => start.usage,
            Event::Stopping { usage, .. } => *usage,
            Event::Delta { delta, .. } => {
                let bytes = match delta {
                    Delta::Text(text) | Delta::Thinking(text) | Delta::InputJson(text) => {
                        text.len()
                    }
                    Delta::Signature(_) | Delta::Other(_) => 0,
                };
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                self.streamed_bytes.fetch_add(bytes, Ordering::Relaxed);
                return;
            }
            Event::BlockStart { .. } | Event::BlockStop { .. } | Event::Ping | Event::End => return,
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        update.apply(&mut used);
    }

    /// What the answer has used so far.
    pub(crate) fn used(&self) -> Usage {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is shown of a part of an answer.
fn show(
    event: &Event,
    shown: &mut BTreeMap<usize, SessionEventId>,
) -> Option<(SessionEventId, PreviewPart)> {
    match event {
        Event::BlockStart { index, block } => {
            let kind = match block {
                Block::Text(_) => SessionEventType::AgentMessage,
                Block::Thinking(_) | Block::RedactedThinking(_) => SessionEventType::AgentThinking,
                Block::ToolUse(_)
                | Block::ToolResult(_)
                | Block::Image(_)
                | Block::Document(_)
                | Block::Other(_) => return None,
            };
            let id = Control::fresh_event_id();
            shown.insert(*index, id.clone());
            Some((id, PreviewPart::Start(kind)))
        }
        Event::Delta {
            index,
            delta: Delta::Text(text),
        } => {
            let part = PreviewPart::Text {
                index: 0,
                text: text.clone(),
            };
            Some((shown.get(index)?.clone(), part))
        }
        Event::Start(_)
        | Event::Delta { .. }
        | Event::BlockStop { .. }
        | Event::Stopping { .. }
        | Event::Ping
        | Event::End => None,
    }
}

/// What an answer is as events, and what it has used.
pub(crate) struct Told {
    pub(crate) events: Vec<NewAgentEvent>,
    pub(crate) usage: SessionUsage,
    /// Tokens that the conversation has by now.
    pub(crate) context_tokens: u64,
    /// Whether the model has said all, and waits for nobody.
    pub(crate) is_last: bool,
}

impl Answered {
    /// What happened by it.
    pub(crate) fn told(mut self, shared: &Shared, agent: &Agent, start: SessionEventId) -> Told {
        let mut events = Vec::new();
        let mut content = Vec::new();
        for (index, mut block) in std::mem::take(&mut self.message.content)
            .into_iter()
            .enumerate()
        {
            let shown = self.shown.remove(&index);
            let id = shown.unwrap_or_else(Control::fresh_event_id);
            if let Some(event) = happened(&mut block, &id, agent) {
                events.push(NewAgentEvent {
                    id,
                    event,
                    private: None,
                });
            } else if is_empty_text(&block) {
                // No upstream takes it back.
                continue;
            }
            content.push(block);
        }
        let usage = self.message.usage.unwrap_or_default();
        let refusal = refusal(&self.message);
        let is_said = |new: &NewAgentEvent| {
            let event = &new.event;
            matches!(event, AgentEvent::Message { .. } | AgentEvent::Thinking {})
        };
        let is_whole = refusal.is_none() && self.message.broken_calls.is_empty();
        let is_last = is_whole && events.iter().all(is_said);
        let kept = KeptAnswer { content, refusal };
        let kept = serde_json::to_string(&kept).expect("blocks and texts");
        events.push(request_end(start, false, &usage, Some(kept)));
        events.extend(self.message.broken_calls.iter().map(unreadable_call));
        Told {
            events,
            is_last,
            usage: shared.models.used(&agent.model.id, &usage),
            context_tokens: usage.whole_input().saturating_add(usage.output_tokens),
        }
    }

    /// What it says, as one text.
    pub(crate) fn text(&self) -> String {
        let texts = self.message.content.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.text.as_str()),
            Block::Thinking(_)
            | Block::RedactedThinking(_)
            | Block::ToolUse(_)
            | Block::ToolResult(_)
            | Block::Image(_)
            | Block::Document(_)
            | Block::Other(_) => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn usage(&self) -> Usage {
        self.message.usage.unwrap_or_default()
    }
}

/// The end of a request.
pub(crate) fn request_end(
    start: SessionEventId,
    is_error: bool,
    usage: &Usage,
    private: Option<String>,
) -> NewAgentEvent {
    let event = AgentEvent::ModelRequestEnd {
        model_request_start_id: start,
        is_error,
        model_usage: ModelUsage {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_input_tokens: usage.cache_read_tokens,
            cache_creation_input_tokens: usage
                .cache_write_5m_tokens
                .saturating_add(usage.cache_write_1h_tokens),
        },
    };
    NewAgentEvent {
        id: Control::fresh_event_id(),
        event,
        private,
    }
}

/// That a call was not made, since nobody can tell what was meant: the model's own words of it are not repeated.
fn unreadable_call(call: &BrokenCall) -> NewAgentEvent {
    let words = format!(
        "the model called {} with an input that cannot be read (it was cut off, or is not JSON); the call was not made",
        call.name
    );
    let kind = SessionErrorKind::ModelRequestFailed;
    failure(kind, words, RetryStatus::Terminal)
}

/// What a block means. A call gets the id of its event.
fn happened(block: &mut Block, id: &SessionEventId, agent: &Agent) -> Option<AgentEvent> {
    match block {
        Block::Text(text) if !text.text.trim().is_empty() => {
            let text = text.text.clone();
            Some(AgentEvent::Message {
                content: vec![TextBlock::Text { text }],
            })
        }
        Block::Thinking(_) | Block::RedactedThinking(_) => Some(AgentEvent::Thinking {}),
        Block::ToolUse(call) => {
            call.id = id.to_string();
            // What is no object is told to the model as a wrong input.
            let input = call.input.read().unwrap_or_default();
            let (tool, evaluated, evaluation) = agent.judge(&call.name);
            let permission = CallPermission {
                evaluated_permission: Some(evaluated),
                evaluation,
            };
            Some(match tool {
                Tool::BuiltIn(name) | Tool::Elsewhere(name) => AgentEvent::ToolUse {
                    name,
                    input,
                    permission,
                },
                Tool::Mcp { server, name } => AgentEvent::McpToolUse {
                    mcp_server_name: server,
                    name,
                    input,
                    permission,
                },
                Tool::Custom(name) => AgentEvent::CustomToolUse { name, input },
            })
        }
        Block::Text(_)
        | Block::ToolResult(_)
        | Block::Image(_)
        | Block::Document(_)
        | Block::Other(_) => None,
    }
}

fn is_empty_text(block: &Block) -> bool {
    matches!(block, Block::Text(text) if text.text.trim().is_empty())
}

fn refusal(message: &Message) -> Option<KeptRefusal> {
    #[derive(Default, serde::Deserialize)]
    struct Details {
        category: Option<String>,
        explanation: Option<String>,
    }
    if message.stopped.reason != StopReason::Refusal {
        return None;
    }
    let details = message.stopped.details.as_ref();
    let details: Details = details.and_then(|raw| raw.read().ok()).unwrap_or_default();
    Some(KeptRefusal {
        category: details.category,
        explanation: details.explanation,
    })
}
