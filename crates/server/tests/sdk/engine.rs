//! A scripted engine beside the server: it runs whatever there is to run, and says what its script says to the words of a message.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_control::{
    Control, ControlError, NewAgentEvent, Preview, PreviewPart, ThreadStep, TurnReport,
};
use bailiwick_model::{
    SessionEventId, SessionEventType, SessionRefusal, SessionStatus, SessionThreadId, SessionUsage,
    StopReason,
};
use bailiwick_store::{SessionEvent, SessionRun};
use bailiwick_wire::{
    AgentEvent, CallPermission, ContentBlock, ModelUsage, PermissionEvaluation, TextBlock,
    ToolOutput, UserEvent,
};
use serde_json::{Map, Value, json};

/// Runs sessions, one after the other, for as long as the test takes.
pub(crate) async fn run(control: Arc<Control>) {
    loop {
        control.session_begun(Duration::from_millis(100)).await;
        for (organization, session) in control.sessions_to_run(100).await.expect("an answer") {
            let claimed = control.claim_session(&organization, &session, "script");
            if let Some(run) = claimed.await.expect("an answer") {
                let thread = SessionThreadId::primary_of(&session);
                let turn = Turn {
                    control: &control,
                    run,
                    thread,
                };
                turn.go().await;
            }
        }
    }
}

struct Turn<'c> {
    control: &'c Arc<Control>,
    run: SessionRun,
    thread: SessionThreadId,
}

fn new(event: AgentEvent) -> NewAgentEvent {
    NewAgentEvent {
        id: Control::fresh_event_id(),
        event,
        private: None,
    }
}

fn message(text: &str) -> AgentEvent {
    let text = text.to_owned();
    AgentEvent::Message {
        content: vec![TextBlock::Text { text }],
    }
}

fn call(name: &str, permission: PermissionEvaluation, policy: &str) -> AgentEvent {
    AgentEvent::ToolUse {
        name: name.to_owned(),
        input: Map::from_iter([("command".to_owned(), json!("echo served"))]),
        permission: CallPermission {
            evaluated_permission: Some(permission),
            evaluation: Some(json!({"type": policy})),
        },
    }
}

/// What a message says first.
fn words(event: &SessionEvent) -> String {
    match UserEvent::stored(event.kind, &event.body) {
        Ok(UserEvent::Message { content }) => match content.first() {
            Some(ContentBlock::Text { text }) => text.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

impl Turn<'_> {
    async fn go(self) {
        loop {
            let queued = self.control.queued_events_of_run(&self.run, 100).await;
            let queued = queued.expect("an answer");
            let is_interrupt =
                |event: &&SessionEvent| event.kind == SessionEventType::UserInterrupt;
            let ids =
                |events: Vec<&SessionEvent>| events.iter().map(|event| event.id.clone()).collect();
            let interrupts: Vec<_> = queued.iter().filter(is_interrupt).collect();
            if !interrupts.is_empty() {
                let stop = vec![ThreadStep::Yield];
                let status = self.report(ids(interrupts), Vec::new(), stop).await;
                match status.expect("stopped") {
                    SessionStatus::Running => continue,
                    SessionStatus::Idle
                    | SessionStatus::Rescheduling
                    | SessionStatus::Terminated => return,
                }
            }
            // One message after the other.
            let first = queued.iter().position(|event| !words(event).is_empty());
            let taken = queued
                .iter()
                .take(first.map_or(queued.len(), |first| first + 1));
            let taken = ids(taken.collect());
            self.report(taken, Vec::new(), Vec::new())
                .await
                .expect("taken up");
            let said = first.map(|first| words(&queued[first]));
            let ended = match said {
                Some(said) => self.answer(&said).await,
                None => self.finish().await,
            };
            match ended {
                Ok(()) => return,
                // More was said meanwhile.
                Err(ControlError::Refused(SessionRefusal::InputWaits)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn report(
        &self,
        taken: Vec<SessionEventId>,
        events: Vec<NewAgentEvent>,
        steps: Vec<ThreadStep>,
    ) -> Result<SessionStatus, ControlError> {
        let usage = SessionUsage {
            input_tokens: events.len() as i64,
            ..SessionUsage::default()
        };
        let report = TurnReport {
            thread: self.thread.clone(),
            taken,
            begun: Vec::new(),
            events,
            usage,
            steps,
        };
        let progress = self.control.report(&self.run, report).await?;
        Ok(progress.session.status)
    }

    async fn answer(&self, said: &str) -> Result<(), ControlError> {
        let asked = match said {
            "ask" => new(call("bash", PermissionEvaluation::Ask, "always_ask")),
            "serve" => new(call("bash", PermissionEvaluation::Allow, "always_allow")),
            "custom" => new(AgentEvent::CustomToolUse {
                name: "weather".to_owned(),
                input: Map::new(),
            }),
            // It works until somebody stops it.
            "work" => {
                while self
                    .control
                    .queued_events_of_run(&self.run, 1)
                    .await?
                    .is_empty()
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                return Err(ControlError::Refused(SessionRefusal::InputWaits));
            }
            said => return self.say(&format!("You said {said}")).await,
        };
        let calls = BTreeSet::from([asked.id.clone()]);
        let rest = ThreadStep::Rest(StopReason::RequiresAction(calls));
        self.report(Vec::new(), vec![asked], vec![rest])
            .await
            .map(drop)
    }

    /// A whole request of a model, with its message in parts.
    async fn say(&self, text: &str) -> Result<(), ControlError> {
        let start = new(AgentEvent::ModelRequestStart {});
        let (began, said) = (start.id.clone(), new(message(text)));
        self.report(Vec::new(), vec![start], Vec::new()).await?;
        let part = |part| Preview {
            thread: self.thread.clone(),
            event: said.id.clone(),
            part,
        };
        let session = &self.run.session;
        self.control.preview(
            session,
            part(PreviewPart::Start(SessionEventType::AgentMessage)),
        );
        for (index, text) in text.split_inclusive(' ').enumerate() {
            let text = text.to_owned();
            assert!(index < 100);
            self.control
                .preview(session, part(PreviewPart::Text { index: 0, text }));
        }
        let end = new(AgentEvent::ModelRequestEnd {
            model_request_start_id: began,
            is_error: false,
            model_usage: ModelUsage {
                input_tokens: 3,
                ..ModelUsage::default()
            },
        });
        self.report(Vec::new(), vec![said, end], Vec::new()).await?;
        let rest = ThreadStep::Rest(StopReason::EndTurn);
        self.report(Vec::new(), Vec::new(), vec![rest])
            .await
            .map(drop)
    }

    /// What was called and has no result gets one, and then it says what that was.
    async fn finish(&self) -> Result<(), ControlError> {
        let events = self.control.records_of_run(&self.run, 0, 1000).await?;
        let events: Vec<_> = events.into_iter().map(|record| record.event).collect();
        let called = events.iter().rev().find(|event| event.kind.is_tool_use());
        let called = called.expect("a call");
        let said: Vec<Value> = events
            .iter()
            .filter(|event| {
                event
                    .answers
                    .as_ref()
                    .is_some_and(|(call, _)| *call == called.id)
            })
            .map(|event| serde_json::from_str(&event.body).expect("JSON"))
            .collect();
        let verdict = said.iter().find_map(|said| said["result"].as_str());
        let came = said
            .iter()
            .find_map(|said| said["content"][0]["text"].as_str());
        if came.is_none() && verdict.is_some() {
            let result = AgentEvent::ToolResult {
                tool_use_id: called.id.clone(),
                output: ToolOutput {
                    content: None,
                    is_error: Some(verdict == Some("deny")),
                },
            };
            self.report(Vec::new(), vec![new(result)], Vec::new())
                .await?;
        }
        let text = came.or(verdict).unwrap_or_default().trim().to_owned();
        self.say(&format!("It came to {text}")).await
    }
}
