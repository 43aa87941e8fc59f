//! What becomes of a session when something happens: a pure function, and the only thing that decides it.

mod refusal;

use std::collections::{BTreeMap, BTreeSet};

use super::SessionStatus;
use crate::{SessionEventId, SessionThreadId};

pub use refusal::SessionRefusal;

/// What one thread is doing, and what is there for it to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadState {
    /// What it is doing.
    pub status: SessionStatus,
    /// The calls of tools that it waits for while it is idle.
    pub awaits: BTreeSet<SessionEventId>,
    /// Messages that it has not taken up.
    pub queued: u32,
    /// Interrupts that it has not taken up.
    pub interrupts: u32,
}

/// What a session's threads are doing. It has one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    primary: SessionThreadId,
    threads: BTreeMap<SessionThreadId, ThreadState>,
}

/// Why a thread has stopped to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It has nothing more to do.
    EndTurn,
    /// Somebody has to allow or answer these calls of tools.
    RequiresAction(BTreeSet<SessionEventId>),
    /// What failed did so too often.
    RetriesExhausted,
    /// The session costs as much as it may.
    BudgetReached,
    /// The model does not want to.
    Refusal(StopDetails),
}

/// What a model says of why it does not want to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopDetails {
    /// What kind of thing it refuses.
    pub category: Option<String>,
    /// In its words.
    pub explanation: Option<String>,
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionInput {
    /// Somebody has said something to a thread: so many messages.
    Queue(SessionThreadId, u32),
    /// Somebody wants a thread to stop.
    Interrupt(SessionThreadId),
    /// These calls of tools need nobody any more.
    Settle(SessionThreadId, BTreeSet<SessionEventId>),
    /// A thread takes up so many messages and so many interrupts.
    Take(SessionThreadId, u32, u32),
    /// A thread goes on: after what failed, or, once the session may cost more, with what it was at or what was said to it.
    Resume(SessionThreadId),
    /// A thread has stopped to work.
    Rest(SessionThreadId, StopReason),
    /// A thread has stopped because somebody wanted it to. What was said to it since then follows at once.
    Yield(SessionThreadId),
    /// Something failed that may pass.
    Reschedule(SessionThreadId),
    /// There is one more thread.
    Open(SessionThreadId),
    /// A thread that waits has ended; not the primary one.
    Close(SessionThreadId),
    /// All has ended.
    End,
}

/// What is told of a change, in the order in which it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusEvent {
    /// A thread runs.
    ThreadRunning(SessionThreadId),
    /// A thread waits.
    ThreadIdle(SessionThreadId, StopReason),
    /// A thread is tried again.
    ThreadRescheduled(SessionThreadId),
    /// A thread has ended.
    ThreadTerminated(SessionThreadId),
    /// The session runs.
    Running,
    /// What the session has used: before it waits.
    Usage,
    /// The session waits.
    Idle(StopReason),
    /// The session is tried again.
    Rescheduled,
    /// The session has ended.
    Terminated,
}

impl ThreadState {
    /// One that waits for input, and has none.
    pub fn idle() -> Self {
        Self {
            status: SessionStatus::Idle,
            awaits: BTreeSet::new(),
            queued: 0,
            interrupts: 0,
        }
    }
}

impl SessionState {
    /// Of these threads, the primary one among them.
    pub fn new(
        primary: SessionThreadId,
        threads: impl IntoIterator<Item = (SessionThreadId, ThreadState)>,
    ) -> Self {
        let mut threads: BTreeMap<_, _> = threads.into_iter().collect();
        threads
            .entry(primary.clone())
            .or_insert_with(ThreadState::idle);
        Self { primary, threads }
    }

    /// The threads.
    pub fn threads(&self) -> &BTreeMap<SessionThreadId, ThreadState> {
        &self.threads
    }

    /// One of the threads.
    pub fn thread(&self, id: &SessionThreadId) -> Option<&ThreadState> {
        self.threads.get(id)
    }

    /// What the session is doing: whatever one of its threads does, in this order: run, be tried again, wait.
    pub fn status(&self) -> SessionStatus {
        use SessionStatus as S;
        let does = |status| self.threads.values().any(|thread| thread.status == status);
        let mut order = [S::Running, S::Rescheduling, S::Idle].into_iter();
        order.find(|status| does(*status)).unwrap_or(S::Terminated)
    }

    /// What it becomes, and what is told of it.
    ///
    /// # Errors
    ///
    /// [`SessionRefusal`] where that cannot happen to it now.
    pub fn after(&self, input: &SessionInput) -> Result<(Self, Vec<StatusEvent>), SessionRefusal> {
        let (mut after, mut told) = (self.clone(), Vec::new());
        match input {
            SessionInput::Queue(id, count) => {
                let thread = after.living(id)?;
                thread.queued = thread.queued.saturating_add(*count);
                if thread.waits_for_input() {
                    thread.run(id, &mut told);
                }
            }
            SessionInput::Interrupt(id) => after.living(id)?.interrupt(id, &mut told),
            SessionInput::Settle(id, calls) => after.living(id)?.settle(id, calls, &mut told),
            SessionInput::Take(id, messages, interrupts) => {
                after.living(id)?.take(*messages, *interrupts)?;
            }
            SessionInput::Resume(id) => after.living(id)?.resume(id, &mut told)?,
            SessionInput::Rest(id, reason) => after.living(id)?.rest(id, reason, &mut told)?,
            SessionInput::Yield(id) => {
                after.living(id)?.stop(id, StopReason::EndTurn, &mut told)?;
                self.tell_of(&after, &mut told);
                let thread = after.living(id)?;
                if thread.queued > 0 {
                    let rested = after.clone();
                    after.living(id)?.run(id, &mut told);
                    rested.tell_of(&after, &mut told);
                }
                return Ok((after, told));
            }
            SessionInput::Reschedule(id) => {
                let thread = after.living(id)?;
                if thread.status != SessionStatus::Running {
                    return Err(SessionRefusal::NotAtWork);
                }
                thread.status = SessionStatus::Rescheduling;
                told.push(StatusEvent::ThreadRescheduled(id.clone()));
            }
            SessionInput::Open(id) => after.open(id)?,
            SessionInput::Close(id) => after.close(id, &mut told)?,
            SessionInput::End => after.end(&mut told)?,
        }
        self.tell_of(&after, &mut told);
        Ok((after, told))
    }

    fn living(&mut self, id: &SessionThreadId) -> Result<&mut ThreadState, SessionRefusal> {
        let thread = self.threads.get_mut(id);
        let thread = thread.ok_or(SessionRefusal::NoSuchThread)?;
        match thread.status {
            SessionStatus::Terminated => Err(SessionRefusal::Ended),
            SessionStatus::Idle | SessionStatus::Running | SessionStatus::Rescheduling => {
                Ok(thread)
            }
        }
    }

    fn open(&mut self, id: &SessionThreadId) -> Result<(), SessionRefusal> {
        if self.status() == SessionStatus::Terminated {
            return Err(SessionRefusal::Ended);
        }
        if self.threads.contains_key(id) {
            return Err(SessionRefusal::ThreadExists);
        }
        self.threads.insert(id.clone(), ThreadState::idle());
        Ok(())
    }

    fn close(
        &mut self,
        id: &SessionThreadId,
        told: &mut Vec<StatusEvent>,
    ) -> Result<(), SessionRefusal> {
        if *id == self.primary {
            return Err(SessionRefusal::IsPrimary);
        }
        let thread = self.living(id)?;
        if thread.status != SessionStatus::Idle {
            return Err(SessionRefusal::AtWork);
        }
        thread.end(id, told);
        Ok(())
    }

    fn end(&mut self, told: &mut Vec<StatusEvent>) -> Result<(), SessionRefusal> {
        if self.status() == SessionStatus::Terminated {
            return Err(SessionRefusal::Ended);
        }
        for (id, thread) in &mut self.threads {
            if thread.status != SessionStatus::Terminated {
                thread.end(id, told);
            }
        }
        Ok(())
    }

    /// What all threads of an idle session wait for together, or why the last one stopped.
    fn stopped_for(&self, last: &StopReason) -> StopReason {
        let awaited = self.threads.values().flat_map(|thread| &thread.awaits);
        let awaited: BTreeSet<_> = awaited.cloned().collect();
        if awaited.is_empty() {
            last.clone()
        } else {
            StopReason::RequiresAction(awaited)
        }
    }

    /// Adds what is told of the session as a whole, after what was told of its threads.
    fn tell_of(&self, after: &Self, told: &mut Vec<StatusEvent>) {
        let (was, is) = (self.status(), after.status());
        let stopped = told.iter().rev().find_map(|event| match event {
            StatusEvent::ThreadIdle(_, reason) => Some(reason.clone()),
            StatusEvent::ThreadRunning(_)
            | StatusEvent::ThreadRescheduled(_)
            | StatusEvent::ThreadTerminated(_)
            | StatusEvent::Running
            | StatusEvent::Usage
            | StatusEvent::Idle(_)
            | StatusEvent::Rescheduled
            | StatusEvent::Terminated => None,
        });
        match is {
            SessionStatus::Running if was != is => told.push(StatusEvent::Running),
            SessionStatus::Rescheduling if was != is => told.push(StatusEvent::Rescheduled),
            SessionStatus::Terminated if was != is => told.push(StatusEvent::Terminated),
            // Also where it waits for less than before.
            SessionStatus::Idle => {
                if let Some(reason) = stopped {
                    let reason = after.stopped_for(&reason);
                    told.extend([StatusEvent::Usage, StatusEvent::Idle(reason)]);
                }
            }
            SessionStatus::Running | SessionStatus::Rescheduling | SessionStatus::Terminated => {}
        }
    }
}

impl ThreadState {
    fn waits_for_input(&self) -> bool {
        self.status == SessionStatus::Idle && self.awaits.is_empty()
    }

    fn run(&mut self, id: &SessionThreadId, told: &mut Vec<StatusEvent>) {
        self.status = SessionStatus::Running;
        self.awaits.clear();
        told.push(StatusEvent::ThreadRunning(id.clone()));
    }

    fn end(&mut self, id: &SessionThreadId, told: &mut Vec<StatusEvent>) {
        self.status = SessionStatus::Terminated;
        self.awaits.clear();
        told.push(StatusEvent::ThreadTerminated(id.clone()));
    }

    /// Whoever does nothing has nothing to stop; whoever waits for somebody waits no longer.
    fn interrupt(&mut self, id: &SessionThreadId, told: &mut Vec<StatusEvent>) {
        if self.waits_for_input() {
            return;
        }
        self.interrupts = self.interrupts.saturating_add(1);
        if self.status == SessionStatus::Idle {
            self.run(id, told);
        }
    }

    fn settle(
        &mut self,
        id: &SessionThreadId,
        calls: &BTreeSet<SessionEventId>,
        told: &mut Vec<StatusEvent>,
    ) {
        let before = self.awaits.len();
        self.awaits.retain(|call| !calls.contains(call));
        if self.awaits.len() == before {
            return;
        }
        if self.awaits.is_empty() {
            self.run(id, told);
        } else {
            let rest = StopReason::RequiresAction(self.awaits.clone());
            told.push(StatusEvent::ThreadIdle(id.clone(), rest));
        }
    }

    fn take(&mut self, messages: u32, interrupts: u32) -> Result<(), SessionRefusal> {
        if !matches!(
            self.status,
            SessionStatus::Running | SessionStatus::Rescheduling
        ) {
            return Err(SessionRefusal::NotAtWork);
        }
        let (Some(queued), Some(left)) = (
            self.queued.checked_sub(messages),
            self.interrupts.checked_sub(interrupts),
        ) else {
            return Err(SessionRefusal::NothingQueued);
        };
        (self.queued, self.interrupts) = (queued, left);
        Ok(())
    }

    fn resume(
        &mut self,
        id: &SessionThreadId,
        told: &mut Vec<StatusEvent>,
    ) -> Result<(), SessionRefusal> {
        match self.status {
            SessionStatus::Rescheduling => {}
            SessionStatus::Idle if self.waits_for_input() => {}
            SessionStatus::Idle => return Err(SessionRefusal::NothingQueued),
            SessionStatus::Running => return Err(SessionRefusal::AtWork),
            SessionStatus::Terminated => return Err(SessionRefusal::Ended),
        }
        self.run(id, told);
        Ok(())
    }

    /// Nobody comes to rest over what was said to them.
    fn rest(
        &mut self,
        id: &SessionThreadId,
        reason: &StopReason,
        told: &mut Vec<StatusEvent>,
    ) -> Result<(), SessionRefusal> {
        let may_leave = match reason {
            StopReason::EndTurn | StopReason::RetriesExhausted | StopReason::Refusal(_) => 0,
            StopReason::BudgetReached => self.queued,
            StopReason::RequiresAction(calls) if calls.is_empty() => {
                return Err(SessionRefusal::NothingAwaited);
            }
            StopReason::RequiresAction(_) => self.queued,
        };
        if self.queued > may_leave {
            return Err(SessionRefusal::InputWaits);
        }
        self.stop(id, reason.clone(), told)
    }

    fn stop(
        &mut self,
        id: &SessionThreadId,
        reason: StopReason,
        told: &mut Vec<StatusEvent>,
    ) -> Result<(), SessionRefusal> {
        if !matches!(
            self.status,
            SessionStatus::Running | SessionStatus::Rescheduling
        ) {
            return Err(SessionRefusal::NotAtWork);
        }
        if self.interrupts > 0 {
            return Err(SessionRefusal::InputWaits);
        }
        self.status = SessionStatus::Idle;
        if let StopReason::RequiresAction(calls) = &reason {
            self.awaits.clone_from(calls);
        }
        told.push(StatusEvent::ThreadIdle(id.clone(), reason));
        Ok(())
    }
}
