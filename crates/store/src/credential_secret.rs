//! Secrets, sealed: this crate cannot open them.

use bailiwick_model::{
    CredentialId, ModelUpstreamId, OrganizationId, SessionId, SessionResourceId, VaultId,
};
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

/// A sealed secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Which of its owner's.
    pub name: String,
    /// The id of the key that it is sealed with.
    pub key: String,
    /// Nonce, ciphertext and tag.
    pub sealed: Vec<u8>,
}

/// Whose a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOwner {
    /// A credential's.
    Credential {
        /// Of which vault.
        vault: VaultId,
        /// Which.
        credential: CredentialId,
    },
    /// A repository's of a session.
    SessionResource {
        /// Of which session.
        session: SessionId,
        /// Which.
        resource: SessionResourceId,
    },
    /// A model upstream's.
    ModelUpstream {
        /// Which.
        upstream: ModelUpstreamId,
    },
}

/// A sealed secret and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedSecret {
    /// Whose.
    pub owner: SecretOwner,
    /// The secret.
    pub secret: SealedSecret,
}

impl SealedSecret {
    /// The secret of an owner that has one, which its row need not name.
    pub(crate) fn only(name: &str, row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: name.to_owned(),
            key: row.value("sealing_key")?,
            sealed: row.value("sealed")?,
        })
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.value("name")?,
            key: row.value("sealing_key")?,
            sealed: row.value("sealed")?,
        })
    }
}

impl Store {
    /// The ids of all keys that secrets of any organization are sealed with.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn sealing_keys_in_use(&self) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        loop {
            // One step in the index for each key, however many secrets there are.
            let after = keys.last().cloned().unwrap_or_default();
            let row = sqlx::query(
                "SELECT MIN(sealing_key) AS sealing_key FROM ( \
                 SELECT MIN(sealing_key) AS sealing_key FROM credential_secret WHERE sealing_key > $1 \
                 UNION ALL SELECT MIN(sealing_key) AS sealing_key FROM session_resource_secret WHERE sealing_key > $1 \
                 UNION ALL SELECT MIN(sealing_key) AS sealing_key FROM model_upstream_secret WHERE sealing_key > $1) AS all_kinds",
            )
                .bind(after)
                .fetch_one(self.reader())
                .await?;
            match row.value::<Option<String>>("sealing_key")? {
                Some(key) => keys.push(key),
                None => return Ok(keys),
            }
        }
    }

    /// Organizations in the order of their ids, after one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn organizations_after(
        &self,
        after: Option<&OrganizationId>,
        limit: u32,
    ) -> Result<Vec<OrganizationId>, StoreError> {
        let rows = sqlx::query("SELECT id FROM organization WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after.map(ToString::to_string).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }
}

impl Scope<'_> {
    /// The secrets of one credential, in the order of their names.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn credential_secrets(
        &self,
        credential: &CredentialId,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, sealing_key, sealed FROM credential_secret WHERE organization_id = $1 AND credential_id = $2 ORDER BY name",
        )
        .bind(self.organization.to_string())
        .bind(credential.to_string())
        .fetch_all(self.pool)
        .await?;
        rows.iter().map(SealedSecret::read).collect()
    }

    /// Secrets of credentials that are sealed with one key, in the order of credential and name, after one of them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn secrets_sealed_with(
        &self,
        key: &str,
        after: Option<(&CredentialId, &str)>,
        limit: u32,
    ) -> Result<Vec<OwnedSecret>, StoreError> {
        let (credential, name) = after.map_or_else(Default::default, |(credential, name)| {
            (credential.to_string(), name.to_owned())
        });
        let rows = sqlx::query(
            "SELECT c.vault_id, s.credential_id, s.name, s.sealing_key, s.sealed FROM credential_secret s \
             JOIN credential c ON c.id = s.credential_id AND c.organization_id = s.organization_id \
             WHERE s.organization_id = $1 AND s.sealing_key = $2 AND (s.credential_id, s.name) > ($3, $4) \
             ORDER BY s.credential_id, s.name LIMIT $5",
        )
        .bind(self.organization.to_string())
        .bind(key.to_owned())
        .bind(credential)
        .bind(name)
        .bind(i64::from(limit))
        .fetch_all(self.pool)
        .await?;
        let read = |row: &AnyRow| {
            Ok(OwnedSecret {
                owner: SecretOwner::Credential {
                    vault: row.id("vault_id")?,
                    credential: row.id("credential_id")?,
                },
                secret: SealedSecret::read(row)?,
            })
        };
        rows.iter().map(read).collect()
    }
}

impl Change {
    /// Sets a secret of a credential of a vault that this change has locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if there is no such credential.
    pub async fn put_secret(
        &mut self,
        credential: &CredentialId,
        secret: SealedSecret,
    ) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "INSERT INTO credential_secret (organization_id, credential_id, name, sealing_key, sealed) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (credential_id, name) DO UPDATE SET sealing_key = excluded.sealing_key, sealed = excluded.sealed \
             WHERE credential_secret.organization_id = excluded.organization_id",
        )
        .bind(organization)
        .bind(credential.to_string())
        .bind(secret.name)
        .bind(secret.key)
        .bind(secret.sealed)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Puts a secret that was sealed anew in the place of what was read; whether it was still there.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn replace_secret(
        &mut self,
        read: &OwnedSecret,
        secret: SealedSecret,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let (query, owner) = match &read.owner {
            SecretOwner::Credential { credential, .. } => (
                sqlx::query(
                    "UPDATE credential_secret SET sealing_key = $4, sealed = $5 \
                     WHERE organization_id = $1 AND credential_id = $2 AND sealed = $3 AND name = $6",
                ),
                credential.to_string(),
            ),
            SecretOwner::SessionResource { resource, .. } => (
                sqlx::query(
                    "UPDATE session_resource_secret SET sealing_key = $4, sealed = $5 \
                     WHERE organization_id = $1 AND resource_id = $2 AND sealed = $3",
                ),
                resource.to_string(),
            ),
            SecretOwner::ModelUpstream { upstream } => (
                sqlx::query(
                    "UPDATE model_upstream_secret SET sealing_key = $4, sealed = $5 \
                     WHERE organization_id = $1 AND upstream_id = $2 AND sealed = $3",
                ),
                upstream.to_string(),
            ),
        };
        let query = query
            .bind(organization)
            .bind(owner)
            .bind(read.secret.sealed.clone())
            .bind(secret.key)
            .bind(secret.sealed);
        let query = match &read.owner {
            SecretOwner::Credential { .. } => query.bind(read.secret.name.clone()),
            SecretOwner::SessionResource { .. } | SecretOwner::ModelUpstream { .. } => query,
        };
        let done = query.execute(self.connection()).await?;
        Ok(done.rows_affected() == 1)
    }
}
