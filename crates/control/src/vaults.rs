//! Vaults.

use bailiwick_model::{Permission, ResourceId as _, VaultId};
use bailiwick_store::{Change, Page, PageRequest, StoreError, Vault, VaultValues};
use bailiwick_wire::VaultBody;
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

/// What the errors call it.
pub(crate) const KIND: &str = "vault";

impl Control {
    /// Makes a vault.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], and what every use case may answer.
    pub async fn create_vault(
        &self,
        caller: &Caller,
        body: &Map<String, Value>,
    ) -> Result<Vault, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let values = values(&VaultBody::create(body)?);
        let at = clock::now();
        let mut change = self.change(caller, at).await?;
        let made = change.insert_vault(fresh::id(at), values).await?;
        commit(
            change,
            caller,
            "vault.create",
            &made.id,
            None,
            Some(&evidence(&made)),
        )
        .await?;
        Ok(made)
    }

    /// One vault, archived or not.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn vault(&self, caller: &Caller, id: &VaultId) -> Result<Vault, ControlError> {
        caller.require(Permission::VaultRead)?;
        let found = self.store.scope(&caller.organization).vault(id).await?;
        found.ok_or(ControlError::NotFound(KIND))
    }

    /// Vaults, the newest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn vaults(
        &self,
        caller: &Caller,
        page: &PageRequest<VaultId>,
        with_archived: bool,
    ) -> Result<Page<Vault, VaultId>, ControlError> {
        caller.require(Permission::VaultRead)?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.vaults(page, with_archived).await?)
    }

    /// Changes a vault.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], and what every use case may answer.
    pub async fn update_vault(
        &self,
        caller: &Caller,
        id: &VaultId,
        body: &Map<String, Value>,
    ) -> Result<Vault, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let (mut change, before) = self.locked_vault(caller, id).await?;
        if before.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        let values = values(&stored(&before)?.update(body)?);
        if values == before.values {
            return Ok(before);
        }
        let after = change
            .update_vault(&before, values)
            .await
            .map_err(ControlError::of(KIND))?;
        let (was, becomes) = (evidence(&before), evidence(&after));
        commit(
            change,
            caller,
            "vault.update",
            id,
            Some(&was),
            Some(&becomes),
        )
        .await?;
        Ok(after)
    }

    /// Archives a vault and its credentials, whose secrets are deleted; one that is archived stays as it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn archive_vault(
        &self,
        caller: &Caller,
        id: &VaultId,
    ) -> Result<Vault, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let (mut change, before) = self.locked_vault(caller, id).await?;
        if before.archived_at.is_some() {
            return Ok(before);
        }
        let credentials = change.active_credentials(id).await?;
        for credential in &credentials {
            change
                .archive_credential(credential)
                .await
                .map_err(ControlError::of("credential"))?;
        }
        let after = change
            .archive_vault(&before)
            .await
            .map_err(ControlError::of(KIND))?;
        let (was, mut becomes) = (evidence(&before), evidence(&after));
        becomes["archived_credentials"] = json!(credentials);
        commit(
            change,
            caller,
            "vault.archive",
            id,
            Some(&was),
            Some(&becomes),
        )
        .await?;
        Ok(after)
    }

    /// Deletes a vault with its credentials and their secrets.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Referred`], and what every use case may answer.
    pub async fn delete_vault(&self, caller: &Caller, id: &VaultId) -> Result<(), ControlError> {
        caller.require(Permission::VaultWrite)?;
        let (mut change, before) = self.locked_vault(caller, id).await?;
        let credentials = change.active_credentials(id).await?;
        change
            .delete_vault(id)
            .await
            .map_err(ControlError::of(KIND))?;
        let mut was = evidence(&before);
        was["active_credentials"] = json!(credentials);
        commit(change, caller, "vault.delete", id, Some(&was), None).await
    }

    /// A change that holds the lock of a vault.
    pub(crate) async fn locked_vault(
        &self,
        caller: &Caller,
        id: &VaultId,
    ) -> Result<(Change, Vault), ControlError> {
        let mut change = self.change(caller, clock::now()).await?;
        let vault = change.lock_vault(id).await?;
        Ok((change, vault.ok_or(ControlError::NotFound(KIND))?))
    }
}

fn values(body: &VaultBody) -> VaultValues {
    VaultValues {
        display_name: body.display_name.clone(),
        metadata: json!(body.metadata).to_string(),
    }
}

fn stored(vault: &Vault) -> Result<VaultBody, ControlError> {
    let metadata = serde_json::from_str(&vault.values.metadata);
    Ok(VaultBody {
        display_name: vault.values.display_name.clone(),
        metadata: metadata
            .map_err(|_| ControlError::Store(StoreError::Corrupt { column: "metadata" }))?,
    })
}

async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    id: &VaultId,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), ControlError> {
    let event = caller.event(action, (KIND, id.as_str()), before, after);
    Ok(change.commit(&event).await?)
}

/// What the audit log keeps of a vault.
fn evidence(vault: &Vault) -> Value {
    json!({
        "display_name": vault.values.display_name,
        "metadata": serde_json::from_str::<Value>(&vault.values.metadata).unwrap_or_default(),
        "archived": vault.archived_at.is_some(),
    })
}
