//! What users and workers send to sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_model::limits::QUEUED_EVENTS;
use bailiwick_model::{
    FileId, Permission, ResourceId as _, SessionEventId, SessionId, SessionInput, SessionRefusal,
    SessionStatus, SessionThreadId,
};
use bailiwick_store::{
    Change, NewSessionEvent, NewWork, Session, SessionAnswer, SessionEvent, SessionRun,
};
use bailiwick_wire::{Budget, FieldProblem, UserEvent, sent_events};
use serde_json::{Map, Value, json};

use crate::caller::{Actor, Caller};
use crate::control::Control;
use crate::engine_places::Place;
use crate::error::ControlError;
use crate::session_writing::{Writing, Written};
use crate::sessions::{self, KIND};
use crate::to_the_end::to_the_end;
use crate::tool_calls::{Needs, Said};
use crate::{fresh, work};

/// What the sent events of one request come to.
#[derive(Default)]
struct Came {
    /// What is answered, in the order in which it was sent.
    echoes: Vec<SessionEvent>,
    messages: u32,
    interrupts: Vec<SessionThreadId>,
    settled: BTreeMap<SessionThreadId, BTreeSet<SessionEventId>>,
}

impl Control {
    /// Sends events to a session: all of them, or none. What was sent to a call of a tool already is answered as it was then.
    ///
    /// A worker sends results of tools alone: whoever makes calls does not allow them.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], [`ControlError::Refused`], [`ControlError::AlreadyAnswered`],
    /// [`ControlError::Archived`], [`ControlError::Full`], and what every use case may answer.
    pub async fn send_events(
        self: &Arc<Self>,
        caller: &Caller,
        id: &SessionId,
        body: &Map<String, Value>,
    ) -> Result<Vec<SessionEvent>, ControlError> {
        caller.require_or_worker(Permission::SessionWrite)?;
        self.seen_session(caller, id).await?;
        let events = sent_events(body)?;
        self.may_send(caller, &events)?;
        self.files_are_there(caller, &events).await?;
        let (mut change, session) = self.locked_shared_session(caller, id).await?;
        let sent = match self.send(&mut change, session, events).await {
            Ok(sent) if sent.written.events.is_empty() => {
                change.undo().await?;
                return Ok(sent.echoes);
            }
            Ok(sent) => sent,
            // It is undone by being dropped.
            Err(error @ ControlError::Store(_)) => return Err(error),
            Err(error) => {
                change.undo().await?;
                return Err(error);
            }
        };
        let (control, caller, id) = (Arc::clone(self), caller.clone(), id.clone());
        to_the_end(async move {
            let what = evidence(&sent.written.events);
            let event = caller.event("session.send", (KIND, id.as_str()), None, Some(&what));
            if let Err(error) = change.commit(&event).await {
                control.give_back(sent.claimed.map(|(_, run)| run)).await;
                return Err(ControlError::of(KIND)(error));
            }
            if sent.queues_work {
                control.work_arrived.notify_waiters();
            }
            control.published(&sent.written);
            let refused = sent.claimed.and_then(|(place, run)| place.give(run));
            control.give_back(refused).await;
            Ok(sent.echoes)
        })
        .await
    }

    /// Whoever makes calls of tools does not allow them, and says nothing else.
    fn may_send(&self, caller: &Caller, events: &[UserEvent]) -> Result<(), ControlError> {
        match &caller.actor {
            Actor::User(_) | Actor::ServiceAccount(_) | Actor::System => return Ok(()),
            Actor::Worker(_) | Actor::WorkItem(_) | Actor::VirtualKey(_) | Actor::GatewayKey(_) => {
            }
        }
        let is_result = |event: &UserEvent| match event {
            UserEvent::ToolResult { .. } | UserEvent::CustomToolResult { .. } => true,
            UserEvent::Message { .. }
            | UserEvent::Interrupt { .. }
            | UserEvent::ToolConfirmation { .. }
            | UserEvent::SystemMessage { .. } => false,
        };
        if events.iter().all(is_result) {
            Ok(())
        } else {
            Err(ControlError::Forbidden(Permission::SessionWrite))
        }
    }

    pub(crate) async fn files_are_there(
        &self,
        caller: &Caller,
        events: &[UserEvent],
    ) -> Result<(), ControlError> {
        let blocks = events.iter().flat_map(UserEvent::content);
        let files: BTreeSet<_> = blocks.filter_map(|block| block.file_id()).collect();
        for id in files {
            let id: FileId = id.parse().map_err(|_| ControlError::NotFound("file"))?;
            self.file(caller, &id).await?;
        }
        Ok(())
    }
}

/// What a request wrote.
struct Sent {
    written: Written,
    echoes: Vec<SessionEvent>,
    queues_work: bool,
    /// If it begins to work here: its place, and that it is this server's.
    claimed: Option<(Place, SessionRun)>,
}

impl Control {
    async fn send(
        &self,
        change: &mut Change,
        session: Session,
        events: Vec<UserEvent>,
    ) -> Result<Sent, ControlError> {
        if session.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        let needs_sandbox = events.iter().any(needs_sandbox);
        let mut writing = Writing::begin(change.locked(session)).await?;
        let echoes = receive(&mut writing, events).await?;
        let mut written = writing.end().await?;
        let is_new = !written.events.is_empty();
        let queues_work = is_new && needs_sandbox && is_self_hosted(&written.session);
        if queues_work {
            queue_work(change, &written.session).await?;
        }
        let claimed = self.claim_here(change, &mut written).await?;
        Ok(Sent {
            written,
            echoes,
            queues_work,
            claimed,
        })
    }
}

/// Stores what was sent, and has it happen.
pub(crate) async fn receive(
    writing: &mut Writing<'_>,
    events: Vec<UserEvent>,
) -> Result<Vec<SessionEvent>, ControlError> {
    let mut came = Came::default();
    for (index, event) in events.into_iter().enumerate() {
        let echo = came.take(writing, index, event).await?;
        came.echoes.push(echo);
    }
    for (thread, calls) in came.settled {
        let input = SessionInput::Settle(thread, calls);
        writing.apply(&input).await?;
    }
    for thread in came.interrupts {
        writing.apply(&SessionInput::Interrupt(thread)).await?;
    }
    if came.messages > 0 {
        let input = SessionInput::Queue(writing.primary().clone(), came.messages);
        writing.apply(&input).await?;
    }
    Ok(came.echoes)
}

impl Came {
    async fn take(
        &mut self,
        writing: &mut Writing<'_>,
        index: usize,
        event: UserEvent,
    ) -> Result<SessionEvent, ControlError> {
        let primary = writing.primary().clone();
        match &event {
            UserEvent::Message { .. } => {
                self.may_say_more(writing, index)?;
                self.messages += 1;
                writing.store(new(writing, &primary, &event, false)).await
            }
            UserEvent::SystemMessage { .. } => {
                writing.store(new(writing, &primary, &event, false)).await
            }
            UserEvent::Interrupt { session_thread_id } => {
                let named = session_thread_id.clone();
                self.interrupt(writing, index, named, &event).await
            }
            UserEvent::ToolConfirmation { tool_use_id, .. }
            | UserEvent::CustomToolResult {
                custom_tool_use_id: tool_use_id,
                ..
            }
            | UserEvent::ToolResult { tool_use_id, .. } => {
                let call = tool_use_id.clone();
                self.answer(writing, index, call, event).await
            }
        }
    }

    fn may_say_more(&self, writing: &Writing<'_>, index: usize) -> Result<(), ControlError> {
        if writing.state().status() == SessionStatus::Terminated {
            return Err(ControlError::Refused(SessionRefusal::Ended));
        }
        if budget_is_reached(writing.session())? {
            let message = "the session has cost as much as it may (budget_reached)";
            let help = "raise its budget, or go on in another session";
            return Err(refused(index, "", "budget_reached", message, help));
        }
        let queued = writing.state().thread(writing.primary());
        let queued = queued.map_or(0, |thread| thread.queued) + self.messages;
        if queued as usize >= QUEUED_EVENTS {
            return Err(ControlError::Full {
                kind: KIND,
                what: "messages that wait",
                limit: QUEUED_EVENTS,
            });
        }
        Ok(())
    }

    /// Every thread that does something has an event of its own to take up; the first one is answered.
    async fn interrupt(
        &mut self,
        writing: &mut Writing<'_>,
        index: usize,
        named: Option<SessionThreadId>,
        event: &UserEvent,
    ) -> Result<SessionEvent, ControlError> {
        let primary = writing.primary().clone();
        let threads = writing.state().threads();
        if named
            .as_ref()
            .is_some_and(|named| !threads.contains_key(named))
        {
            let message = "the session has no such thread";
            let help = "leave it out, to interrupt all threads";
            let field = "session_thread_id";
            return Err(refused(index, field, "unknown_thread", message, help));
        }
        let is_meant = |id: &SessionThreadId| named.as_ref().is_none_or(|named| named == id);
        let does_something = threads.iter().filter(|(id, thread)| {
            let is_busy = match thread.status {
                SessionStatus::Running | SessionStatus::Rescheduling => true,
                SessionStatus::Idle => !thread.awaits.is_empty(),
                SessionStatus::Terminated => false,
            };
            is_meant(id) && is_busy
        });
        let busy: Vec<_> = does_something.map(|(id, _)| id.clone()).collect();
        let Some(first) = busy.first().cloned() else {
            // There is nothing to stop.
            let thread = named.unwrap_or(primary);
            return writing.store(new(writing, &thread, event, true)).await;
        };
        let mut echo = None;
        for thread in &busy {
            let mut one = new(writing, thread, event, false);
            one.in_session = *thread == first;
            let stored = writing.store(one).await?;
            echo = echo.or(Some(stored));
        }
        self.interrupts.extend(busy);
        Ok(echo.expect("there is a first one"))
    }

    async fn answer(
        &mut self,
        writing: &mut Writing<'_>,
        index: usize,
        call: SessionEventId,
        event: UserEvent,
    ) -> Result<SessionEvent, ControlError> {
        let is_self_hosted = is_self_hosted(writing.session());
        let found = writing.locked().event(&call).await?;
        let needs = match &found {
            Some(found) => Needs::of(found, is_self_hosted)?,
            None => None,
        };
        let (Some(found), Some(needs)) = (found, needs) else {
            return Err(unknown_call(index));
        };
        let thread = found.thread.clone();
        let event = routed(event, &thread, writing.primary());
        let answer = fits(index, &event, &found, needs)?;
        let before = writing.locked().answers_to(&call).await?;
        let same = before
            .iter()
            .find(|one| one.answers.as_ref().is_some_and(|(_, it)| *it == answer));
        if let Some(same) = same {
            return if same.kind == event.kind() && same.body == event.body() {
                Ok(same.clone())
            } else {
                Err(ControlError::AlreadyAnswered)
            };
        }
        let said = Said::of(&before);
        // What it came to was decided otherwise.
        if said.has_result || (answer == SessionAnswer::Result && needs.are_met(&before)) {
            return Err(ControlError::AlreadyAnswered);
        }
        if answer == SessionAnswer::Result && needs.confirmation && said.confirmed.is_none() {
            let message = "the call was not allowed yet";
            let help = "wait for the user.tool_confirmation";
            return Err(refused(index, "tool_use_id", "unconfirmed", message, help));
        }
        let mut one = new(writing, &thread, &event, answer == SessionAnswer::Result);
        one.answers = Some((call.clone(), answer));
        let stored = writing.store(one).await?;
        let mut all = before;
        all.push(stored.clone());
        if needs.are_met(&all) {
            self.settled.entry(thread).or_default().insert(call);
        }
        Ok(stored)
    }
}

/// Whether an answer is of the kind that the call wants.
fn fits(
    index: usize,
    event: &UserEvent,
    call: &SessionEvent,
    needs: Needs,
) -> Result<SessionAnswer, ControlError> {
    use bailiwick_model::SessionEventType as T;
    let is_custom = call.kind == T::AgentCustomToolUse;
    match event {
        UserEvent::ToolConfirmation { .. } if needs.confirmation => Ok(SessionAnswer::Confirmation),
        UserEvent::ToolConfirmation { .. } => {
            let message = "this call asks nobody for permission";
            let help = "confirm calls whose `evaluated_permission` is `ask`";
            Err(refused(index, "tool_use_id", "not_asked", message, help))
        }
        UserEvent::CustomToolResult { .. } if is_custom => Ok(SessionAnswer::Result),
        UserEvent::CustomToolResult { .. } => {
            let message = "this is no call of a custom tool";
            let help = "name an agent.custom_tool_use";
            Err(refused(
                index,
                "custom_tool_use_id",
                "unknown_tool_use",
                message,
                help,
            ))
        }
        UserEvent::ToolResult { .. } if needs.result && !is_custom => Ok(SessionAnswer::Result),
        UserEvent::ToolResult { .. } => {
            let message = "the server itself says what this call comes to";
            let help = "workers answer calls of tools of the sandbox, in self-hosted environments";
            Err(refused(
                index,
                "tool_use_id",
                "not_a_workers_call",
                message,
                help,
            ))
        }
        UserEvent::Message { .. }
        | UserEvent::Interrupt { .. }
        | UserEvent::SystemMessage { .. } => Err(unknown_call(index)),
    }
}

/// With the thread that it goes to, if that is not the primary one.
fn routed(event: UserEvent, thread: &SessionThreadId, primary: &SessionThreadId) -> UserEvent {
    let routed = Some(thread.clone()).filter(|thread| thread != primary);
    match event {
        UserEvent::ToolConfirmation {
            tool_use_id,
            result,
            deny_message,
            session_thread_id: _,
        } => UserEvent::ToolConfirmation {
            tool_use_id,
            result,
            deny_message,
            session_thread_id: routed,
        },
        UserEvent::CustomToolResult {
            custom_tool_use_id,
            content,
            is_error,
            session_thread_id: _,
        } => UserEvent::CustomToolResult {
            custom_tool_use_id,
            content,
            is_error,
            session_thread_id: routed,
        },
        UserEvent::ToolResult {
            tool_use_id,
            content,
            is_error,
            session_thread_id: _,
        } => UserEvent::ToolResult {
            tool_use_id,
            content,
            is_error,
            session_thread_id: routed,
        },
        UserEvent::Message { .. }
        | UserEvent::Interrupt { .. }
        | UserEvent::SystemMessage { .. } => event,
    }
}

fn new(
    writing: &Writing<'_>,
    thread: &SessionThreadId,
    event: &UserEvent,
    is_processed: bool,
) -> NewSessionEvent {
    NewSessionEvent {
        is_processed,
        private: None,
        ..writing.event(thread, event.kind(), event.body())
    }
}

fn refused(
    index: usize,
    field: &str,
    code: &'static str,
    message: &str,
    help: &str,
) -> ControlError {
    let dot = if field.is_empty() { "" } else { "." };
    ControlError::Invalid(vec![FieldProblem {
        field: format!("events[{index}]{dot}{field}"),
        code,
        message: message.to_owned(),
        help: help.to_owned(),
    }])
}

fn unknown_call(index: usize) -> ControlError {
    let message = "the session has no event with this id in which the agent calls a tool";
    let help = "take it from `stop_reason.event_ids` of the last `session.status_idle`";
    refused(index, "tool_use_id", "unknown_tool_use", message, help)
}

/// A self-hosted environment has no egress policy.
pub(crate) fn is_self_hosted(session: &Session) -> bool {
    session.pins.policy.is_none()
}

/// Whether a session has cost what it may.
pub(crate) fn budget_is_reached(session: &Session) -> Result<bool, ControlError> {
    let Some(budget) = session.values.budget.as_deref() else {
        return Ok(false);
    };
    let budget: Budget = serde_json::from_str(budget).map_err(|_| sessions::corrupt("budget"))?;
    Ok(session.usage.list_cost_nanos >= budget.nanos())
}

/// Whether a worker has to be there for it.
fn needs_sandbox(event: &UserEvent) -> bool {
    match event {
        UserEvent::Message { .. } | UserEvent::Interrupt { .. } => true,
        UserEvent::ToolConfirmation { .. }
        | UserEvent::CustomToolResult { .. }
        | UserEvent::ToolResult { .. }
        | UserEvent::SystemMessage { .. } => false,
    }
}

/// A session that has no work, or whose worker is about to leave, gets some.
async fn queue_work(change: &mut Change, session: &Session) -> Result<(), ControlError> {
    use bailiwick_model::WorkState as W;
    if let Some(live) = change.lock_work_of(&session.id).await? {
        match live.state {
            W::Queued | W::Starting | W::Active => return Ok(()),
            W::Stopping | W::Stopped => {
                let ended = work::stopped(&live, true, change.at());
                change
                    .put_work(&ended)
                    .await
                    .map_err(ControlError::of("work"))?;
            }
        }
    }
    let new = NewWork {
        id: fresh::id(change.at()),
        environment: session.pins.environment.clone(),
        session: session.id.clone(),
    };
    change
        .insert_work(new)
        .await
        .map_err(ControlError::of("work"))?;
    Ok(())
}

/// What the audit log keeps of what was sent: what it was, and not what it said.
fn evidence(events: &[SessionEvent]) -> Value {
    let shown = |event: &SessionEvent| {
        let mut shown = json!({"id": event.id, "type": event.kind.as_str()});
        if let Some((call, _)) = &event.answers {
            shown["answers"] = json!(call);
            let said = UserEvent::stored(event.kind, &event.body);
            if let Ok(UserEvent::ToolConfirmation { result, .. }) = said {
                shown["result"] = json!(result);
            }
        }
        shown
    };
    let events: Vec<_> = events.iter().map(shown).collect();
    json!({"events": events})
}
