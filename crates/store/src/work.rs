//! Work queues of self-hosted environments: what is in them.

use bailiwick_model::limits::WORK_LEASE_SECONDS;
use bailiwick_model::{EnvironmentId, ResourceId as _, SessionId, SkillId, WorkId, WorkState};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! columns {
    () => {
        "id, environment_id, session_id, state, metadata, queued_at, handed_at, acknowledged_at, started_at, latest_heartbeat_at, \
         lease_seconds, lease_ends_at, stop_requested_at, stopped_at, created_at"
    };
}
pub(crate) use columns;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM work WHERE organization_id = $1 AND environment_id = $2 ",
            $rest
        )
    };
}

/// An item of a work queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its id.
    pub id: WorkId,
    /// In whose queue.
    pub environment: EnvironmentId,
    /// What is to be done: serve this session.
    pub session: SessionId,
    /// How far it is.
    pub state: WorkState,
    /// Free pairs, as a JSON object.
    pub metadata: String,
    /// When it came to the queue, the last time.
    pub queued_at: Timestamp,
    /// When it was handed to a worker that has not acknowledged it yet.
    pub handed_at: Option<Timestamp>,
    /// When a worker acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// When its worker sent the first heartbeat.
    pub started_at: Option<Timestamp>,
    /// When its worker sent the last one.
    pub latest_heartbeat_at: Option<Timestamp>,
    /// How long a heartbeat keeps it.
    pub lease_seconds: i64,
    /// From when on it is nobody's.
    pub lease_ends_at: Option<Timestamp>,
    /// When its worker was asked to stop.
    pub stop_requested_at: Option<Timestamp>,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewWork {
    /// Its id.
    pub id: WorkId,
    /// In whose queue.
    pub environment: EnvironmentId,
    /// Which session is to be served.
    pub session: SessionId,
}

/// A queue in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkStats {
    /// Items that wait for a worker.
    pub waiting: i64,
    /// Items that were handed to a worker and not acknowledged.
    pub handed: i64,
    /// When the oldest of both came to the queue.
    pub oldest_queued_at: Option<Timestamp>,
    /// Workers that polled a moment ago.
    pub polling: i64,
}

impl Work {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            environment: row.id("environment_id")?,
            session: row.id("session_id")?,
            state: row.word("state")?,
            metadata: row.value("metadata")?,
            queued_at: row.time("queued_at")?,
            handed_at: row.optional_time("handed_at")?,
            acknowledged_at: row.optional_time("acknowledged_at")?,
            started_at: row.optional_time("started_at")?,
            latest_heartbeat_at: row.optional_time("latest_heartbeat_at")?,
            lease_seconds: row.value("lease_seconds")?,
            lease_ends_at: row.optional_time("lease_ends_at")?,
            stop_requested_at: row.optional_time("stop_requested_at")?,
            stopped_at: row.optional_time("stopped_at")?,
            created_at: row.time("created_at")?,
        })
    }

    /// Whether its lease has ended, so that it is nobody's.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.state != WorkState::Queued && self.lease_ends_at.is_some_and(|ends| ends <= now)
    }
}

impl Scope<'_> {
    /// One item of a queue.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn work(
        &self,
        environment: &EnvironmentId,
        id: &WorkId,
    ) -> Result<Option<Work>, StoreError> {
        let row = sqlx::query(select!("AND id = $3"))
            .bind(self.organization.to_string())
            .bind(environment.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(Work::read).transpose()
    }

    /// The items of a queue, the newest first, with those that have ended.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn works(
        &self,
        environment: &EnvironmentId,
        page: &PageRequest<WorkId>,
    ) -> Result<Page<Work, WorkId>, StoreError> {
        let rows = sqlx::query(select!("AND id < $3 ORDER BY id DESC LIMIT $4"))
            .bind(self.organization.to_string())
            .bind(environment.to_string())
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows.iter().map(Work::read).collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |work: &Work| work.id.clone()))
    }

    /// Whether the agent of a session that is work of this environment, and has not ended, has a skill; of this session alone, if one is
    /// named.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn work_needs_skill(
        &self,
        environment: &EnvironmentId,
        session: Option<&SessionId>,
        skill: &SkillId,
    ) -> Result<bool, StoreError> {
        // The agent is stored as JSON, where the end of a text is the only quotation mark that no backslash is before.
        let quoted = format!("%\"{}\"%", skill.as_str().replace('_', "!_"));
        let found = sqlx::query(
            "SELECT 1 AS found FROM work JOIN session ON session.id = work.session_id \
             WHERE work.organization_id = $1 AND work.environment_id = $2 AND work.state <> 'stopped' \
             AND ($3 = '' OR work.session_id = $3) AND session.agent LIKE $4 ESCAPE '!' LIMIT 1",
        )
        .bind(self.organization.to_string())
        .bind(environment.to_string())
        .bind(session.map_or_else(String::new, ToString::to_string))
        .bind(quoted)
        .fetch_optional(self.pool)
        .await?;
        Ok(found.is_some())
    }

    /// A queue in numbers; workers count that polled at `polled_from` or later.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn work_stats(
        &self,
        environment: &EnvironmentId,
        now: Timestamp,
        polled_from: Timestamp,
    ) -> Result<WorkStats, StoreError> {
        let items = sqlx::query(
            "SELECT COUNT(*) AS items, COUNT(CASE WHEN state = 'queued' THEN handed_at END) AS handed, MIN(queued_at) AS oldest FROM work \
             WHERE organization_id = $1 AND environment_id = $2 \
             AND (state = 'queued' OR (state IN ('starting', 'active') AND lease_ends_at <= $3))",
        )
        .bind(self.organization.to_string())
        .bind(environment.to_string())
        .bind(now.as_microsecond())
        .fetch_one(self.pool)
        .await?;
        let pollers = sqlx::query(
            "SELECT COUNT(*) AS pollers FROM work_poller WHERE organization_id = $1 AND environment_id = $2 AND polled_at >= $3",
        )
        .bind(self.organization.to_string())
        .bind(environment.to_string())
        .bind(polled_from.as_microsecond())
        .fetch_one(self.pool)
        .await?;
        let handed = items.value("handed")?;
        Ok(WorkStats {
            waiting: items.value::<i64>("items")? - handed,
            handed,
            oldest_queued_at: items.optional_time("oldest")?,
            polling: pollers.value("pollers")?,
        })
    }
}

impl Change {
    /// One item of a queue. Until this change ends nobody else changes it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn lock_work(
        &mut self,
        environment: &EnvironmentId,
        id: &WorkId,
    ) -> Result<Option<Work>, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(concat!(
            "UPDATE work SET state = state WHERE organization_id = $1 AND environment_id = $2 AND id = $3 RETURNING ",
            columns!()
        ))
        .bind(organization)
        .bind(environment.to_string())
        .bind(id.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(Work::read).transpose()
    }

    /// The item of a session that has not ended. Until this change ends nobody else changes it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn lock_work_of(&mut self, session: &SessionId) -> Result<Option<Work>, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(concat!(
            "UPDATE work SET state = state WHERE organization_id = $1 AND session_id = $2 AND state <> 'stopped' RETURNING ",
            columns!()
        ))
        .bind(organization)
        .bind(session.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(Work::read).transpose()
    }

    /// Puts an item into a queue.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if the session has one that has not ended, [`StoreError::Referred`] if the environment went away.
    pub async fn insert_work(&mut self, new: NewWork) -> Result<Work, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let made = Work {
            id: new.id,
            environment: new.environment,
            session: new.session,
            state: WorkState::Queued,
            metadata: "{}".to_owned(),
            queued_at: self.at(),
            handed_at: None,
            acknowledged_at: None,
            started_at: None,
            latest_heartbeat_at: None,
            lease_seconds: WORK_LEASE_SECONDS,
            lease_ends_at: None,
            stop_requested_at: None,
            stopped_at: None,
            created_at: self.at(),
        };
        sqlx::query(
            "INSERT INTO work (id, organization_id, environment_id, session_id, state, metadata, queued_at, lease_seconds, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7)",
        )
        .bind(made.id.to_string())
        .bind(organization)
        .bind(made.environment.to_string())
        .bind(made.session.to_string())
        .bind(made.state.as_str())
        .bind(made.metadata.clone())
        .bind(at)
        .bind(made.lease_seconds)
        .execute(self.connection())
        .await?;
        Ok(made)
    }

    /// Makes an item that this change has locked what it is to be: its state, its pairs, its times and its lease.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is gone.
    pub async fn put_work(&mut self, work: &Work) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_microsecond);
        let done = sqlx::query(
            "UPDATE work SET state = $3, metadata = $4, queued_at = $5, handed_at = $6, acknowledged_at = $7, started_at = $8, \
             latest_heartbeat_at = $9, lease_seconds = $10, lease_ends_at = $11, stop_requested_at = $12, stopped_at = $13 \
             WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization)
        .bind(work.id.to_string())
        .bind(work.state.as_str())
        .bind(work.metadata.clone())
        .bind(work.queued_at.as_microsecond())
        .bind(micros(work.handed_at))
        .bind(micros(work.acknowledged_at))
        .bind(micros(work.started_at))
        .bind(micros(work.latest_heartbeat_at))
        .bind(work.lease_seconds)
        .bind(micros(work.lease_ends_at))
        .bind(micros(work.stop_requested_at))
        .bind(micros(work.stopped_at))
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }
}
