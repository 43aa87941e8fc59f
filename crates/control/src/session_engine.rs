//! For whoever runs sessions: which there are, whose they are, and what happens in them.
//!
//! A session that runs, or is tried again, is claimed by one runner for a time. What it reports is written together: what it takes up, what
//! happened, what was used, and what becomes of the thread. A report of a runner whose time is over, or after whom another one came, is refused.
//! No request reaches these use cases.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits::RUN_LEASE;
use bailiwick_model::{
    OrganizationId, SessionEventId, SessionEventType, SessionId, SessionInput, SessionStatus,
    SessionThreadId, SessionUsage, StopReason,
};
use bailiwick_store::{
    Change, NewSessionEvent, Session, SessionAnswer, SessionEvent, SessionRecord, SessionRun,
    SessionRunner, SessionThread, Turn,
};
use bailiwick_wire::AgentEvent;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::control::Control;
use crate::engine_places::Place;
use crate::error::ControlError;
use crate::session_feed::{Watch, WatchRequest};
use crate::session_input::is_self_hosted;
use crate::session_writing::{Writing, Written};
use crate::to_the_end::to_the_end;
use crate::tool_calls::Needs;
use crate::{clock, fresh};

/// Something that happened while an agent worked.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAgentEvent {
    /// Its id: [`Control::fresh_event_id`], made before, so that previews and results can name it.
    pub id: SessionEventId,
    /// What.
    pub event: AgentEvent,
    /// What only whoever runs the session reads of it.
    pub private: Option<String>,
}

/// What becomes of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadStep {
    /// It stops to work. Of calls that it waits for, those that nobody has to do anything about any more are left out.
    Rest(StopReason),
    /// It stops since somebody interrupted it. If something was said since then, it goes on with that at once.
    Yield,
    /// What failed is tried again later.
    Reschedule,
    /// It goes on, after what failed.
    Resume,
    /// Another thread begins, for this agent as the wire shows it, and runs.
    Begin {
        /// Its id.
        thread: SessionThreadId,
        /// Its agent.
        agent: String,
    },
    /// A thread that waits goes on, since another one told it something.
    Wake,
    /// A thread that is not the primary one ends. It waits.
    Close,
    /// The whole session ends: what failed will not pass.
    End,
}

/// What a runner tells of a thread. All of it is written, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnReport {
    /// Of which thread.
    pub thread: SessionThreadId,
    /// What was said and is taken up by this.
    pub taken: Vec<SessionEventId>,
    /// Calls of tools that are about to be run.
    pub begun: Vec<SessionEventId>,
    /// What happened, in its order.
    pub events: Vec<NewAgentEvent>,
    /// What was used.
    pub usage: SessionUsage,
    /// What becomes of the thread after that, one after the other.
    pub steps: Vec<ThreadStep>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The session as it has become.
    pub session: Session,
    /// All that was stored, with what was told of what the session became.
    pub events: Vec<SessionEvent>,
}

impl TurnReport {
    /// Nothing of a thread.
    pub fn of(thread: SessionThreadId) -> Self {
        Self {
            thread,
            taken: Vec::new(),
            begun: Vec::new(),
            events: Vec::new(),
            usage: SessionUsage::default(),
            steps: Vec::new(),
        }
    }
}

impl Control {
    /// A session that may have a sandbox; `None` if it is gone, archived, or has ended.
    pub(crate) async fn session_at_work(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Option<Session>, ControlError> {
        let found = self.store.scope(organization).session(session).await?;
        Ok(found.filter(|session| {
            session.archived_at.is_none() && session.status != SessionStatus::Terminated
        }))
    }

    /// An id for an event to come.
    pub fn fresh_event_id() -> SessionEventId {
        fresh::id(clock::now())
    }

    /// Waits until there may be something to do in some session, at most for so long: another server may not have said so.
    pub async fn session_begun(&self, at_most: Duration) {
        self.feeds_begin();
        let _ = tokio::time::timeout(at_most, self.sessions_begun.notified()).await;
    }

    /// Sessions that there is something to do in and that nobody runs, of all organizations.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn sessions_to_run(
        &self,
        limit: u32,
    ) -> Result<Vec<(OrganizationId, SessionId)>, ControlError> {
        Ok(self.store.sessions_to_run(clock::now(), limit).await?)
    }

    /// Makes somebody the one who runs a session, if nobody else does. They keep it by saying so ([`Self::keep_session`]).
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn claim_session(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
        holder: &str,
    ) -> Result<Option<SessionRun>, ControlError> {
        let now = clock::now();
        let claimed = self
            .store
            .claim_session(organization, session, holder, now, until(now));
        Ok(claimed.await?)
    }

    /// Claims a session that begins to work for the engine of this server, as a part of the change by which it does, if there is a place. Nobody
    /// is told to look for it then.
    pub(crate) async fn claim_here(
        &self,
        change: &mut Change,
        written: &mut Written,
    ) -> Result<Option<(Place, SessionRun)>, ControlError> {
        if !written.needs_runner {
            return Ok(None);
        }
        let Some(place) = self.engine_places.take() else {
            return Ok(None);
        };
        let (session, until) = (&written.session.id, until(clock::now()));
        let run = change.claim_session(session, place.holder(), until).await?;
        written.needs_runner = run.is_none();
        Ok(run.map(|run| (place, run)))
    }

    /// Gives back what was claimed and nobody runs: also if it is not known whether that was stored.
    pub(crate) async fn give_back(&self, claimed: Option<SessionRun>) {
        let Some(run) = claimed else {
            return;
        };
        if let Err(error) = self.release_session(&run).await {
            tracing::warn!(session = %run.session, %error, "a session waits until its lease ends");
        }
    }

    /// Keeps a session for longer; whether it was still theirs. If not, whoever asks stops at once.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn keep_session(&self, run: &SessionRun) -> Result<bool, ControlError> {
        let now = clock::now();
        Ok(self.store.keep_session(run, now, until(now)).await?)
    }

    /// Gives a session back, so that somebody else goes on with it at once.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn release_session(&self, run: &SessionRun) -> Result<(), ControlError> {
        self.store.release_session(run).await?;
        self.sessions_begun.notify_one();
        Ok(())
    }

    /// Ends what all engines hold, for the start of a server that has its database alone: nobody else is there any more.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn end_runs_of_others(&self) -> Result<(), ControlError> {
        self.store.end_knowledge_runs().await?;
        Ok(self.store.end_session_runs().await?)
    }

    /// A session that somebody runs, as it is now, with its threads.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] if it is gone, and [`ControlError::Store`].
    pub async fn session_of_run(
        &self,
        run: &SessionRun,
    ) -> Result<(Session, Vec<SessionThread>), ControlError> {
        let scope = self.store.scope(&run.organization);
        let session = scope.session(&run.session).await?;
        let threads = scope.session_threads(&run.session).await?;
        Ok((session.ok_or(ControlError::NotFound("session"))?, threads))
    }

    /// All that happened in a session that somebody runs, after an event, in all of its threads.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn records_of_run(
        &self,
        run: &SessionRun,
        after: i64,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, ControlError> {
        let scope = self.store.scope(&run.organization);
        Ok(scope
            .session_records_after(&run.session, after, limit)
            .await?)
    }

    /// What was said to a session and not taken up, the oldest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn queued_events_of_run(
        &self,
        run: &SessionRun,
        limit: u32,
    ) -> Result<Vec<SessionEvent>, ControlError> {
        let scope = self.store.scope(&run.organization);
        Ok(scope.queued_session_events(&run.session, limit).await?)
    }

    /// Watches a session that somebody runs: for interrupts and answers.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and [`ControlError::Store`].
    pub async fn watch_run(
        &self,
        run: &SessionRun,
        request: WatchRequest,
    ) -> Result<Watch, ControlError> {
        self.watch(&run.organization, &run.session, request).await
    }

    /// Writes what a runner tells.
    ///
    /// # Errors
    ///
    /// [`ControlError::RunLost`] if the session is somebody else's by now, [`ControlError::Refused`] if that cannot become of it: what was said
    /// meanwhile comes first. [`ControlError::AlreadyAnswered`] if a call has a result. Nothing is written then.
    pub async fn report(
        self: &Arc<Self>,
        run: &SessionRun,
        report: TurnReport,
    ) -> Result<Progress, ControlError> {
        let at = clock::now();
        let turn = self.store.turn(&run.organization, &run.session, at).await?;
        let mut turn = turn.ok_or(ControlError::RunLost)?;
        let written = match write(&mut turn, run, report).await {
            Ok(written) => written,
            Err(error @ ControlError::Store(_)) => return Err(error),
            Err(error) => {
                turn.undo().await?;
                return Err(error);
            }
        };
        let control = Arc::clone(self);
        to_the_end(async move {
            turn.commit().await?;
            control.published(&written);
            Ok(Progress {
                session: written.session,
                events: written.events,
            })
        })
        .await
    }
}

async fn write(
    turn: &mut Turn,
    run: &SessionRun,
    report: TurnReport,
) -> Result<Written, ControlError> {
    let runner = turn.session().runner.as_ref();
    let is_theirs = |runner: &SessionRunner| {
        (runner.number, &runner.holder) == (run.number, &run.holder) && runner.until > turn.at()
    };
    if !runner.is_some_and(is_theirs) {
        return Err(ControlError::RunLost);
    }
    let mut writing = Writing::begin(turn.locked()).await?;
    for call in &report.begun {
        writing.locked().begin_call(call).await?;
    }
    let is_primary = report.thread == *writing.primary();
    let events = report.events.into_iter();
    let events = events.map(|event| stored(event, &report.thread, is_primary));
    writing.store_all(events.collect()).await?;
    // After what ended by it: whoever reads the session later goes by the times.
    writing.take_up(&report.taken).await?;
    writing.add_usage(&report.thread, report.usage);
    for step in report.steps {
        take_step(&mut writing, &report.thread, step).await?;
    }
    writing.end().await
}

fn until(now: Timestamp) -> Timestamp {
    let lease = SignedDuration::try_from(RUN_LEASE).unwrap_or(SignedDuration::ZERO);
    now.checked_add(lease).unwrap_or(Timestamp::MAX)
}

/// What of another thread the session's own list has too: where somebody outside has something to do.
fn concerns_session(event: &AgentEvent) -> bool {
    use bailiwick_wire::PermissionEvaluation as P;
    match event {
        AgentEvent::ToolUse { permission, .. } | AgentEvent::McpToolUse { permission, .. } => {
            permission.evaluated_permission == Some(P::Ask)
        }
        AgentEvent::CustomToolUse { .. } | AgentEvent::Error { .. } => true,
        AgentEvent::Message { .. }
        | AgentEvent::Thinking {}
        | AgentEvent::ToolResult { .. }
        | AgentEvent::McpToolResult { .. }
        | AgentEvent::ThreadMessageReceived { .. }
        | AgentEvent::ThreadMessageSent { .. }
        | AgentEvent::ContextCompacted {}
        | AgentEvent::ModelRequestStart {}
        | AgentEvent::ModelRequestEnd { .. } => false,
    }
}

fn stored(new: NewAgentEvent, thread: &SessionThreadId, is_primary: bool) -> NewSessionEvent {
    let call = new.event.call().cloned();
    NewSessionEvent {
        id: new.id,
        thread: thread.clone(),
        in_session: is_primary || concerns_session(&new.event),
        kind: new.event.kind(),
        body: new.event.body(),
        answers: call.map(|call| (call, SessionAnswer::Result)),
        is_processed: true,
        private: new.private,
    }
}

async fn take_step(
    writing: &mut Writing<'_>,
    thread: &SessionThreadId,
    step: ThreadStep,
) -> Result<(), ControlError> {
    let own = thread.clone();
    let input = match step {
        ThreadStep::Rest(StopReason::RequiresAction(calls)) => {
            let calls = unmet(writing, calls).await?;
            SessionInput::Rest(own, StopReason::RequiresAction(calls))
        }
        ThreadStep::Rest(reason) => SessionInput::Rest(own, reason),
        ThreadStep::Yield => SessionInput::Yield(own),
        ThreadStep::Reschedule => SessionInput::Reschedule(own),
        ThreadStep::Resume => SessionInput::Resume(own),
        ThreadStep::Begin {
            thread: child,
            agent,
        } => return begin(writing, own, child, agent).await,
        ThreadStep::Wake => return wake(writing, own).await,
        ThreadStep::Close => SessionInput::Close(own),
        ThreadStep::End => SessionInput::End,
    };
    writing.apply(&input).await
}

async fn begin(
    writing: &mut Writing<'_>,
    parent: SessionThreadId,
    child: SessionThreadId,
    agent: String,
) -> Result<(), ControlError> {
    let living = writing.state().threads().values();
    let living = living.filter(|it| it.status != SessionStatus::Terminated);
    if living.count() >= bailiwick_model::limits::SESSION_THREADS {
        return Err(ControlError::Full {
            kind: "session",
            what: "threads",
            limit: bailiwick_model::limits::SESSION_THREADS,
        });
    }
    let (session, at) = (writing.session().id.clone(), writing.locked().at());
    let thread = SessionThread::new(
        child.clone(),
        session,
        Some(parent.clone()),
        Some(agent),
        at,
    );
    writing.open(thread).await?;
    let body = json!({
        "session_thread_id": child,
        "agent_name": writing.agent_name(&child),
        "workflow_run_id": null,
    });
    let kind = SessionEventType::SessionThreadCreated;
    let created = writing.event(&parent, kind, body.to_string());
    writing.store(created).await?;
    wake(writing, child).await
}

/// As if something had been said to it that it has taken up.
async fn wake(writing: &mut Writing<'_>, thread: SessionThreadId) -> Result<(), ControlError> {
    let said = SessionInput::Queue(thread.clone(), 1);
    writing.apply(&said).await?;
    writing.apply(&SessionInput::Take(thread, 1, 0)).await
}

/// The calls that somebody outside still has to do something about.
async fn unmet(
    writing: &mut Writing<'_>,
    calls: BTreeSet<SessionEventId>,
) -> Result<BTreeSet<SessionEventId>, ControlError> {
    let is_self_hosted = is_self_hosted(writing.session());
    let mut unmet = BTreeSet::new();
    for call in calls {
        let event = writing.locked().event(&call).await?;
        let event = event.ok_or(ControlError::NotFound("event"))?;
        let answers = writing.locked().answers_to(&call).await?;
        let needs = Needs::of(&event, is_self_hosted)?;
        if needs.is_some_and(|needs| !needs.are_met(&answers)) {
            unmet.insert(call);
        }
    }
    Ok(unmet)
}
