//! What may be spent, by whom, in which time.

use bailiwick_model::{EnvironmentId, LimitEntity, LimitId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, entity, environment_id, config, version, created_at, updated_at FROM spend_limit WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// What of a limit can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendLimitValues {
    /// Whose spending it holds down.
    pub entity: LimitEntity,
    /// Where it counts, if not everywhere.
    pub environment: Option<EnvironmentId>,
    /// How much, in which window, as JSON.
    pub config: String,
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendLimit {
    /// Its id.
    pub id: LimitId,
    /// What can be changed.
    pub values: SpendLimitValues,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What holds for all limits of an organization.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendSettings {
    /// Where its days begin: a name of the IANA time zone database.
    pub time_zone: Option<String>,
    /// What models cost there, where it is not what the table says, as JSON.
    pub model_prices: Option<String>,
}

/// All that decides which accounts a request is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsOfOrganization {
    /// Counts the changes of all of it.
    pub version: i64,
    /// What holds for all of them.
    pub settings: SpendSettings,
    /// The limits.
    pub limits: Vec<SpendLimit>,
}

impl SpendSettings {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            time_zone: row.value("time_zone")?,
            model_prices: row.value("model_prices")?,
        })
    }
}

async fn settings<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
) -> Result<SpendSettings, StoreError> {
    let row = sqlx::query("SELECT time_zone, model_prices FROM organization WHERE id = $1")
        .bind(organization.to_string())
        .fetch_optional(executor)
        .await?;
    let settings = row.as_ref().map(SpendSettings::read).transpose()?;
    Ok(settings.unwrap_or_default())
}

impl SpendLimit {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            values: SpendLimitValues {
                entity: row.json("entity")?,
                environment: row.optional_id("environment_id")?,
                config: row.value("config")?,
            },
            version: row.value("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
    id: &LimitId,
) -> Result<Option<SpendLimit>, StoreError> {
    let row = sqlx::query(select!("AND id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(SpendLimit::read).transpose()
}

async fn all<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: &OrganizationId,
) -> Result<Vec<SpendLimit>, StoreError> {
    let rows = sqlx::query(select!("ORDER BY id"))
        .bind(organization.to_string())
        .fetch_all(executor)
        .await?;
    rows.iter().map(SpendLimit::read).collect()
}

impl Scope<'_> {
    /// All limits, the oldest first. Their number is bounded.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spend_limits(&self) -> Result<Vec<SpendLimit>, StoreError> {
        all(self.pool, self.organization).await
    }

    /// One limit.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spend_limit(&self, id: &LimitId) -> Result<Option<SpendLimit>, StoreError> {
        find(self.pool, self.organization, id).await
    }

    /// Counts the changes of the limits and of the time zone; `None` if the organization is gone.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn limits_version(&self) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT limits_version FROM organization WHERE id = $1")
            .bind(self.organization.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.map(|row| row.value("limits_version")).transpose()
    }

    /// All that decides which accounts a request is on. The version is read first: what is newer than it is read again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if the organization is gone, and see [`StoreError`].
    pub async fn limits_of_organization(&self) -> Result<LimitsOfOrganization, StoreError> {
        let row = sqlx::query(
            "SELECT limits_version, time_zone, model_prices FROM organization WHERE id = $1",
        )
        .bind(self.organization.to_string())
        .fetch_optional(self.pool)
        .await?;
        let row = row.ok_or(StoreError::Corrupt {
            column: "limits_version",
        })?;
        Ok(LimitsOfOrganization {
            version: row.value("limits_version")?,
            settings: SpendSettings::read(&row)?,
            limits: self.spend_limits().await?,
        })
    }
}

impl Scope<'_> {
    /// What holds for all limits.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spend_settings(&self) -> Result<SpendSettings, StoreError> {
        settings(self.pool, self.organization).await
    }
}

impl Change {
    /// What holds for all limits, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spend_settings(&mut self) -> Result<SpendSettings, StoreError> {
        let organization = self.organization().clone();
        settings(self.connection(), &organization).await
    }

    /// All limits, as this change sees them, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spend_limits(&mut self) -> Result<Vec<SpendLimit>, StoreError> {
        let organization = self.organization().clone();
        all(self.connection(), &organization).await
    }

    /// How many limits there are, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_spend_limits(&mut self) -> Result<i64, StoreError> {
        let organization = self.organization().to_string();
        let row =
            sqlx::query("SELECT COUNT(*) AS limits FROM spend_limit WHERE organization_id = $1")
                .bind(organization)
                .fetch_one(self.connection())
                .await?;
        row.value("limits")
    }

    /// One limit, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn spend_limit(&mut self, id: &LimitId) -> Result<Option<SpendLimit>, StoreError> {
        let organization = self.organization().clone();
        find(self.connection(), &organization, id).await
    }

    /// Makes a limit.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if there is no such environment.
    pub async fn insert_spend_limit(
        &mut self,
        id: LimitId,
        values: SpendLimitValues,
    ) -> Result<SpendLimit, StoreError> {
        self.limits_change().await?;
        let (organization, at) = (self.organization().to_string(), self.micros());
        let (entity, entity_id) = entity(&values);
        sqlx::query(
            "INSERT INTO spend_limit (id, organization_id, entity, entity_id, environment_id, config, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(entity)
        .bind(entity_id)
        .bind(values.environment.as_ref().map(ToString::to_string))
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(SpendLimit {
            id,
            values,
            version: 1,
            created_at: self.at(),
            updated_at: self.at(),
        })
    }

    /// Changes a limit that is as it was read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since.
    pub async fn update_spend_limit(
        &mut self,
        read: &SpendLimit,
        values: SpendLimitValues,
    ) -> Result<SpendLimit, StoreError> {
        self.limits_change().await?;
        let (organization, at) = (self.organization().to_string(), self.micros());
        let (entity, entity_id) = entity(&values);
        let done = sqlx::query(
            "UPDATE spend_limit SET entity = $4, entity_id = $5, environment_id = $6, config = $7, version = version + 1, updated_at = $8 \
             WHERE organization_id = $1 AND id = $2 AND version = $3",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(entity)
        .bind(entity_id)
        .bind(values.environment.as_ref().map(ToString::to_string))
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(SpendLimit {
            values,
            version: read.version + 1,
            updated_at: self.at(),
            ..read.clone()
        })
    }

    /// Deletes a limit, with what was counted for it; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_spend_limit(&mut self, id: &LimitId) -> Result<bool, StoreError> {
        self.limits_change().await?;
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM spend_limit WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Says where the organization's days begin, and what models cost there.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn set_spend_settings(&mut self, settings: &SpendSettings) -> Result<(), StoreError> {
        self.limits_change().await?;
        let organization = self.organization().to_string();
        sqlx::query("UPDATE organization SET time_zone = $2, model_prices = $3 WHERE id = $1")
            .bind(organization)
            .bind(settings.time_zone.clone())
            .bind(settings.model_prices.clone())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    async fn limits_change(&mut self) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query("UPDATE organization SET limits_version = limits_version + 1 WHERE id = $1")
            .bind(organization)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

fn entity(values: &SpendLimitValues) -> (String, Option<String>) {
    let text = serde_json::to_string(&values.entity).expect("a word and an id");
    (text, values.entity.id().map(ToOwned::to_owned))
}
