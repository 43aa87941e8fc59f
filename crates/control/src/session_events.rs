//! What happened in sessions, and their threads: to be read.

use bailiwick_model::{
    Permission, ResourceId as _, SessionId, SessionInput, SessionStatus, SessionThreadId,
};
use bailiwick_store::{Session, SessionEvent, SessionEventFilter, SessionEventPage, SessionThread};

use jiff::Timestamp;

use crate::caller::{Actor, Caller};
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;
use crate::session_writing::Writing;
use crate::sessions::KIND;

/// A thread, with its session's agent, which the primary one has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadView {
    /// The thread.
    pub thread: SessionThread,
    /// As the wire shows it.
    pub agent: String,
}

impl ThreadView {
    fn of(thread: SessionThread, session: &Session) -> Self {
        let agent = thread.agent.as_ref().unwrap_or(&session.values.agent);
        Self {
            agent: agent.clone(),
            thread,
        }
    }

    /// Until when its times count: now, or, of one that has ended, when it did.
    pub fn until(&self) -> Timestamp {
        self.thread.archived_at.unwrap_or_else(clock::now)
    }
}

impl Control {
    /// A session, if the caller sees it: workers see those of their environment, and of their item.
    pub(crate) async fn seen_session(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<Session, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let session = scope.session(id).await?;
        let seen = session.filter(|session| match &caller.actor {
            Actor::Worker(environment) => session.pins.environment == *environment,
            Actor::WorkItem(item) => session.id == item.session,
            Actor::VirtualKey(_) | Actor::GatewayKey(_) => false,
            Actor::User(_) | Actor::ServiceAccount(_) | Actor::System => true,
        });
        seen.ok_or(ControlError::NotFound(KIND))
    }

    /// What happened in a session, or in a thread of it. One more than is asked for tells whether there is more.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn session_events(
        &self,
        caller: &Caller,
        id: &SessionId,
        page: SessionEventPage,
        filter: &SessionEventFilter,
    ) -> Result<Vec<SessionEvent>, ControlError> {
        caller.require_or_worker(Permission::SessionRead)?;
        self.seen_session(caller, id).await?;
        if let Some(thread) = &filter.thread {
            self.thread_of(caller, id, thread).await?;
        }
        let scope = self.store.scope(&caller.organization);
        Ok(scope.session_events(id, page, filter).await?)
    }

    pub(crate) async fn thread_of(
        &self,
        caller: &Caller,
        session: &SessionId,
        id: &SessionThreadId,
    ) -> Result<SessionThread, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let thread = scope.session_thread(session, id).await?;
        thread.ok_or(ControlError::NotFound("session thread"))
    }

    /// The threads of a session that do one of these things, the oldest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn session_threads(
        &self,
        caller: &Caller,
        id: &SessionId,
        statuses: &[SessionStatus],
    ) -> Result<Vec<ThreadView>, ControlError> {
        caller.require_or_worker(Permission::SessionRead)?;
        let session = self.seen_session(caller, id).await?;
        let scope = self.store.scope(&caller.organization);
        let mut threads = scope.session_threads(id).await?;
        threads.retain(|thread| statuses.contains(&thread.status));
        let view = |thread| ThreadView::of(thread, &session);
        Ok(threads.into_iter().map(view).collect())
    }

    /// One thread of a session.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn session_thread(
        &self,
        caller: &Caller,
        id: &SessionId,
        thread: &SessionThreadId,
    ) -> Result<ThreadView, ControlError> {
        caller.require_or_worker(Permission::SessionRead)?;
        let session = self.seen_session(caller, id).await?;
        let thread = self.thread_of(caller, id, thread).await?;
        Ok(ThreadView::of(thread, &session))
    }

    /// Ends a thread that waits, for good. The primary one ends with its session.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Refused`], and what every use case may answer.
    pub async fn archive_session_thread(
        &self,
        caller: &Caller,
        id: &SessionId,
        thread: &SessionThreadId,
    ) -> Result<ThreadView, ControlError> {
        caller.require(Permission::SessionWrite)?;
        self.seen_session(caller, id).await?;
        let before = self.thread_of(caller, id, thread).await?;
        if before.archived_at.is_none() {
            let (mut change, session) = self.locked_session(caller, id).await?;
            let mut writing = Writing::begin(change.locked(session)).await?;
            writing.apply(&SessionInput::Close(thread.clone())).await?;
            let written = writing.end().await?;
            let event = caller.event(
                "session-thread.archive",
                ("session_thread", thread.as_str()),
                None,
                None,
            );
            change
                .commit(&event)
                .await
                .map_err(ControlError::of(KIND))?;
            self.published(&written);
        }
        self.session_thread(caller, id, thread).await
    }
}
