//! Writing about a session under its lock: events are stored, and what the session becomes is what `model` says. Nothing else sets a status.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_model::{
    Activity, SessionEventId, SessionEventType, SessionId, SessionInput, SessionState,
    SessionStatus, SessionThreadId, SessionUsage, StatusEvent, ThreadState,
};
use bailiwick_store::{
    Change, LockedSession, NewSessionEvent, Queued, Session, SessionEvent, SessionProgress,
    SessionThread, StoreError,
};
use bailiwick_wire::StatusFacts;
use serde_json::Value;

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::sessions::KIND;
use crate::{authentication, clock, fresh};

/// A session that is being written about.
pub(crate) struct Writing<'t> {
    locked: LockedSession<'t>,
    primary: SessionThreadId,
    threads: BTreeMap<SessionThreadId, SessionThread>,
    state: SessionState,
    usage: SessionUsage,
    activity: Activity,
    changed: BTreeSet<SessionThreadId>,
    stored: Vec<SessionEvent>,
}

/// What was written about a session, once it is committed.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// The session as it has become.
    pub(crate) session: Session,
    /// What was stored, in its order.
    pub(crate) events: Vec<SessionEvent>,
    /// Whether there is something to do in it that there was not before, and that nobody does.
    pub(crate) needs_runner: bool,
}

impl Control {
    /// A change that holds the lock of a session, after that of the organization: whoever takes several locks takes this one first.
    pub(crate) async fn locked_session(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<(Change, Session), ControlError> {
        let at = clock::now();
        let change = self.store.change(&caller.organization, at).await?;
        self.locked_in(change, caller, id).await
    }

    /// The same, of a change that goes to the disk with others of its kind.
    pub(crate) async fn locked_shared_session(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<(Change, Session), ControlError> {
        let at = clock::now();
        let change = self.store.shared_change(&caller.organization, at).await?;
        self.locked_in(change, caller, id).await
    }

    async fn locked_in(
        &self,
        mut change: Change,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<(Change, Session), ControlError> {
        let at = change.at();
        // On two connections, so that other changes wait for the longer of the two and not for both.
        let still = authentication::still(&self.store, caller, at);
        let (still, session) = tokio::join!(still, change.lock_session(id));
        still?;
        Ok((change, session?.ok_or(ControlError::NotFound(KIND))?))
    }
}

impl<'t> Writing<'t> {
    /// Begins with what is stored.
    pub(crate) async fn begin(mut locked: LockedSession<'t>) -> Result<Self, ControlError> {
        let threads = locked.threads().await?;
        let states: BTreeMap<_, _> = threads.iter().map(state_of).collect();
        let session = locked.session();
        let primary = SessionThreadId::primary_of(&session.id);
        Ok(Self {
            state: SessionState::new(primary.clone(), states),
            usage: session.usage,
            activity: session.activity,
            primary,
            threads: threads
                .into_iter()
                .map(|(it, _)| (it.id.clone(), it))
                .collect(),
            changed: BTreeSet::new(),
            stored: Vec::new(),
            locked,
        })
    }

    /// The session as it is by now.
    pub(crate) fn session(&self) -> &Session {
        self.locked.session()
    }

    /// What it is doing by now.
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// The thread that it began with.
    pub(crate) fn primary(&self) -> &SessionThreadId {
        &self.primary
    }

    /// What is stored of it.
    pub(crate) fn locked(&mut self) -> &mut LockedSession<'t> {
        &mut self.locked
    }

    /// Stores one event.
    pub(crate) async fn store(
        &mut self,
        event: NewSessionEvent,
    ) -> Result<SessionEvent, ControlError> {
        self.store_all(vec![event]).await?;
        let last = self.stored.last().cloned();
        Ok(last.expect("it was just stored"))
    }

    /// Stores events.
    pub(crate) async fn store_all(
        &mut self,
        events: Vec<NewSessionEvent>,
    ) -> Result<(), ControlError> {
        let stored = self.locked.append(events).await;
        self.stored.extend(stored.map_err(|error| {
            if matches!(error, StoreError::Taken) {
                ControlError::AlreadyAnswered
            } else {
                ControlError::Store(error)
            }
        })?);
        Ok(())
    }

    /// An event of the server about a thread.
    pub(crate) fn event(
        &self,
        thread: &SessionThreadId,
        kind: SessionEventType,
        body: String,
    ) -> NewSessionEvent {
        NewSessionEvent {
            id: fresh::id(self.locked.at()),
            thread: thread.clone(),
            in_session: true,
            kind,
            body,
            answers: None,
            is_processed: true,
            private: None,
        }
    }

    /// Takes up what was said: how many messages and interrupts there were in each thread.
    pub(crate) async fn take_up(&mut self, ids: &[SessionEventId]) -> Result<(), ControlError> {
        for id in ids {
            let event = self.locked.event(id).await?;
            let event = event.filter(|event| event.processed_at.is_none());
            let event = event.ok_or(ControlError::NotFound("event that waits"))?;
            self.locked.take_up(id).await?;
            let (messages, interrupts) = counts(event.kind);
            if messages + interrupts > 0 {
                let input = SessionInput::Take(event.thread, messages, interrupts);
                self.apply(&input).await?;
            }
        }
        Ok(())
    }

    /// Adds what a thread has used.
    pub(crate) fn add_usage(&mut self, thread: &SessionThreadId, more: SessionUsage) {
        if more == SessionUsage::default() {
            return;
        }
        self.usage = self.usage.plus(more);
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.usage = thread.usage.plus(more);
            self.changed.insert(thread.id.clone());
        }
    }

    /// Gives the session one more thread.
    pub(crate) async fn open(&mut self, thread: SessionThread) -> Result<(), ControlError> {
        self.apply(&SessionInput::Open(thread.id.clone())).await?;
        self.locked.insert_thread(&thread).await?;
        self.threads.insert(thread.id.clone(), thread);
        Ok(())
    }

    /// What happens to the session; what is told of it is stored.
    pub(crate) async fn apply(&mut self, input: &SessionInput) -> Result<(), ControlError> {
        let (after, told) = self.state.after(input).map_err(ControlError::Refused)?;
        let at = self.locked.at();
        for (id, thread) in after.threads() {
            let Some(stored) = self.threads.get_mut(id) else {
                continue;
            };
            if stored.status != thread.status || stored.awaits != thread.awaits {
                let runs = thread.status == SessionStatus::Running;
                stored.activity = stored.activity.changed(runs, at);
                stored.status = thread.status;
                stored.awaits.clone_from(&thread.awaits);
                self.changed.insert(id.clone());
            }
        }
        let runs = after.status() == SessionStatus::Running;
        self.activity = self.activity.changed(runs, at);
        self.state = after;
        let told = told.iter().map(|change| self.told(change)).collect();
        self.store_all(told).await
    }

    fn told(&self, change: &StatusEvent) -> NewSessionEvent {
        let thread = match change {
            StatusEvent::ThreadRunning(id)
            | StatusEvent::ThreadIdle(id, _)
            | StatusEvent::ThreadRescheduled(id)
            | StatusEvent::ThreadTerminated(id) => id,
            StatusEvent::Running
            | StatusEvent::Usage
            | StatusEvent::Idle(_)
            | StatusEvent::Rescheduled
            | StatusEvent::Terminated => &self.primary,
        };
        let session = self.locked.session();
        let facts = StatusFacts {
            agent_name: &self.agent_name(thread),
            usage: self.usage,
            activity: self.activity,
            budget: session.values.budget.as_deref(),
            at: self.locked.at(),
        };
        let (kind, body) = facts.tell(change);
        self.event(thread, kind, body)
    }

    /// What a thread's agent is called.
    pub(crate) fn agent_name(&self, thread: &SessionThreadId) -> String {
        let own = self.threads.get(thread).and_then(|it| it.agent.as_deref());
        let agent = own.unwrap_or(&self.locked.session().values.agent);
        let agent: Value = serde_json::from_str(agent).unwrap_or_default();
        agent["name"].as_str().unwrap_or_default().to_owned()
    }

    /// Writes what it has become.
    pub(crate) async fn end(mut self) -> Result<Written, ControlError> {
        let at = self.locked.at();
        let was = self.locked.session().clone();
        let status = self.state.status();
        for id in std::mem::take(&mut self.changed) {
            if let Some(thread) = self.threads.get_mut(&id) {
                thread.updated_at = at;
                if thread.status == SessionStatus::Terminated {
                    thread.archived_at = thread.archived_at.or(Some(at));
                }
                self.locked.put_thread(thread).await?;
            }
        }
        let is_changed =
            (status, self.usage, self.activity) != (was.status, was.usage, was.activity);
        if is_changed {
            let progress = SessionProgress {
                status,
                usage: self.usage,
                activity: self.activity,
            };
            self.locked.put_progress(progress);
        }
        // Whoever comes next may begin at once.
        if was.runner.is_some() && is_at_rest(status) {
            self.locked.end_run();
        }
        Ok(Written {
            session: self.locked.finish().await?,
            events: self.stored,
            needs_runner: is_at_rest(was.status) && !is_at_rest(status),
        })
    }
}

fn is_at_rest(status: SessionStatus) -> bool {
    match status {
        SessionStatus::Idle | SessionStatus::Terminated => true,
        SessionStatus::Running | SessionStatus::Rescheduling => false,
    }
}

fn state_of((thread, queued): &(SessionThread, Queued)) -> (SessionThreadId, ThreadState) {
    let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
    let state = ThreadState {
        status: thread.status,
        awaits: thread.awaits.clone(),
        queued: count(queued.messages),
        interrupts: count(queued.interrupts),
    };
    (thread.id.clone(), state)
}

/// How many messages and how many interrupts an event is that nobody has taken up. What accompanies a message is taken up with it.
fn counts(kind: SessionEventType) -> (u32, u32) {
    if kind == SessionEventType::UserMessage {
        (1, 0)
    } else if kind == SessionEventType::UserInterrupt {
        (0, 1)
    } else {
        (0, 0)
    }
}
