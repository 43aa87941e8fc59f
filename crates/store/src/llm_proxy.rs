//! Doors of environments to model upstreams.

use bailiwick_model::{EnvironmentId, LlmProxyId, OrganizationId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, environment_id, name, config, version, created_at, updated_at FROM llm_proxy WHERE organization_id = $1 ",
            $rest
        )
    };
}

/// What of a proxy can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmProxyValues {
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// What people call it, and what its address may name it by.
    pub name: String,
    /// What else there is to say, as JSON.
    pub config: String,
}

/// A door of an environment to the organization's model upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmProxy {
    /// Its id.
    pub id: LlmProxyId,
    /// What can be changed.
    pub values: LlmProxyValues,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl LlmProxy {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            values: LlmProxyValues {
                environment: row.id("environment_id")?,
                name: row.value("name")?,
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
    id: &LlmProxyId,
) -> Result<Option<LlmProxy>, StoreError> {
    let row = sqlx::query(select!("AND id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(LlmProxy::read).transpose()
}

impl Scope<'_> {
    /// Proxies, the newest first; of one environment, if one is named.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn llm_proxies(
        &self,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<LlmProxyId>,
    ) -> Result<Page<LlmProxy, LlmProxyId>, StoreError> {
        let rows = sqlx::query(select!(
            "AND ($2 = '' OR environment_id = $2) AND id < $3 ORDER BY id DESC LIMIT $4"
        ))
        .bind(self.organization.to_string())
        .bind(environment.map(ToString::to_string).unwrap_or_default())
        .bind(page.bound())
        .bind(page.rows())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(LlmProxy::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |proxy: &LlmProxy| proxy.id.clone()))
    }

    /// One proxy.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn llm_proxy(&self, id: &LlmProxyId) -> Result<Option<LlmProxy>, StoreError> {
        find(self.pool, self.organization, id).await
    }

    /// The proxy of this name, without regard to case.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn llm_proxy_named(&self, name: &str) -> Result<Option<LlmProxy>, StoreError> {
        let row = sqlx::query(select!("AND name_key = $2"))
            .bind(self.organization.to_string())
            .bind(name_key(name))
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(LlmProxy::read).transpose()
    }
}

impl Change {
    /// How many proxies there are, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn count_llm_proxies(&mut self) -> Result<i64, StoreError> {
        let organization = self.organization().to_string();
        let row =
            sqlx::query("SELECT COUNT(*) AS proxies FROM llm_proxy WHERE organization_id = $1")
                .bind(organization)
                .fetch_one(self.connection())
                .await?;
        row.value("proxies")
    }

    /// One proxy, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn llm_proxy(&mut self, id: &LlmProxyId) -> Result<Option<LlmProxy>, StoreError> {
        let organization = self.organization().clone();
        find(self.connection(), &organization, id).await
    }

    /// Makes a proxy.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name, [`StoreError::Referred`] if there is no such environment.
    pub async fn insert_llm_proxy(
        &mut self,
        id: LlmProxyId,
        values: LlmProxyValues,
    ) -> Result<LlmProxy, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO llm_proxy (id, organization_id, environment_id, name, name_key, config, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)",
        )
        .bind(id.to_string())
        .bind(organization)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(LlmProxy {
            id,
            values,
            version: 1,
            created_at: self.at(),
            updated_at: self.at(),
        })
    }

    /// Changes a proxy that is as it was read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Taken`] if there is another one of this name.
    pub async fn update_llm_proxy(
        &mut self,
        read: &LlmProxy,
        values: LlmProxyValues,
    ) -> Result<LlmProxy, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE llm_proxy SET environment_id = $4, name = $5, name_key = $6, config = $7, version = version + 1, updated_at = $8 \
             WHERE organization_id = $1 AND id = $2 AND version = $3",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(values.environment.to_string())
        .bind(values.name.clone())
        .bind(name_key(&values.name))
        .bind(values.config.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(LlmProxy {
            values,
            version: read.version + 1,
            updated_at: self.at(),
            ..read.clone()
        })
    }

    /// Deletes a proxy, and its virtual keys; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_llm_proxy(&mut self, id: &LlmProxyId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM llm_proxy WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
