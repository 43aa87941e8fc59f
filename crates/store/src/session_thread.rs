//! Threads of sessions.

use std::collections::BTreeSet;

use bailiwick_model::{
    Activity, SessionEventId, SessionId, SessionStatus, SessionThreadId, SessionUsage,
};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::Columns;
use crate::session_usage::{self, usage_columns};
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        select_threads!("", $rest)
    };
    ($more:expr, $rest:literal) => {
        concat!(
            "SELECT id, session_id, parent_id, agent, status, awaits, created_at, updated_at, archived_at, ",
            usage_columns!(),
            $more,
            " FROM session_thread WHERE organization_id = $1 AND session_id = $2 ",
            $rest
        )
    };
}
pub(crate) use select as select_threads;

/// A thread of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionThread {
    /// Its id.
    pub id: SessionThreadId,
    /// In which session.
    pub session: SessionId,
    /// Which thread began it; the primary one has none.
    pub parent: Option<SessionThreadId>,
    /// Its agent as the wire shows it; the primary one's is its session's.
    pub agent: Option<String>,
    /// What it is doing.
    pub status: SessionStatus,
    /// The calls of tools that it waits for.
    pub awaits: BTreeSet<SessionEventId>,
    /// What it has used.
    pub usage: SessionUsage,
    /// How long it was at work.
    pub activity: Activity,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it ended, for good.
    pub archived_at: Option<Timestamp>,
}

impl SessionThread {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let (usage, activity) = session_usage::read(row)?;
        Ok(Self {
            id: row.id("id")?,
            session: row.id("session_id")?,
            parent: row.optional_id("parent_id")?,
            agent: row.value("agent")?,
            status: row.word("status")?,
            awaits: row.json("awaits")?,
            usage,
            activity,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            archived_at: row.optional_time("archived_at")?,
        })
    }

    /// A new one, which waits for input.
    pub fn new(
        id: SessionThreadId,
        session: SessionId,
        parent: Option<SessionThreadId>,
        agent: Option<String>,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            session,
            parent,
            agent,
            status: SessionStatus::Idle,
            awaits: BTreeSet::new(),
            usage: SessionUsage::default(),
            activity: Activity::default(),
            created_at: at,
            updated_at: at,
            archived_at: None,
        }
    }
}

impl Scope<'_> {
    /// The threads of a session, the oldest first: the primary one is the first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_threads(
        &self,
        session: &SessionId,
    ) -> Result<Vec<SessionThread>, StoreError> {
        let rows = sqlx::query(select!("ORDER BY created_at, id"))
            .bind(self.organization.to_string())
            .bind(session.to_string())
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(SessionThread::read).collect()
    }

    /// One thread of a session.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_thread(
        &self,
        session: &SessionId,
        id: &SessionThreadId,
    ) -> Result<Option<SessionThread>, StoreError> {
        let row = sqlx::query(select!("AND id = $3"))
            .bind(self.organization.to_string())
            .bind(session.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(SessionThread::read).transpose()
    }
}
