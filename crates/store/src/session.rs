//! Sessions.
//!
//! Whatever changes a session or what it has takes the lock of its row first ([`Change::lock_session`]), so that two such changes follow
//! each other.

use bailiwick_model::{
    Activity, AgentId, EnvironmentId, OrganizationId, ResourceId as _, SandboxId, SessionId,
    SessionStatus, SessionThreadId, SessionUsage, UserId, VaultId,
};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::session_lock::insert_thread;
use crate::session_thread::SessionThread;
use crate::session_usage::{self, usage_columns};
use crate::store::Scope;
use crate::transaction::Transaction;

macro_rules! columns {
    () => {
        concat!(usage_columns!(), ", event_sequence, event_at, runner, runner_number, runner_until, id, environment_id, environment_revision, policy, tightened_by, sandbox, agent_id, agent_version, agent, status, title, metadata, vault_ids, created_by, budget, created_at, updated_at, archived_at")
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM session WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// What of a session can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionValues {
    /// The agent as the wire shows it, with all that it may delegate to.
    pub agent: String,
    /// What people call it.
    pub title: Option<String>,
    /// Free pairs, as a JSON object.
    pub metadata: String,
    /// What it may cost, as the wire writes it.
    pub budget: Option<String>,
}

/// What was in force when a session was made, and is in force in it ever after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPins {
    /// Where it is.
    pub environment: EnvironmentId,
    /// At which revision.
    pub environment_revision: i64,
    /// The egress policy and its source, as JSON; a self-hosted environment has none.
    pub policy: Option<String>,
    /// Whose session it is.
    pub agent: AgentId,
    /// At which version.
    pub agent_version: i64,
    /// Where its credentials are, in the order in which they are searched.
    pub vaults: Vec<VaultId>,
    /// Who made it, if it was a user: what is spent in it counts for them.
    pub created_by: Option<UserId>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What was in force when it was made.
    pub pins: SessionPins,
    /// The policies that it was tightened by since then, as JSON; `None` if it never was.
    pub tightened_by: Option<String>,
    /// The sandbox that was last started for it.
    pub sandbox: Option<SandboxId>,
    /// What can be changed.
    pub values: SessionValues,
    /// What it is doing.
    pub status: SessionStatus,
    /// What it has used.
    pub usage: SessionUsage,
    /// How long it was at work.
    pub activity: Activity,
    /// The number of its last event.
    pub event_sequence: i64,
    /// The time of its last event.
    pub event_at: Timestamp,
    /// Who runs it.
    pub runner: Option<SessionRunner>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

/// Who runs a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRunner {
    /// Who.
    pub holder: String,
    /// Grows with each one that does.
    pub number: i64,
    /// Until when.
    pub until: Timestamp,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// What is in force.
    pub pins: SessionPins,
    /// The rest.
    pub values: SessionValues,
}

/// Which sessions are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFilter {
    /// Archived ones too.
    pub with_archived: bool,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// At this version of it.
    pub agent_version: Option<i64>,
    /// In this environment.
    pub environment: Option<EnvironmentId>,
    /// Doing one of these.
    pub statuses: Vec<SessionStatus>,
    /// Made then or later.
    pub created_from: Timestamp,
    /// Made then or before.
    pub created_until: Timestamp,
}

impl Default for SessionFilter {
    fn default() -> Self {
        Self {
            with_archived: false,
            agent: None,
            agent_version: None,
            environment: None,
            statuses: SessionStatus::ALL.to_vec(),
            created_from: Timestamp::MIN,
            created_until: Timestamp::MAX,
        }
    }
}

/// In which order a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// Where a page of a list in either order begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge<I> {
    /// It begins after this one.
    After(I),
    /// It ends before this one.
    Before(I),
}

/// Which part of a list in either order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedPageRequest<I> {
    /// In which order.
    pub order: Order,
    /// From where; without it, the first page.
    pub edge: Option<Edge<I>>,
    /// At most so many.
    pub limit: u32,
}

/// A part of a list, with the ways to both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedPage<T, I> {
    /// In the order that was asked for.
    pub items: Vec<T>,
    /// Before which the page before this one ends, if there is one.
    pub previous: Option<I>,
    /// After which the next page begins, if there is one.
    pub next: Option<I>,
}

impl Session {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let (usage, activity) = session_usage::read(row)?;
        Ok(Self {
            id: row.id("id")?,
            pins: SessionPins {
                environment: row.id("environment_id")?,
                environment_revision: row.value("environment_revision")?,
                policy: row.value("policy")?,
                agent: row.id("agent_id")?,
                agent_version: row.value("agent_version")?,
                vaults: row.json("vault_ids")?,
                created_by: row.optional_id("created_by")?,
            },
            tightened_by: row.value("tightened_by")?,
            sandbox: sandbox(row)?,
            values: SessionValues {
                agent: row.value("agent")?,
                title: row.value("title")?,
                metadata: row.value("metadata")?,
                budget: row.value("budget")?,
            },
            status: row.word("status")?,
            usage,
            activity,
            event_sequence: row.value("event_sequence")?,
            event_at: row.time("event_at")?,
            runner: runner(row)?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            archived_at: row.optional_time("archived_at")?,
        })
    }
}

fn sandbox(row: &AnyRow) -> Result<Option<SandboxId>, StoreError> {
    let id = row.value::<Option<String>>("sandbox")?;
    let id = id.map(|id| id.parse());
    id.transpose()
        .map_err(|_| StoreError::Corrupt { column: "sandbox" })
}

fn runner(row: &AnyRow) -> Result<Option<SessionRunner>, StoreError> {
    let holder = row.value::<Option<String>>("runner")?;
    let (Some(holder), Some(until)) = (holder, row.optional_time("runner_until")?) else {
        return Ok(None);
    };
    Ok(Some(SessionRunner {
        holder,
        number: row.value("runner_number")?,
        until,
    }))
}

/// Locks the row of a session, archived or not.
pub(crate) async fn lock(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    id: &SessionId,
) -> Result<Option<Session>, StoreError> {
    let row = sqlx::query(concat!(
        "UPDATE session SET updated_at = updated_at WHERE organization_id = $1 AND id = $2 RETURNING ",
        columns!()
    ))
    .bind(organization.to_string())
    .bind(id.to_string())
    .fetch_optional(transaction.connection())
    .await?;
    row.as_ref().map(Session::read).transpose()
}

impl OrderedPageRequest<SessionId> {
    /// Whether rows are read from the newest to the oldest, and the bound that they are on the far side of.
    fn reading(&self) -> (bool, String) {
        let backwards = matches!(self.edge, Some(Edge::Before(_)));
        let descending = (self.order == Order::NewestFirst) != backwards;
        let bound = match &self.edge {
            Some(Edge::After(id) | Edge::Before(id)) => id.to_string(),
            // No digit of an id sorts after `z`.
            None if descending => format!("{}~", SessionId::PREFIX),
            None => SessionId::PREFIX.to_owned(),
        };
        (descending, bound)
    }

    fn page(&self, mut items: Vec<Session>) -> OrderedPage<Session, SessionId> {
        let limit = self.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let backwards = matches!(self.edge, Some(Edge::Before(_)));
        if backwards {
            items.reverse();
        }
        let (is_previous, is_next) = match self.edge {
            None => (false, more),
            Some(Edge::After(_)) => (true, more),
            Some(Edge::Before(_)) => (more, true),
        };
        let id = |session: &Session| session.id.clone();
        OrderedPage {
            previous: items.first().filter(|_| is_previous).map(id),
            next: items.last().filter(|_| is_next).map(id),
            items,
        }
    }
}

impl Scope<'_> {
    /// One session, archived or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query(select!("AND id = $2"))
            .bind(self.organization.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(Session::read).transpose()
    }

    /// Sessions, in the order of when they were made.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn sessions(
        &self,
        page: &OrderedPageRequest<SessionId>,
        filter: &SessionFilter,
    ) -> Result<OrderedPage<Session, SessionId>, StoreError> {
        macro_rules! filtered {
            () => {
                select!(
                    "AND ($4 = 1 OR archived_at IS NULL) AND created_at >= $5 AND created_at <= $6 AND ($7 = '' OR agent_id = $7) \
                     AND ($8 = 0 OR agent_version = $8) AND ($9 = '' OR environment_id = $9) AND status IN ($10, $11, $12, $13) "
                )
            };
        }
        let (descending, bound) = page.reading();
        let query = if descending {
            sqlx::query(concat!(
                filtered!(),
                "AND id < $2 ORDER BY id DESC LIMIT $3"
            ))
        } else {
            sqlx::query(concat!(filtered!(), "AND id > $2 ORDER BY id LIMIT $3"))
        };
        let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let mut query = query
            .bind(self.organization.to_string())
            .bind(bound)
            .bind(i64::from(page.limit) + 1)
            .bind(i64::from(filter.with_archived))
            .bind(filter.created_from.as_microsecond())
            .bind(filter.created_until.as_microsecond())
            .bind(text(filter.agent.as_ref().map(AgentId::as_str)))
            .bind(filter.agent_version.unwrap_or(0))
            .bind(text(filter.environment.as_ref().map(EnvironmentId::as_str)));
        for status in SessionStatus::ALL {
            let wanted = filter.statuses.contains(&status);
            query = query.bind(if wanted { status.as_str() } else { "" });
        }
        let rows = query.fetch_all(self.pool).await?;
        let items = rows.iter().map(Session::read).collect::<Result<_, _>>()?;
        Ok(page.page(items))
    }
}

impl Change {
    /// One session, archived or not. Until this change ends nobody else changes it or what it has.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn lock_session(&mut self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let (transaction, organization, _) = self.parts();
        lock(transaction, &organization, id).await
    }

    /// Makes a session, which is idle, with its primary thread.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if something that it refers to went away.
    pub async fn insert_session(&mut self, new: NewSession) -> Result<Session, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let made = Session {
            id: new.id,
            pins: new.pins,
            tightened_by: None,
            sandbox: None,
            values: new.values,
            status: SessionStatus::Idle,
            usage: SessionUsage::default(),
            activity: Activity::default(),
            event_sequence: 0,
            event_at: Timestamp::UNIX_EPOCH,
            runner: None,
            created_at: self.at(),
            updated_at: self.at(),
            archived_at: None,
        };
        let vaults: Vec<_> = made.pins.vaults.iter().map(VaultId::as_str).collect();
        let vaults = serde_json::to_string(&vaults).expect("texts");
        sqlx::query(
            "INSERT INTO session (id, organization_id, environment_id, environment_revision, policy, agent_id, agent_version, agent, status, \
             title, metadata, vault_ids, budget, created_at, updated_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15)",
        )
        .bind(made.id.to_string())
        .bind(organization)
        .bind(made.pins.environment.to_string())
        .bind(made.pins.environment_revision)
        .bind(made.pins.policy.clone())
        .bind(made.pins.agent.to_string())
        .bind(made.pins.agent_version)
        .bind(made.values.agent.clone())
        .bind(made.status.as_str())
        .bind(made.values.title.clone())
        .bind(made.values.metadata.clone())
        .bind(vaults)
        .bind(made.values.budget.clone())
        .bind(at)
        .bind(made.pins.created_by.as_ref().map(ToString::to_string))
        .execute(self.connection())
        .await?;
        for vault in &made.pins.vaults {
            self.insert_session_vault(&made.id, vault).await?;
        }
        let (transaction, organization, at) = self.parts();
        let primary = SessionThreadId::primary_of(&made.id);
        let primary = SessionThread::new(primary, made.id.clone(), None, None, at);
        insert_thread(transaction, &organization, &primary).await?;
        Ok(made)
    }

    async fn insert_session_vault(
        &mut self,
        session: &SessionId,
        vault: &VaultId,
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "INSERT INTO session_vault (organization_id, session_id, vault_id) VALUES ($1, $2, $3)",
        )
        .bind(organization)
        .bind(session.to_string())
        .bind(vault.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Changes a session that this change has locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is archived or gone.
    pub async fn update_session(
        &mut self,
        locked: &Session,
        values: SessionValues,
    ) -> Result<Session, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE session SET agent = $3, title = $4, metadata = $5, budget = $6, updated_at = $7 \
             WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(locked.id.to_string())
        .bind(values.agent.clone())
        .bind(values.title.clone())
        .bind(values.metadata.clone())
        .bind(values.budget.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(Session {
            values,
            updated_at: self.at(),
            ..locked.clone()
        })
    }

    /// Says what a session that this change has locked is tightened by, from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is archived or gone.
    pub async fn tighten_session(
        &mut self,
        locked: &Session,
        tightened_by: String,
    ) -> Result<Session, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE session SET tightened_by = $3, updated_at = $4 WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(locked.id.to_string())
        .bind(tightened_by.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(Session {
            tightened_by: Some(tightened_by),
            updated_at: self.at(),
            ..locked.clone()
        })
    }

    /// Archives a session that this change has locked and whose end it has written: it holds no vault any more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it is archived already, or gone.
    pub async fn archive_session(&mut self, locked: &Session) -> Result<Session, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let archived = Session {
            updated_at: self.at(),
            archived_at: Some(self.at()),
            ..locked.clone()
        };
        let done = sqlx::query(
            "UPDATE session SET updated_at = $3, archived_at = $3 WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
        )
        .bind(organization.clone())
        .bind(locked.id.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        sqlx::query("DELETE FROM session_vault WHERE organization_id = $1 AND session_id = $2")
            .bind(organization)
            .bind(locked.id.to_string())
            .execute(self.connection())
            .await?;
        Ok(archived)
    }

    /// Deletes a session that this change has locked, with its events, its threads, its resources, their secrets and its files.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_session(&mut self, locked: &Session) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query("DELETE FROM session_resource WHERE organization_id = $1 AND session_id = $2")
            .bind(organization.clone())
            .bind(locked.id.to_string())
            .execute(self.connection())
            .await?;
        self.delete_session_files(&locked.id).await?;
        sqlx::query("DELETE FROM session WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(locked.id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
