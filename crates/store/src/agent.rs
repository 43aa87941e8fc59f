//! Agents and their versions.

use std::collections::BTreeSet;

use bailiwick_model::{AgentId, EnvironmentId, ResourceId as _};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

/// An agent at one of its versions.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.environment_id, a.revision, a.created_at, a.archived_at, v.number, v.name, v.config, v.metadata, \
             CASE WHEN v.number = a.version THEN a.updated_at ELSE v.created_at END AS updated_at \
             FROM agent a JOIN agent_version v ON v.agent_id = a.id \
             WHERE a.organization_id = $1 AND v.organization_id = $1 ",
            $rest
        )
    };
}

/// What makes a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentValues {
    /// What people call it.
    pub name: String,
    /// As the wire writes it, every default resolved.
    pub config: String,
    /// Free pairs, as a JSON object.
    pub metadata: String,
}

/// An agent, at one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Where it was placed; one that was not is placed by its sessions.
    pub environment: Option<EnvironmentId>,
    /// What the version says.
    pub values: AgentValues,
    /// From 1.
    pub version: i64,
    /// Counts every change, those that make no version too, from 1.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed; of a version before the newest, when that was made.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

/// The other agents that a version delegates to.
pub type Delegates = BTreeSet<AgentId>;

/// Who would work together across the border of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DelegationAcross {
    /// Whom the agent delegates to, in other environments.
    pub delegates: Delegates,
    /// Who delegates to the agent, in other environments.
    pub delegators: Delegates,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Its id.
    pub id: AgentId,
    /// Its first version.
    pub values: AgentValues,
    /// Whom that delegates to.
    pub delegates: Delegates,
}

/// Which agents are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Archived ones too.
    pub with_archived: bool,
    /// Made then or later.
    pub created_from: Option<Timestamp>,
    /// Made then or before.
    pub created_until: Option<Timestamp>,
    /// Placed there.
    pub environment: Option<EnvironmentId>,
}

impl Agent {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            environment: row.optional_id("environment_id")?,
            values: AgentValues {
                name: row.value("name")?,
                config: row.value("config")?,
                metadata: row.value("metadata")?,
            },
            version: row.value("number")?,
            revision: row.value("revision")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            archived_at: row.optional_time("archived_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    id: &AgentId,
) -> Result<Option<Agent>, StoreError> {
    let query = sqlx::query(select!("AND a.id = $2 AND v.number = a.version"));
    let row = query
        .bind(organization)
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Agent::read).transpose()
}

async fn find_version<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    id: &AgentId,
    version: i64,
) -> Result<Option<Agent>, StoreError> {
    let query = sqlx::query(select!("AND a.id = $2 AND v.number = $3"));
    let row = query
        .bind(organization)
        .bind(id.to_string())
        .bind(version)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Agent::read).transpose()
}

impl Scope<'_> {
    /// One agent at its newest version, archived or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        find(self.pool, self.organization.to_string(), id).await
    }

    /// One agent at one of its versions.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn agent_version(
        &self,
        id: &AgentId,
        version: i64,
    ) -> Result<Option<Agent>, StoreError> {
        find_version(self.pool, self.organization.to_string(), id, version).await
    }

    /// Agents at their newest versions, the newest agent first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn agents(
        &self,
        page: &PageRequest<AgentId>,
        filter: &AgentFilter,
    ) -> Result<Page<Agent, AgentId>, StoreError> {
        let rows = sqlx::query(select!(
            "AND v.number = a.version AND a.id < $2 AND ($4 = 1 OR a.archived_at IS NULL) \
             AND a.created_at >= $5 AND a.created_at <= $6 AND ($7 = '' OR a.environment_id = $7) ORDER BY a.id DESC LIMIT $3"
        ))
        .bind(self.organization.to_string())
        .bind(page.bound())
        .bind(page.rows())
        .bind(i64::from(filter.with_archived))
        .bind(filter.created_from.map_or(i64::MIN, Timestamp::as_microsecond))
        .bind(filter.created_until.map_or(i64::MAX, Timestamp::as_microsecond))
        .bind(filter.environment.as_ref().map_or_else(String::new, ToString::to_string))
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(Agent::read).collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |agent: &Agent| agent.id.clone()))
    }

    /// The versions of an agent, the newest first. Pages are bounded by version numbers.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn agent_versions(
        &self,
        id: &AgentId,
        page: &PageRequest<i64>,
    ) -> Result<Page<Agent, i64>, StoreError> {
        let rows = sqlx::query(select!(
            "AND a.id = $2 AND v.number < $3 ORDER BY v.number DESC LIMIT $4"
        ))
        .bind(self.organization.to_string())
        .bind(id.to_string())
        .bind(page.before.unwrap_or(i64::MAX))
        .bind(page.rows())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(Agent::read).collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |agent: &Agent| agent.version))
    }
}

impl Change {
    /// One agent at its newest version, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn agent(&mut self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        let organization = self.organization().to_string();
        find(self.connection(), organization, id).await
    }

    /// One agent at one of its versions, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn agent_version(
        &mut self,
        id: &AgentId,
        version: i64,
    ) -> Result<Option<Agent>, StoreError> {
        let organization = self.organization().to_string();
        find_version(self.connection(), organization, id, version).await
    }

    /// Makes an agent and its first version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if a delegate does not exist.
    pub async fn insert_agent(&mut self, new: NewAgent) -> Result<Agent, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO agent (id, organization_id, version, revision, created_at, updated_at) VALUES ($1, $2, 1, 1, $3, $3)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(at)
        .execute(self.connection())
        .await?;
        let made = Agent {
            id: new.id,
            environment: None,
            values: new.values,
            version: 1,
            revision: 1,
            created_at: self.at(),
            updated_at: self.at(),
            archived_at: None,
        };
        self.insert_agent_version(&made, &new.delegates).await?;
        Ok(made)
    }

    /// Makes a new version of an agent that is as it was read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Referred`] if a delegate does not exist.
    pub async fn update_agent(
        &mut self,
        read: &Agent,
        values: AgentValues,
        delegates: &Delegates,
    ) -> Result<Agent, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE agent SET version = version + 1, revision = revision + 1, updated_at = $5 \
             WHERE organization_id = $1 AND id = $2 AND version = $3 AND revision = $4 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(read.revision)
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        let changed = Agent {
            values,
            version: read.version + 1,
            revision: read.revision + 1,
            updated_at: self.at(),
            ..read.clone()
        };
        self.insert_agent_version(&changed, delegates).await?;
        Ok(changed)
    }

    /// Archives an agent that is as it was read: it is read-only from here on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since.
    pub async fn archive_agent(&mut self, read: &Agent) -> Result<Agent, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE agent SET archived_at = $4, updated_at = $4, revision = revision + 1 \
             WHERE organization_id = $1 AND id = $2 AND revision = $3 AND archived_at IS NULL",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.revision)
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(Agent {
            revision: read.revision + 1,
            updated_at: self.at(),
            archived_at: Some(self.at()),
            ..read.clone()
        })
    }

    /// Places an agent that is as it was read in an environment of the same organization, or takes its place away. No version is made.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since or there is no such environment, [`StoreError::Referred`] if that goes away meanwhile.
    pub async fn place_agent(
        &mut self,
        read: &Agent,
        environment: Option<&EnvironmentId>,
    ) -> Result<Agent, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "UPDATE agent SET environment_id = $4, revision = revision + 1 WHERE organization_id = $1 AND id = $2 AND revision = $3 \
             AND ($4 IS NULL OR EXISTS (SELECT 1 FROM environment e WHERE e.id = $4 AND e.organization_id = $1))",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.revision)
        .bind(environment.map(ToString::to_string))
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(Agent {
            environment: environment.cloned(),
            revision: read.revision + 1,
            ..read.clone()
        })
    }

    /// Agents in other environments that an agent delegates to, or that delegate to it, if it were in this one: at most 100 of each.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delegation_across(
        &mut self,
        id: &AgentId,
        environment: &EnvironmentId,
    ) -> Result<DelegationAcross, StoreError> {
        let organization = self.organization().to_string();
        let to = sqlx::query(
            "SELECT o.id FROM agent a JOIN agent_delegate d ON d.agent_id = a.id AND d.number = a.version JOIN agent o ON o.id = d.delegate_id \
             WHERE a.organization_id = $1 AND a.id = $2 AND a.archived_at IS NULL AND o.environment_id <> $3 ORDER BY o.id LIMIT 100",
        );
        let from = sqlx::query(
            "SELECT o.id FROM agent_delegate d JOIN agent o ON o.id = d.agent_id AND o.version = d.number \
             WHERE o.organization_id = $1 AND d.delegate_id = $2 AND o.archived_at IS NULL AND o.environment_id <> $3 ORDER BY o.id LIMIT 100",
        );
        let mut across = DelegationAcross::default();
        for (query, found) in [(to, &mut across.delegates), (from, &mut across.delegators)] {
            let rows = query
                .bind(organization.clone())
                .bind(id.to_string())
                .bind(environment.to_string())
                .fetch_all(self.connection())
                .await?;
            for row in &rows {
                found.insert(row.id("id")?);
            }
        }
        Ok(across)
    }

    async fn insert_agent_version(
        &mut self,
        agent: &Agent,
        delegates: &Delegates,
    ) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO agent_version (agent_id, number, organization_id, name, config, metadata, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(agent.id.as_str().to_owned())
        .bind(agent.version)
        .bind(organization)
        .bind(agent.values.name.clone())
        .bind(agent.values.config.clone())
        .bind(agent.values.metadata.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        for delegate in delegates {
            sqlx::query(
                "INSERT INTO agent_delegate (agent_id, number, delegate_id) VALUES ($1, $2, $3)",
            )
            .bind(agent.id.to_string())
            .bind(agent.version)
            .bind(delegate.to_string())
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }
}
