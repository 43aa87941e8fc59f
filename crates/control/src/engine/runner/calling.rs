//! Calls of tools: begun, run side by side, and told.

use std::collections::HashMap;

use bailiwick_model::SessionEventId;
use bailiwick_tools::{Context, ToolResult};
use bailiwick_wire::{AgentEvent, ContentBlock, SessionError, ToolOutput};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Reported, Runner};
use crate::control::Control;
use crate::engine::Called;
use crate::engine::history::{Call, Settlement, Tool};
use crate::error::ControlError;
use crate::session_engine::{NewAgentEvent, ThreadStep, TurnReport};

/// Calls that are being run. Each has its result, also if what runs it panics.
#[derive(Default)]
pub(super) struct Hands {
    tasks: JoinSet<Output>,
    calls: HashMap<tokio::task::Id, Call>,
}

/// What a call came to.
struct Output {
    output: ToolOutput,
    /// What failed of its sandbox.
    failures: Vec<SessionError>,
}

impl Hands {
    fn take(&mut self, call: Call, work: impl Future<Output = Output> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.calls.insert(task.id(), call);
    }

    /// The next one that comes to its end; `None` if none is being run.
    async fn next(&mut self) -> Option<(Call, Output)> {
        loop {
            let (id, output) = match self.tasks.join_next_with_id().await? {
                Ok(ended) => ended,
                // It was not cancelled, so it panicked.
                Err(error) => (error.id(), Output::from(told(BROKEN))),
            };
            if let Some(call) = self.calls.remove(&id) {
                return Some((call, output));
            }
        }
    }
}

/// The result of a call that this server failed at.
const BROKEN: &str = "the server failed while it ran this. It may have happened, wholly or in part, and was not run again: look before you repeat it";

impl From<ToolOutput> for Output {
    fn from(output: ToolOutput) -> Self {
        Self {
            output,
            failures: Vec::new(),
        }
    }
}

impl From<Called> for Output {
    fn from(called: Called) -> Self {
        Self {
            output: match called.outcome {
                Ok(result) => output_of(&result),
                Err(error) => told(&error.to_string()),
            },
            failures: called.failures,
        }
    }
}

impl Runner {
    /// Runs calls, after it was stored that they are about to be.
    pub(super) async fn run_calls(&mut self, calls: Vec<Call>) -> Result<(), ControlError> {
        let ids: Vec<_> = calls.iter().map(|call| call.id.clone()).collect();
        // Nobody else would run them once that is stored.
        self.running.extend(ids.iter().cloned());
        let report = TurnReport {
            begun: ids.clone(),
            ..self.nothing()
        };
        if self.report(report).await? == Reported::Refused {
            // What was said meanwhile comes first. None of them has begun.
            self.running.retain(|id| !ids.contains(id));
            return Ok(());
        }
        for id in ids {
            self.history.push(crate::engine::history::Entry::Begun(id));
        }
        for call in calls {
            let shared = std::sync::Arc::clone(&self.shared);
            let (session, cancel) = (self.session.clone(), self.turn.child_token());
            let organization = self.run.organization.clone();
            self.hands.take(call.clone(), async move {
                match &call.tool {
                    Tool::BuiltIn(name) => {
                        let context = Context { cancel, live: None };
                        let input = call.input.read().unwrap_or(Value::Null);
                        let workplaces = &shared.workplaces;
                        let called =
                            workplaces.call(&organization, &session, name, input, &context);
                        called.await.into()
                    }
                    Tool::Mcp { server, .. } => {
                        told(&format!("the MCP server {server} is not connected")).into()
                    }
                    Tool::Elsewhere(_) | Tool::Custom(_) => {
                        told("this tool is run elsewhere").into()
                    }
                }
            });
        }
        Ok(())
    }

    /// Waits until a call has come to its end, or something was said.
    pub(super) async fn wait(&mut self) -> Result<(), ControlError> {
        tokio::select! {
            done = self.hands.next() => match done {
                Some((call, output)) => self.done(&call, output).await,
                None => {
                    self.running.clear();
                    Ok(())
                }
            },
            news = Self::news(&mut self.watch, self.cursor) => {
                news?;
                self.catch_up().await
            }
        }
    }

    async fn done(&mut self, call: &Call, output: Output) -> Result<(), ControlError> {
        self.running.retain(|id| *id != call.id);
        let Output { output, failures } = output;
        let failures = failures.into_iter().map(told_of);
        let report = TurnReport {
            events: failures.chain([result(call, output)]).collect(),
            ..self.nothing()
        };
        // Refused, if somebody else has given it a result: then it has one.
        self.report(report).await.map(drop)
    }

    /// Tells what becomes of calls that are not run.
    pub(super) async fn settle(
        &mut self,
        settled: Vec<(SessionEventId, Settlement)>,
    ) -> Result<(), ControlError> {
        let events = settled.into_iter().filter_map(|(id, settlement)| {
            let words = match settlement {
                Settlement::Forbidden => "the agent does not have this tool".to_owned(),
                Settlement::Denied(Some(words)) => words,
                Settlement::Denied(None) => "the user does not allow this call".to_owned(),
                Settlement::Lost => {
                    "the server that ran this stopped before it had ended. It may have happened, wholly or in part, and was not run again: \
                     look before you repeat it"
                        .to_owned()
                }
            };
            Some(result(self.history.open_call(&id)?, told(&words)))
        });
        let report = TurnReport {
            events: events.collect(),
            ..self.nothing()
        };
        self.report(report).await.map(drop)
    }

    /// Ends the turn: what runs is stopped, really, before anybody is told so.
    pub(super) async fn interrupt(
        &mut self,
        interrupts: Vec<SessionEventId>,
        open: Vec<SessionEventId>,
    ) -> Result<(), ControlError> {
        self.turn.cancel();
        let (mut outputs, mut failures) = (Vec::new(), Vec::new());
        while let Some((call, output)) = self.hands.next().await {
            outputs.push((call.id, output.output));
            failures.extend(output.failures);
        }
        self.running.clear();
        self.turn = CancellationToken::new();
        let events = open.iter().filter_map(|id| {
            let known = outputs.iter().find(|(call, _)| call == id);
            let output = known.map_or_else(
                || told("the user interrupted this"),
                |(_, output)| output.clone(),
            );
            Some(result(self.history.open_call(id)?, output))
        });
        let report = TurnReport {
            events: failures.into_iter().map(told_of).chain(events).collect(),
            taken: interrupts,
            steps: vec![ThreadStep::Yield],
            ..self.nothing()
        };
        self.report(report).await.map(drop)
    }
}

/// What failed, as an event.
fn told_of(error: SessionError) -> NewAgentEvent {
    NewAgentEvent {
        id: Control::fresh_event_id(),
        event: AgentEvent::Error { error },
        private: None,
    }
}

/// What a call came to, as an event.
fn result(call: &Call, output: ToolOutput) -> NewAgentEvent {
    let event = match call.tool {
        Tool::Mcp { .. } => AgentEvent::McpToolResult {
            mcp_tool_use_id: call.id.clone(),
            output,
        },
        Tool::BuiltIn(_) | Tool::Elsewhere(_) | Tool::Custom(_) => AgentEvent::ToolResult {
            tool_use_id: call.id.clone(),
            output,
        },
    };
    NewAgentEvent {
        id: Control::fresh_event_id(),
        event,
        private: None,
    }
}

/// Both are blocks of the Messages API.
fn output_of(result: &ToolResult) -> ToolOutput {
    let content = serde_json::to_value(&result.content);
    let content = content.and_then(serde_json::from_value::<Vec<ContentBlock>>);
    match content {
        Ok(content) => ToolOutput {
            content: Some(content),
            is_error: Some(result.is_error),
        },
        Err(_) => told("the tool's result could not be read"),
    }
}

/// That something did not work.
fn told(words: &str) -> ToolOutput {
    ToolOutput {
        content: Some(vec![ContentBlock::Text {
            text: words.to_owned(),
        }]),
        is_error: Some(true),
    }
}
