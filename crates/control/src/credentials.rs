//! Credentials of vaults. Their secrets go in through here, sealed, and never come out through a use case that has a caller.

use bailiwick_model::limits::CREDENTIALS_OF_VAULT;
use bailiwick_model::{CredentialId, OrganizationId, Permission, ResourceId as _, VaultId};
use bailiwick_store::{
    Change, Credential, Page, PageRequest, SealedSecret, StoreError, StoredCredentialValues,
};
use bailiwick_wire::{
    CredentialAuth, CredentialBody, CredentialSecrets, CredentialValues, SecretName, SecretText,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::sealing::{Sealed, SealingKeys, UnsealError};
use crate::{clock, fresh, vaults};

/// What the errors call it.
pub(crate) const KIND: &str = "credential";

impl Control {
    /// Makes a credential.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] and [`ControlError::Archived`] for the vault, [`ControlError::Invalid`], [`ControlError::Full`],
    /// [`ControlError::TargetTaken`], and what every use case may answer.
    pub async fn create_credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        body: &Map<String, Value>,
    ) -> Result<Credential, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let body = CredentialBody::create(body, clock::now())?;
        let (change, locked) = self.locked_vault(caller, vault).await?;
        if locked.archived_at.is_some() {
            return Err(ControlError::Archived(vaults::KIND));
        }
        self.make_credential(change, caller, vault, body).await
    }

    /// Puts a credential into a vault that somebody got at an authorization server; in the place of one for the same server, if it may be.
    pub(crate) async fn put_connected_credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        body: CredentialBody,
        replaces: bool,
    ) -> Result<Credential, ControlError> {
        let (mut change, locked) = self.locked_vault(caller, vault).await?;
        if locked.archived_at.is_some() {
            return Err(ControlError::Archived(vaults::KIND));
        }
        let target = stored(&body.values).target;
        for id in change.active_credentials(vault).await? {
            let Some(before) = change.credential(vault, &id).await? else {
                continue;
            };
            if !replaces || before.values.target != target {
                continue;
            }
            change
                .archive_credential(&id)
                .await
                .map_err(ControlError::of(KIND))?;
            let (about, was) = ((KIND, id.as_str()), evidence(&before));
            let event = caller.event("credential.archive", about, Some(&was), None);
            change.enter(&event).await?;
        }
        self.make_credential(change, caller, vault, body).await
    }

    /// Makes a credential in a vault that the change has locked.
    async fn make_credential(
        &self,
        mut change: Change,
        caller: &Caller,
        vault: &VaultId,
        body: CredentialBody,
    ) -> Result<Credential, ControlError> {
        if change.active_credentials(vault).await?.len() >= CREDENTIALS_OF_VAULT {
            return Err(ControlError::Full {
                kind: vaults::KIND,
                what: "active credentials",
                limit: CREDENTIALS_OF_VAULT,
            });
        }
        let (id, values) = (fresh::id(change.at()), stored(&body.values));
        let made =
            change
                .insert_credential(vault, id, values)
                .await
                .map_err(|error| match error {
                    StoreError::Taken => ControlError::TargetTaken,
                    StoreError::Unavailable(_)
                    | StoreError::Referred
                    | StoreError::Stale
                    | StoreError::Corrupt { .. }
                    | StoreError::OpenFile { .. }
                    | StoreError::Migration(_)
                    | StoreError::NotACopy(_)
                    | StoreError::Refused(_) => ControlError::of(KIND)(error),
                })?;
        let names = self.put(&mut change, &made, body.secrets).await?;
        let mut becomes = evidence(&made);
        becomes["secrets"] = json!(names);
        commit(
            change,
            caller,
            "credential.create",
            &made.id,
            None,
            Some(&becomes),
        )
        .await?;
        Ok(made)
    }

    /// One credential of a vault, archived or not.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<Credential, ControlError> {
        caller.require(Permission::VaultRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.credential(vault, id).await?;
        found.ok_or(ControlError::NotFound(KIND))
    }

    /// Credentials of a vault, the newest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] for the vault, and what every use case may answer.
    pub async fn credentials(
        &self,
        caller: &Caller,
        vault: &VaultId,
        page: &PageRequest<CredentialId>,
        with_archived: bool,
    ) -> Result<Page<Credential, CredentialId>, ControlError> {
        self.vault(caller, vault).await?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.credentials(vault, page, with_archived).await?)
    }

    /// Changes a credential. Secrets that the body carries replace those that are stored.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], and what every use case may answer.
    pub async fn update_credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
        body: &Map<String, Value>,
    ) -> Result<Credential, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let (mut change, before) = self.locked_credential(caller, vault, id).await?;
        if before.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        let body = CredentialBody::update(&read(&before)?, body, change.at())?;
        let values = stored(&body.values);
        if values == before.values && body.secrets.is_empty() {
            return Ok(before);
        }
        let after = change
            .update_credential(&before, values)
            .await
            .map_err(ControlError::of(KIND))?;
        let names = self.put(&mut change, &after, body.secrets).await?;
        let (was, mut becomes) = (evidence(&before), evidence(&after));
        becomes["replaced_secrets"] = json!(names);
        commit(
            change,
            caller,
            "credential.update",
            id,
            Some(&was),
            Some(&becomes),
        )
        .await?;
        Ok(after)
    }

    /// Archives a credential: its secrets are deleted, and another one can be for the same thing. One that is archived stays as it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn archive_credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<Credential, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let (mut change, before) = self.locked_credential(caller, vault, id).await?;
        if before.archived_at.is_some() {
            return Ok(before);
        }
        change
            .archive_credential(id)
            .await
            .map_err(ControlError::of(KIND))?;
        let after = Credential {
            updated_at: change.at(),
            archived_at: Some(change.at()),
            ..before.clone()
        };
        let (was, becomes) = (evidence(&before), evidence(&after));
        commit(
            change,
            caller,
            "credential.archive",
            id,
            Some(&was),
            Some(&becomes),
        )
        .await?;
        Ok(after)
    }

    /// Deletes a credential with its secrets.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Referred`], and what every use case may answer.
    pub async fn delete_credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::VaultWrite)?;
        let (mut change, before) = self.locked_credential(caller, vault, id).await?;
        change
            .delete_credential(vault, id)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(
            change,
            caller,
            "credential.delete",
            id,
            Some(&evidence(&before)),
            None,
        )
        .await
    }

    /// The secrets of an active credential, for what injects them into a session's requests. No caller's permission is asked: this is never
    /// to be reached by a request of somebody.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Unseal`], and what every use case may answer.
    pub async fn unsealed_credential(
        &self,
        organization: &OrganizationId,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<CredentialSecrets, ControlError> {
        let scope = self.store.scope(organization);
        let found = scope.credential(vault, id).await?;
        let credential = found.ok_or(ControlError::NotFound(KIND))?;
        if credential.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        self.unsealed(
            organization,
            (vault, id),
            scope.credential_secrets(id).await?,
        )
    }

    /// Opens what is stored of a credential.
    pub(crate) fn unsealed(
        &self,
        organization: &OrganizationId,
        (vault, id): (&VaultId, &CredentialId),
        secrets: Vec<SealedSecret>,
    ) -> Result<CredentialSecrets, ControlError> {
        let open = |secret: SealedSecret| {
            let name: SecretName = secret.name.parse().map_err(|_| corrupt("name"))?;
            let sealed = Sealed {
                key: secret.key,
                bytes: secret.sealed,
            };
            let opened = self
                .sealing
                .unseal(&place(organization, vault, id, name.as_str()), &sealed)?;
            // It was sealed as a text.
            let text = std::str::from_utf8(&opened).map_err(|_| UnsealError::NotAuthentic)?;
            Ok((name, SecretText::new(text.to_owned())))
        };
        secrets.into_iter().map(open).collect()
    }

    /// Puts tokens that an authorization server gave in the place of those that are stored, unless the access token is not `stale` any more;
    /// whether it did.
    pub(crate) async fn replace_tokens(
        &self,
        caller: &Caller,
        (vault, id): (&VaultId, &CredentialId),
        stale: &SecretText,
        (expires_at, secrets): (Option<Timestamp>, CredentialSecrets),
    ) -> Result<bool, ControlError> {
        let (mut change, before) = self.locked_credential(caller, vault, id).await?;
        let organization = &caller.organization;
        // Whoever changes it holds the same lock.
        let stored = self.unsealed_credential(organization, vault, id).await?;
        let is_stale = |(name, secret): &(SecretName, SecretText)| {
            *name == SecretName::AccessToken && secret.reveal() == stale.reveal()
        };
        if !stored.iter().any(is_stale) {
            return Ok(false);
        }
        let mut values = read(&before)?;
        if let CredentialAuth::McpOauth(auth) = &mut values.auth {
            auth.expires_at = expires_at;
        }
        let after = change
            .update_credential(&before, self::stored(&values))
            .await
            .map_err(ControlError::of(KIND))?;
        let names = self.put(&mut change, &after, secrets).await?;
        let (was, mut becomes) = (evidence(&before), evidence(&after));
        becomes["replaced_secrets"] = json!(names);
        let action = "credential.refresh";
        commit(change, caller, action, id, Some(&was), Some(&becomes)).await?;
        Ok(true)
    }

    async fn locked_credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<(Change, Credential), ControlError> {
        let (mut change, _) = self.locked_vault(caller, vault).await?;
        let found = change.credential(vault, id).await?;
        Ok((change, found.ok_or(ControlError::NotFound(KIND))?))
    }

    /// Seals secrets and stores them; their names.
    async fn put(
        &self,
        change: &mut Change,
        credential: &Credential,
        mut secrets: CredentialSecrets,
    ) -> Result<Vec<&'static str>, ControlError> {
        // The order in which they are sealed anew: whoever locks rows in another one may wait for ever.
        secrets.sort_by_key(|(name, _)| name.as_str());
        let organization = change.organization().clone();
        for (name, secret) in &secrets {
            let place = place(
                &organization,
                &credential.vault,
                &credential.id,
                name.as_str(),
            );
            let sealed = sealed(
                &self.sealing,
                &place,
                name.as_str(),
                secret.reveal().as_bytes(),
            );
            change
                .put_secret(&credential.id, sealed)
                .await
                .map_err(ControlError::of(KIND))?;
        }
        Ok(secrets.iter().map(|(name, _)| name.as_str()).collect())
    }
}

/// Where a secret belongs: it opens nowhere else.
pub(crate) fn place<'a>(
    organization: &'a OrganizationId,
    vault: &'a VaultId,
    credential: &'a CredentialId,
    name: &'a str,
) -> [&'a str; 5] {
    let (organization, vault) = (organization.as_str(), vault.as_str());
    ["credential", organization, vault, credential.as_str(), name]
}

/// A secret as it is stored.
pub(crate) fn sealed(
    keys: &SealingKeys,
    place: &[&str],
    name: &str,
    secret: &[u8],
) -> SealedSecret {
    let Sealed { key, bytes } = keys.seal(place, secret);
    SealedSecret {
        name: name.to_owned(),
        key,
        sealed: bytes,
    }
}

pub(crate) fn corrupt(column: &'static str) -> ControlError {
    ControlError::Store(StoreError::Corrupt { column })
}

fn stored(values: &CredentialValues) -> StoredCredentialValues {
    StoredCredentialValues {
        display_name: values.display_name.clone(),
        auth: json!(values.auth).to_string(),
        target: fresh::hash(&values.auth.target()),
        metadata: json!(values.metadata).to_string(),
    }
}

fn read(credential: &Credential) -> Result<CredentialValues, ControlError> {
    let values = &credential.values;
    Ok(CredentialValues {
        display_name: values.display_name.clone(),
        metadata: serde_json::from_str(&values.metadata).map_err(|_| corrupt("metadata"))?,
        auth: serde_json::from_str(&values.auth).map_err(|_| corrupt("auth"))?,
    })
}

async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    id: &CredentialId,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), ControlError> {
    let event = caller.event(action, (KIND, id.as_str()), before, after);
    Ok(change.commit(&event).await?)
}

/// What the audit log keeps of a credential.
fn evidence(credential: &Credential) -> Value {
    let part = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let values = &credential.values;
    json!({
        "vault_id": credential.vault,
        "display_name": values.display_name,
        "auth": part(&values.auth),
        "metadata": part(&values.metadata),
        "archived": credential.archived_at.is_some(),
    })
}
