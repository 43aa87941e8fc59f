//! What is written about a session: by whoever has locked its row, and so alone.

use bailiwick_model::{
    Activity, OrganizationId, SessionEventId, SessionEventType, SessionId, SessionStatus,
    SessionThreadId, SessionUsage,
};
use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns as _;
use crate::transaction::Transaction;

use crate::session::Session;
use crate::session_event::{SessionAnswer, SessionEvent, columns};
use crate::session_thread::{SessionThread, select_threads};
use crate::session_usage::{self, set_usage, usage_columns};
use crate::store::Store;

/// How many events of a kind wait in a thread.
macro_rules! waiting {
    ($kind:literal) => {
        concat!(
            "SELECT COUNT(*) FROM session_event WHERE session_event.session_id = session_thread.session_id AND processed_at IS NULL \
             AND thread_id = session_thread.id AND type = '",
            $kind,
            "'"
        )
    };
}

/// The threads of a session, each with what waits in it. The events are found by their session, and by nothing that SQLite could find more of
/// them by: told of the organization too, it reads all events that this has.
const THREADS: &str = select_threads!(
    concat!(
        ", (",
        waiting!("user.message"),
        ") AS messages, (",
        waiting!("user.interrupt"),
        ") AS interrupts"
    ),
    "ORDER BY created_at, id"
);
/// In an order in which SQLite finds them by the call, and does not read all events of the session.
const ANSWERS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM session_event WHERE organization_id = $1 AND session_id = $2 AND answers = $3 ORDER BY answer"
);

/// A session whose row is locked until its transaction ends. What its row becomes is written by [`Self::finish`].
#[derive(Debug)]
#[must_use]
pub struct LockedSession<'t> {
    transaction: &'t mut Transaction,
    organization: OrganizationId,
    at: Timestamp,
    session: Session,
    is_changed: bool,
    /// Whether nobody runs it from here on.
    is_let_go: bool,
}

/// What waits in a thread until somebody takes it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// Messages.
    pub messages: i64,
    /// Interrupts.
    pub interrupts: i64,
}

/// What whoever runs a session writes about it. It is no change by somebody that the audit log has an entry for: the events themselves are kept.
/// So it locks the session alone, and those of several sessions do not wait for each other.
#[derive(Debug)]
pub struct Turn {
    transaction: Transaction,
    organization: OrganizationId,
    at: Timestamp,
    session: Session,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSessionEvent {
    /// Its id.
    pub id: SessionEventId,
    /// In which thread.
    pub thread: SessionThreadId,
    /// Whether the session's own list has it too.
    pub in_session: bool,
    /// What kind it is.
    pub kind: SessionEventType,
    /// See [`SessionEvent::body`].
    pub body: String,
    /// The call of a tool that it says something to.
    pub answers: Option<(SessionEventId, SessionAnswer)>,
    /// Whether it is taken up by being stored.
    pub is_processed: bool,
    /// What only whoever runs the session reads.
    pub private: Option<String>,
}

/// What a session becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionProgress {
    /// What it is doing.
    pub status: SessionStatus,
    /// What it has used.
    pub usage: SessionUsage,
    /// How long it was at work.
    pub activity: Activity,
}

impl Change {
    /// A session that this change has locked or made, to write about it.
    pub fn locked(&mut self, session: Session) -> LockedSession<'_> {
        let (transaction, organization, at) = self.parts();
        LockedSession {
            transaction,
            organization,
            at,
            session,
            is_changed: false,
            is_let_go: false,
        }
    }
}

impl Store {
    /// Locks a session for whoever runs it; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn turn(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
        at: Timestamp,
    ) -> Result<Option<Turn>, StoreError> {
        let mut transaction = self.begin_shared().await?;
        let locked = crate::session::lock(&mut transaction, organization, session).await?;
        Ok(locked.map(|session| Turn {
            transaction,
            organization: organization.clone(),
            at,
            session,
        }))
    }
}

impl Turn {
    /// The session, to write about it.
    pub fn locked(&mut self) -> LockedSession<'_> {
        LockedSession {
            transaction: &mut self.transaction,
            organization: self.organization.clone(),
            at: self.at,
            session: self.session.clone(),
            is_changed: false,
            is_let_go: false,
        }
    }

    /// When it is written.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The session as it was when it was locked.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Makes what was written visible.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nothing is written then.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await
    }

    /// Undoes what was written; what of the session stood in its way is there for those who read.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nothing is written then either.
    pub async fn undo(self) -> Result<(), StoreError> {
        self.transaction.undo().await
    }
}

impl LockedSession<'_> {
    /// The session, as it is by now.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// When this is written.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Its threads, the oldest first, each with what nobody has taken up in it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn threads(&mut self) -> Result<Vec<(SessionThread, Queued)>, StoreError> {
        let rows = sqlx::query(THREADS)
            .bind(self.organization.to_string())
            .bind(self.session.id.to_string())
            .fetch_all(self.transaction.connection())
            .await?;
        let read = |row: &AnyRow| {
            let queued = Queued {
                messages: row.value("messages")?,
                interrupts: row.value("interrupts")?,
            };
            Ok((SessionThread::read(row)?, queued))
        };
        rows.iter().map(read).collect()
    }

    /// One event.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn event(&mut self, id: &SessionEventId) -> Result<Option<SessionEvent>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM session_event WHERE organization_id = $1 AND session_id = $2 AND id = $3"
        ))
        .bind(self.organization.to_string())
        .bind(self.session.id.to_string())
        .bind(id.to_string())
        .fetch_optional(self.transaction.connection())
        .await?;
        row.as_ref().map(SessionEvent::read).transpose()
    }

    /// What was said to a call of a tool.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn answers_to(
        &mut self,
        call: &SessionEventId,
    ) -> Result<Vec<SessionEvent>, StoreError> {
        let rows = sqlx::query(ANSWERS)
            .bind(self.organization.to_string())
            .bind(self.session.id.to_string())
            .bind(call.to_string())
            .fetch_all(self.transaction.connection())
            .await?;
        let answers = rows.iter().map(SessionEvent::read);
        let mut answers = answers.collect::<Result<Vec<_>, _>>()?;
        answers.sort_by_key(|answer| answer.sequence);
        Ok(answers)
    }

    /// Stores events, which take the next numbers. Nobody sees them before the transaction is committed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if one says what was said to a call already, or has an id that is taken.
    pub async fn append(
        &mut self,
        events: Vec<NewSessionEvent>,
    ) -> Result<Vec<SessionEvent>, StoreError> {
        let mut stored = Vec::with_capacity(events.len());
        for new in events {
            let at = after(self.at, self.session.event_at);
            let event = SessionEvent {
                session: self.session.id.clone(),
                sequence: self.session.event_sequence + 1,
                id: new.id,
                thread: new.thread,
                in_session: new.in_session,
                kind: new.kind,
                body: new.body,
                answers: new.answers,
                created_at: at,
                processed_at: new.is_processed.then_some(at),
            };
            self.insert(&event, new.private).await?;
            (self.session.event_sequence, self.session.event_at) = (event.sequence, at);
            self.is_changed = true;
            stored.push(event);
        }
        Ok(stored)
    }

    async fn insert(
        &mut self,
        event: &SessionEvent,
        private: Option<String>,
    ) -> Result<(), StoreError> {
        let (answers, answer) = match &event.answers {
            Some((call, answer)) => (Some(call.to_string()), Some(answer.to_string())),
            None => (None, None),
        };
        sqlx::query(
            "INSERT INTO session_event (session_id, sequence, organization_id, id, thread_id, in_session, type, body, body_bytes, answers, \
             answer, created_at, processed_at, private) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(event.session.to_string())
        .bind(event.sequence)
        .bind(self.organization.to_string())
        .bind(event.id.to_string())
        .bind(event.thread.to_string())
        .bind(i64::from(event.in_session))
        .bind(event.kind.as_str())
        .bind(event.body.clone())
        .bind(i64::try_from(event.body.len()).unwrap_or(i64::MAX))
        .bind(answers)
        .bind(answer)
        .bind(event.created_at.as_microsecond())
        .bind(event.processed_at.map(Timestamp::as_microsecond))
        .bind(private)
        .execute(self.transaction.connection())
        .await?;
        Ok(())
    }

    /// Keeps that a call of a tool is about to be run.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was before.
    pub async fn begin_call(&mut self, id: &SessionEventId) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE session_event SET begun_at = $4 \
             WHERE organization_id = $1 AND session_id = $2 AND id = $3 AND begun_at IS NULL",
        )
        .bind(self.organization.to_string())
        .bind(self.session.id.to_string())
        .bind(id.to_string())
        .bind(self.at.as_microsecond())
        .execute(self.transaction.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Takes up an event, at a time after that of all others.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if there is none that nobody has taken up.
    pub async fn take_up(&mut self, id: &SessionEventId) -> Result<(), StoreError> {
        let at = after(self.at, self.session.event_at);
        let done = sqlx::query(
            "UPDATE session_event SET processed_at = $4 \
             WHERE organization_id = $1 AND session_id = $2 AND id = $3 AND processed_at IS NULL",
        )
        .bind(self.organization.to_string())
        .bind(self.session.id.to_string())
        .bind(id.to_string())
        .bind(at.as_microsecond())
        .execute(self.transaction.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        self.session.event_at = at;
        self.is_changed = true;
        Ok(())
    }

    /// Sets what the session is doing and has used. What it becomes says [`bailiwick_model::SessionState`] alone.
    pub fn put_progress(&mut self, progress: SessionProgress) {
        let SessionProgress {
            status,
            usage,
            activity,
        } = progress;
        self.session.updated_at = self.at;
        (self.session.status, self.session.usage) = (status, usage);
        self.session.activity = activity;
        self.is_changed = true;
    }

    /// Gives the session one more thread.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if it has it already.
    pub async fn insert_thread(&mut self, thread: &SessionThread) -> Result<(), StoreError> {
        insert_thread(self.transaction, &self.organization, thread).await
    }

    /// Makes a thread what it has become: its status, what it waits for, what it has used.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if there is no such thread.
    pub async fn put_thread(&mut self, thread: &SessionThread) -> Result<(), StoreError> {
        let awaits = serde_json::to_string(&thread.awaits).expect("texts");
        let query = sqlx::query(concat!(
            "UPDATE session_thread SET ",
            set_usage!(),
            ", status = $13, awaits = $14, updated_at = $15, archived_at = $16 WHERE organization_id = $1 AND id = $2"
        ))
        .bind(self.organization.to_string())
        .bind(thread.id.to_string());
        let done = session_usage::bind(query, thread.usage, thread.activity)
            .bind(thread.status.as_str())
            .bind(awaits)
            .bind(thread.updated_at.as_microsecond())
            .bind(thread.archived_at.map(Timestamp::as_microsecond))
            .execute(self.transaction.connection())
            .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }

    /// Lets go of whoever runs the session, since nobody needs to.
    pub fn end_run(&mut self) {
        self.session.runner = None;
        (self.is_changed, self.is_let_go) = (true, true);
    }

    /// Writes what the session's row has become, in one statement however much was written about it; the session, as it has become.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn finish(self) -> Result<Session, StoreError> {
        if !self.is_changed {
            return Ok(self.session);
        }
        let session = &self.session;
        let query = sqlx::query(concat!(
            "UPDATE session SET ",
            set_usage!(),
            ", status = $13, updated_at = $14, event_sequence = $15, event_at = $16, \
             runner = CASE WHEN $17 = 1 THEN NULL ELSE runner END, \
             runner_until = CASE WHEN $17 = 1 THEN NULL ELSE runner_until END WHERE organization_id = $1 AND id = $2"
        ))
        .bind(self.organization.to_string())
        .bind(session.id.to_string());
        session_usage::bind(query, session.usage, session.activity)
            .bind(session.status.as_str())
            .bind(session.updated_at.as_microsecond())
            .bind(session.event_sequence)
            .bind(session.event_at.as_microsecond())
            .bind(i64::from(self.is_let_go))
            .execute(self.transaction.connection())
            .await?;
        Ok(self.session)
    }
}

pub(crate) async fn insert_thread(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    thread: &SessionThread,
) -> Result<(), StoreError> {
    let awaits = serde_json::to_string(&thread.awaits).expect("texts");
    sqlx::query(
        "INSERT INTO session_thread (id, organization_id, session_id, parent_id, agent, status, awaits, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
    )
    .bind(thread.id.to_string())
    .bind(organization.to_string())
    .bind(thread.session.to_string())
    .bind(thread.parent.as_ref().map(ToString::to_string))
    .bind(thread.agent.clone())
    .bind(thread.status.as_str())
    .bind(awaits)
    .bind(thread.created_at.as_microsecond())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// This moment, or the one after the last one: two events never have the same.
fn after(at: Timestamp, last: Timestamp) -> Timestamp {
    let next = last.checked_add(SignedDuration::from_micros(1));
    at.max(next.unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::dialect::DatabaseUrl;

    /// SQLite has no statistics and takes an index of two columns of the right ones for better than one of all that is asked for.
    #[tokio::test]
    async fn what_is_asked_under_a_lock_costs_as_much_however_many_events_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        let store = Store::open(&url).await.unwrap();
        for (asked, index) in [
            (THREADS, "session_event_queued"),
            (ANSWERS, "session_event_answer"),
        ] {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {asked}"));
            let mut query = sqlx::query(explain);
            for _ in 0..asked.matches('$').count() {
                query = query.bind("x");
            }
            let rows = query.fetch_all(store.reader()).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let of_events = steps.iter().filter(|step| step.contains("session_event"));
            let of_events: Vec<_> = of_events.collect();
            assert!(!of_events.is_empty(), "{steps:?}");
            let is_right = |step: &&String| step.contains(index);
            assert!(of_events.iter().all(is_right), "{steps:?}");
        }
    }
}
