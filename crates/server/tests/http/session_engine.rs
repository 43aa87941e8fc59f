//! A scripted engine: it runs sessions through the use cases that a real one has, and asks no model.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_control::{Control, ControlError, NewAgentEvent, Progress, ThreadStep, TurnReport};
use bailiwick_model::{OrganizationId, SessionEventId, SessionId, SessionThreadId, StopReason};
use bailiwick_store::{SessionEvent, SessionRun};
use bailiwick_wire::{
    AgentEvent, CallPermission, ContentBlock, PermissionEvaluation, TextBlock, ToolOutput,
};
use serde_json::{Map, Value, json};

use crate::Server;

/// Whoever runs one session.
pub(crate) struct Engine<'s> {
    control: &'s Arc<Control>,
    pub(crate) run: SessionRun,
    pub(crate) thread: SessionThreadId,
}

/// The organization of a session.
pub(crate) async fn organization(server: &Server) -> OrganizationId {
    let all = server.store.organizations().await.unwrap();
    all.into_iter().next().expect("the first one")
}

/// Claims a session that there is something to do in.
pub(crate) async fn claim<'s>(server: &'s Server, id: &str) -> Option<Engine<'s>> {
    claim_of(server, &organization(server).await, id).await
}

pub(crate) async fn claim_of<'s>(
    server: &'s Server,
    organization: &OrganizationId,
    id: &str,
) -> Option<Engine<'s>> {
    let session: SessionId = id.parse().unwrap();
    let claimed = server
        .control
        .claim_session(organization, &session, "engine");
    Some(Engine {
        control: &server.control,
        run: claimed.await.unwrap()?,
        thread: SessionThreadId::primary_of(&session),
    })
}

pub(crate) fn text(text: &str) -> AgentEvent {
    AgentEvent::Message {
        content: vec![TextBlock::Text {
            text: text.to_owned(),
        }],
    }
}

pub(crate) fn call(name: &str, permission: PermissionEvaluation) -> AgentEvent {
    AgentEvent::ToolUse {
        name: name.to_owned(),
        input: Map::new(),
        permission: CallPermission {
            evaluated_permission: Some(permission),
            evaluation: Some(json!({"type": "always_ask"})),
        },
    }
}

pub(crate) fn custom_call(name: &str) -> AgentEvent {
    AgentEvent::CustomToolUse {
        name: name.to_owned(),
        input: Map::new(),
    }
}

pub(crate) fn result(call: &SessionEventId, text: &str) -> AgentEvent {
    AgentEvent::ToolResult {
        tool_use_id: call.clone(),
        output: ToolOutput {
            content: Some(vec![ContentBlock::Text {
                text: text.to_owned(),
            }]),
            is_error: None,
        },
    }
}

pub(crate) fn new(event: AgentEvent) -> NewAgentEvent {
    NewAgentEvent {
        id: Control::fresh_event_id(),
        event,
        private: None,
    }
}

pub(crate) fn requires(calls: &[&SessionEventId]) -> ThreadStep {
    let calls: BTreeSet<_> = calls.iter().map(|call| (*call).clone()).collect();
    ThreadStep::Rest(StopReason::RequiresAction(calls))
}

impl Engine<'_> {
    pub(crate) async fn queued(&self) -> Vec<SessionEvent> {
        self.control
            .queued_events_of_run(&self.run, 100)
            .await
            .unwrap()
    }

    /// Takes up all that was said.
    pub(crate) async fn take(&self) -> Vec<SessionEvent> {
        let queued = self.queued().await;
        let taken = queued.iter().map(|event| event.id.clone()).collect();
        let report = TurnReport {
            taken,
            begun: Vec::new(),
            ..TurnReport::of(self.thread.clone())
        };
        self.report(report).await.unwrap();
        queued
    }

    pub(crate) async fn report(&self, report: TurnReport) -> Result<Progress, ControlError> {
        self.control.report(&self.run, report).await
    }

    /// These things happen, and then these.
    pub(crate) async fn tell(
        &self,
        events: Vec<NewAgentEvent>,
        steps: Vec<ThreadStep>,
    ) -> Result<Progress, ControlError> {
        let report = TurnReport {
            events,
            steps,
            ..TurnReport::of(self.thread.clone())
        };
        self.report(report).await
    }

    /// A whole turn that says something.
    pub(crate) async fn answer(&self, says: &str) -> Progress {
        self.take().await;
        let end = ThreadStep::Rest(StopReason::EndTurn);
        self.tell(vec![new(text(says))], vec![end]).await.unwrap()
    }
}

/// The types of events, in their order.
pub(crate) fn types(events: &Value) -> Vec<String> {
    let events = events["data"].as_array().expect("a list");
    let kind = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    events.iter().map(kind).collect()
}
