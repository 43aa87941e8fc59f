//! Calls of tools: begun, run side by side, and told.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_model::{OrganizationId, SessionEventId, SessionUsage};
use bailiwick_store::Session;
use bailiwick_tools::web::WebFetch;
use bailiwick_tools::{Context, ToolResult};
use bailiwick_wire::{AgentEvent, ContentBlock, SessionError, ToolOutput};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Reported, Runner};
use crate::control::Control;
use crate::engine::history::{Call, Settlement, Tool};
use crate::engine::mcp::OfSession;
use crate::engine::mcp_tools::McpServerOfAgent;
use crate::engine::web::{self, WEB_FETCH};
use crate::engine::{Called, Shared};
use crate::error::ControlError;
use crate::knowledge::KnowledgeTool;
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
    /// What is told of the session besides.
    events: Vec<NewAgentEvent>,
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
            events: Vec::new(),
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
            events: called.failures.into_iter().map(told_of).collect(),
        }
    }
}

/// What runs one call.
struct Hand {
    shared: Arc<Shared>,
    organization: OrganizationId,
    session: Session,
    /// What fetches pages, if anything does.
    web: Option<WebFetch>,
    /// The MCP server of the tool, if it is one's that the agent has.
    server: Option<McpServerOfAgent>,
}

impl Hand {
    async fn run(self, call: Call, cancel: CancellationToken) -> Output {
        let (organization, session) = (&self.organization, &self.session);
        match &call.tool {
            Tool::BuiltIn(name) => {
                let context = Context { cancel, live: None };
                let input = call.input.read().unwrap_or(Value::Null);
                if name == KnowledgeTool::NAME {
                    let searched =
                        self.shared
                            .control
                            .search_of_session(organization, session, &input);
                    return searched.await.into();
                }
                if name == WEB_FETCH {
                    return output_of(&web::call(self.web, input, &context).await).into();
                }
                let workplaces = &self.shared.workplaces;
                let called = workplaces.call(organization, session, name, input, &context);
                called.await.into()
            }
            Tool::Mcp { name, .. } => match &self.server {
                Some(server) => {
                    let of = OfSession {
                        organization,
                        session,
                    };
                    let tool = (&call, name.as_str());
                    let called = self.shared.call_mcp_tool(of, server, tool, &cancel);
                    let (output, failure) = called.await;
                    Output {
                        output,
                        events: failure.into_iter().collect(),
                    }
                }
                None => told("the agent does not have this tool any more").into(),
            },
            Tool::Elsewhere(_) | Tool::Custom(_) => told("this tool is run elsewhere").into(),
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
            let (session, cancel) = (self.session.clone(), self.turn.child_token());
            let hand = Hand {
                shared: Arc::clone(&self.shared),
                organization: self.run.organization.clone(),
                session,
                web: self.web.tool(),
                server: match &call.tool {
                    Tool::Mcp { server, name } => self.agent.mcp_server_of(server, name).cloned(),
                    Tool::BuiltIn(_) | Tool::Elsewhere(_) | Tool::Custom(_) => None,
                },
            };
            self.hands.take(call.clone(), hand.run(call, cancel));
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
        let Output { output, mut events } = output;
        events.push(result(call, output));
        let is_fetch = matches!(&call.tool, Tool::BuiltIn(name) if name == WEB_FETCH);
        let report = TurnReport {
            events,
            usage: SessionUsage {
                web_fetches: i64::from(is_fetch),
                ..SessionUsage::default()
            },
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
                Settlement::Forbidden => forbidden(self.history.open_call(&id)?),
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
            failures.extend(output.events);
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
            events: failures.into_iter().chain(events).collect(),
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

/// Why a call is not made that the agent's configuration does not allow, or this server cannot make.
fn forbidden(call: &Call) -> String {
    let words = match &call.tool {
        Tool::BuiltIn(name) if name == "web_search" => {
            "this server has no search provider: nothing is searched for. Fetch a page whose address you know, if the agent has web_fetch"
        }
        Tool::BuiltIn(_) | Tool::Elsewhere(_) | Tool::Mcp { .. } | Tool::Custom(_) => {
            "the agent does not have this tool"
        }
    };
    words.to_owned()
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
pub(crate) fn told(words: &str) -> ToolOutput {
    ToolOutput {
        content: Some(vec![ContentBlock::Text {
            text: words.to_owned(),
        }]),
        is_error: Some(true),
    }
}
