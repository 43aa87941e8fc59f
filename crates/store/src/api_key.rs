//! Keys that programs authenticate with. What is stored is their hash.

use bailiwick_model::{
    AgentId, ApiKeyId, EnvironmentId, LlmProxyId, McpGatewayId, OrganizationId, Permissions,
    ResourceId as _, ServiceAccountId, UserId,
};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::{Scope, Store};

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// A member's: it may what they may.
    User(UserId),
    /// A service account's.
    ServiceAccount(ServiceAccountId),
    /// The workers' of one self-hosted environment.
    Environment(EnvironmentId),
    /// Nobody's: it opens one proxy.
    LlmProxy(VirtualKey),
    /// Nobody's: it opens one gateway.
    McpGateway(McpGatewayId),
}

impl KeyOwner {
    /// The id of whom, or of what, the key is.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::ServiceAccount(id) => id.as_str(),
            Self::Environment(id) => id.as_str(),
            Self::LlmProxy(opens) => opens.llm_proxy.as_str(),
            Self::McpGateway(id) => id.as_str(),
        }
    }
}

/// What a virtual key opens, and for whom what is spent with it counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VirtualKey {
    /// The proxy.
    pub llm_proxy: LlmProxyId,
    /// The user that it counts for.
    pub user: Option<UserId>,
    /// The agent that it counts for.
    pub agent: Option<AgentId>,
}

/// A key, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What people call it.
    pub name: String,
    /// Its first characters.
    pub shown: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not taken.
    pub expires_at: Option<Timestamp>,
    /// Since when it is not taken.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            owner: owner(row)?,
            name: row.value("name")?,
            shown: row.value("shown")?,
            created_at: row.time("created_at")?,
            expires_at: row.optional_time("expires_at")?,
            revoked_at: row.optional_time("revoked_at")?,
        })
    }
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey<'a> {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What people call it.
    pub name: &'a str,
    /// Its first characters.
    pub shown: &'a str,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// From when on it is not taken.
    pub expires_at: Option<Timestamp>,
}

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose things it opens.
    pub organization: OrganizationId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What its owner's role allows; nothing for the key of an environment, and for a virtual key.
    pub permissions: Permissions,
    /// From when on it is not taken.
    pub expires_at: Option<Timestamp>,
}

fn owner(row: &AnyRow) -> Result<KeyOwner, StoreError> {
    if let Some(user) = row.optional_id("user_id")? {
        return Ok(KeyOwner::User(user));
    }
    if let Some(account) = row.optional_id("service_account_id")? {
        return Ok(KeyOwner::ServiceAccount(account));
    }
    if let Some(llm_proxy) = row.optional_id("llm_proxy_id")? {
        return Ok(KeyOwner::LlmProxy(VirtualKey {
            llm_proxy,
            user: row.optional_id("spender_user_id")?,
            agent: row.optional_id("spender_agent_id")?,
        }));
    }
    if let Some(gateway) = row.optional_id("mcp_gateway_id")? {
        return Ok(KeyOwner::McpGateway(gateway));
    }
    Ok(KeyOwner::Environment(row.id("environment_id")?))
}

/// A key that is taken, with what its owner's role allows.
macro_rules! known_key {
    ($which:literal) => {
        concat!(
            "SELECT k.id, k.organization_id, k.user_id, k.service_account_id, k.environment_id, k.llm_proxy_id, k.spender_user_id, \
             k.spender_agent_id, k.mcp_gateway_id, k.expires_at, r.permissions FROM api_key k \
             LEFT JOIN member m ON m.organization_id = k.organization_id AND m.user_id = k.user_id \
             LEFT JOIN user_account u ON u.id = m.user_id AND u.disabled_at IS NULL \
             LEFT JOIN service_account s ON s.id = k.service_account_id AND s.organization_id = k.organization_id \
             LEFT JOIN role r ON r.id = COALESCE(CASE WHEN u.id IS NULL THEN NULL ELSE m.role_id END, s.role_id) \
             WHERE ",
            $which,
            " AND k.revoked_at IS NULL AND (r.id IS NOT NULL OR k.environment_id IS NOT NULL OR k.mcp_gateway_id IS NOT NULL \
             OR (k.llm_proxy_id IS NOT NULL AND (k.spender_user_id IS NULL OR EXISTS (SELECT 1 FROM member sm JOIN user_account su ON su.id = sm.user_id \
             WHERE sm.organization_id = k.organization_id AND sm.user_id = k.spender_user_id AND su.disabled_at IS NULL))))",
        )
    };
}

impl Store {
    /// What a key stands for, by its hash; `None` if there is none, it was revoked, or its owner is no member any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn known_key(&self, hash: &[u8; 32]) -> Result<Option<KnownKey>, StoreError> {
        let query = sqlx::query(known_key!("k.hash = $1")).bind(hash.to_vec());
        let row = query.fetch_optional(self.reader()).await?;
        row.map(|row| known(&row)).transpose()
    }

    /// The same, by its id.
    pub(crate) async fn known_key_of(&self, id: &ApiKeyId) -> Result<Option<KnownKey>, StoreError> {
        let query = sqlx::query(known_key!("k.id = $1")).bind(id.to_string());
        let row = query.fetch_optional(self.reader()).await?;
        row.map(|row| known(&row)).transpose()
    }
}

fn known(row: &AnyRow) -> Result<KnownKey, StoreError> {
    let owner = owner(row)?;
    let permissions = match &owner {
        KeyOwner::Environment(_) | KeyOwner::LlmProxy(_) | KeyOwner::McpGateway(_) => {
            Permissions::NONE
        }
        KeyOwner::User(_) | KeyOwner::ServiceAccount(_) => row.json("permissions")?,
    };
    Ok(KnownKey {
        id: row.id("id")?,
        organization: row.id("organization_id")?,
        owner,
        permissions,
        expires_at: row.optional_time("expires_at")?,
    })
}

impl Scope<'_> {
    /// Keys, the newest first, with those that are not taken any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn api_keys(
        &self,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, StoreError> {
        self.some_keys("", page).await
    }

    /// The keys of one owner, the newest first, with those that are not taken any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn own_keys(
        &self,
        owner: &KeyOwner,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, StoreError> {
        self.some_keys(owner.id(), page).await
    }

    /// A key, taken or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let row = sqlx::query(
            "SELECT id, user_id, service_account_id, environment_id, llm_proxy_id, spender_user_id, spender_agent_id, mcp_gateway_id, name, shown, \
             created_at, expires_at, revoked_at FROM api_key WHERE organization_id = $1 AND id = $2",
        )
        .bind(self.organization.to_string())
        .bind(id.to_string())
        .fetch_optional(self.pool)
        .await?;
        row.as_ref().map(ApiKey::read).transpose()
    }

    /// The virtual keys of a proxy, the newest first, with those that are not taken any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn virtual_keys(
        &self,
        proxy: &LlmProxyId,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, StoreError> {
        self.some_keys(proxy.as_str(), page).await
    }

    /// The virtual keys of a gateway, the newest first, with those that are not taken any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn gateway_keys(
        &self,
        gateway: &McpGatewayId,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, StoreError> {
        self.some_keys(gateway.as_str(), page).await
    }

    /// Whether there is such a virtual key, taken or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn has_virtual_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 AS one FROM api_key WHERE organization_id = $1 AND id = $2 AND llm_proxy_id IS NOT NULL",
        )
        .bind(self.organization.to_string())
        .bind(id.to_string())
        .fetch_optional(self.pool)
        .await?;
        Ok(row.is_some())
    }

    /// Those of whom, or that open what, has this id; all, if none is named.
    async fn some_keys(
        &self,
        of: &str,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, user_id, service_account_id, environment_id, llm_proxy_id, spender_user_id, spender_agent_id, mcp_gateway_id, name, shown, \
             created_at, expires_at, revoked_at FROM api_key WHERE organization_id = $1 AND id < $2 \
             AND ($4 = '' OR user_id = $4 OR service_account_id = $4 OR environment_id = $4 OR llm_proxy_id = $4 OR mcp_gateway_id = $4) ORDER BY id DESC LIMIT $3",
        )
        .bind(self.organization.to_string())
        .bind(page.bound())
        .bind(page.rows())
        .bind(of.to_owned())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(ApiKey::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |key: &ApiKey| key.id.clone()))
    }
}

impl Change {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is this key already.
    pub async fn insert_api_key(&mut self, new: NewApiKey<'_>) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let (mut user, mut account, mut environment) = (None, None, None);
        let (mut door, mut gateway) = (None, None);
        match new.owner {
            KeyOwner::User(id) => user = Some(id.to_string()),
            KeyOwner::ServiceAccount(id) => account = Some(id.to_string()),
            KeyOwner::Environment(id) => environment = Some(id.to_string()),
            KeyOwner::LlmProxy(opens) => door = Some(opens),
            KeyOwner::McpGateway(id) => gateway = Some(id.to_string()),
        }
        let (proxy, spender, agent) = match door {
            Some(opens) => (
                Some(opens.llm_proxy.to_string()),
                opens.user.map(|id| id.to_string()),
                opens.agent.map(|id| id.to_string()),
            ),
            None => (None, None, None),
        };
        sqlx::query(
            "INSERT INTO api_key (id, organization_id, user_id, service_account_id, environment_id, name, shown, hash, created_at, expires_at, \
             llm_proxy_id, spender_user_id, spender_agent_id, mcp_gateway_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(user)
        .bind(account)
        .bind(environment)
        .bind(new.name.to_owned())
        .bind(new.shown.to_owned())
        .bind(new.hash.to_vec())
        .bind(at)
        .bind(new.expires_at.map(Timestamp::as_microsecond))
        .bind(proxy)
        .bind(spender)
        .bind(agent)
        .bind(gateway)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Virtual keys of a proxy, taken still, that are an agent's which is placed in another environment than this one; at most 100.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn virtual_keys_across(
        &mut self,
        proxy: &LlmProxyId,
        environment: &EnvironmentId,
    ) -> Result<Vec<ApiKeyId>, StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT k.id FROM api_key k JOIN agent a ON a.id = k.spender_agent_id WHERE k.organization_id = $1 AND k.llm_proxy_id = $2 \
             AND k.revoked_at IS NULL AND a.environment_id IS NOT NULL AND a.environment_id <> $3 ORDER BY k.id LIMIT 100",
        )
        .bind(organization)
        .bind(proxy.to_string())
        .bind(environment.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// Virtual keys, taken still, that are an agent's, of proxies in another environment than this one; at most 100.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn virtual_keys_of_agent_across(
        &mut self,
        agent: &AgentId,
        environment: &EnvironmentId,
    ) -> Result<Vec<ApiKeyId>, StoreError> {
        let organization = self.organization().to_string();
        let rows = sqlx::query(
            "SELECT k.id FROM api_key k JOIN llm_proxy p ON p.id = k.llm_proxy_id WHERE k.organization_id = $1 AND k.spender_agent_id = $2 \
             AND k.revoked_at IS NULL AND p.environment_id <> $3 ORDER BY k.id LIMIT 100",
        )
        .bind(organization)
        .bind(agent.to_string())
        .bind(environment.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// What is spent with a virtual key counts for no agent any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn detach_virtual_key(&mut self, id: &ApiKeyId) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "UPDATE api_key SET spender_agent_id = NULL WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization)
        .bind(id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Revokes a virtual key of a proxy; whether it was one that was still taken.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn revoke_virtual_key(
        &mut self,
        proxy: &LlmProxyId,
        id: &ApiKeyId,
    ) -> Result<bool, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE api_key SET revoked_at = $4 WHERE organization_id = $1 AND id = $2 AND llm_proxy_id = $3 AND revoked_at IS NULL",
        )
        .bind(organization)
        .bind(id.to_string())
        .bind(proxy.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Revokes a virtual key of a gateway; whether it was one that was still taken.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn revoke_gateway_key(
        &mut self,
        gateway: &McpGatewayId,
        id: &ApiKeyId,
    ) -> Result<bool, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE api_key SET revoked_at = $4 WHERE organization_id = $1 AND id = $2 AND mcp_gateway_id = $3 AND revoked_at IS NULL",
        )
        .bind(organization)
        .bind(id.to_string())
        .bind(gateway.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Revokes a key; whether it was one that was still taken.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn revoke_api_key(&mut self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE api_key SET revoked_at = $3 WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL",
        )
        .bind(organization)
        .bind(id.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
