//! Rotation: everything is sealed anew with the current key, so that the others can be destroyed.

use bailiwick_model::limits::RESEAL_BATCH;
use bailiwick_model::{CredentialId, OrganizationId, Permissions, ResourceId as _};
use bailiwick_store::OwnedSecret;
use serde_json::json;

use crate::caller::{Actor, Caller};
use crate::clock;
use crate::control::Control;
use crate::credentials::{place, sealed};
use crate::error::ControlError;
use crate::sealing::Sealed;

/// What became of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Secrets that were sealed anew.
    pub secrets: u64,
    /// Secrets that could not be opened, and are as they were.
    pub unreadable: u64,
}

/// Where a batch ended: after this secret the next one begins.
type Cursor = Option<(CredentialId, String)>;

impl Control {
    /// The ids of keys that secrets are sealed with and that were not given.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn missing_sealing_keys(&self) -> Result<Vec<String>, ControlError> {
        let mut keys = self.store.sealing_keys_in_use().await?;
        keys.retain(|key| !self.sealing.know(key));
        Ok(keys)
    }

    /// Seals anew, with the current key, whatever is sealed with another one that was given: in batches, each with its entry in the audit
    /// log, of every organization. What somebody changes meanwhile is theirs. It can be stopped and begun again at any time.
    ///
    /// # Errors
    ///
    /// What every use case may answer; what was done until then stays done.
    pub async fn reseal(&self) -> Result<Resealed, ControlError> {
        let mut total = Resealed::default();
        let mut older = self.store.sealing_keys_in_use().await?;
        older.retain(|key| key != self.sealing.current() && self.sealing.know(key));
        let mut after = None;
        while !older.is_empty() {
            let organizations = self
                .store
                .organizations_after(after.as_ref(), RESEAL_BATCH)
                .await?;
            for organization in &organizations {
                for key in &older {
                    self.reseal_of(organization, key, &mut total).await?;
                }
            }
            after = organizations.into_iter().next_back();
            if after.is_none() {
                break;
            }
        }
        Ok(total)
    }

    async fn reseal_of(
        &self,
        organization: &OrganizationId,
        key: &str,
        total: &mut Resealed,
    ) -> Result<(), ControlError> {
        let mut cursor: Cursor = None;
        loop {
            let after = cursor
                .as_ref()
                .map(|(credential, name)| (credential, name.as_str()));
            let scope = self.store.scope(organization);
            let batch = scope.secrets_sealed_with(key, after, RESEAL_BATCH).await?;
            let Some(last) = batch.last() else {
                return Ok(());
            };
            cursor = Some((last.credential.clone(), last.secret.name.clone()));
            self.reseal_batch(organization, key, &batch, total).await?;
        }
    }

    async fn reseal_batch(
        &self,
        organization: &OrganizationId,
        key: &str,
        batch: &[OwnedSecret],
        total: &mut Resealed,
    ) -> Result<(), ControlError> {
        let mut change = self.store.change(organization, clock::now()).await?;
        let (mut secrets, mut unreadable) = (0, 0);
        for owned in batch {
            let name = &owned.secret.name;
            let place = place(organization, &owned.vault, &owned.credential, name);
            let stored = Sealed {
                key: owned.secret.key.clone(),
                bytes: owned.secret.sealed.clone(),
            };
            let Ok(secret) = self.sealing.unseal(&place, &stored) else {
                unreadable += 1;
                continue;
            };
            let anew = sealed(&self.sealing, &place, name, &secret);
            secrets += u64::from(change.replace_secret(owned, anew).await?);
        }
        if secrets > 0 {
            let system = Caller {
                organization: organization.clone(),
                actor: Actor::System,
                permissions: Permissions::NONE,
                key: None,
                address: None,
            };
            let (was, becomes) = (
                json!({"sealing_key": key}),
                json!({"sealing_key": self.sealing.current(), "secrets": secrets}),
            );
            let resource = ("organization", organization.as_str());
            let event = system.event("credential.reseal", resource, Some(&was), Some(&becomes));
            change.commit(&event).await?;
        }
        total.secrets += secrets;
        total.unreadable += unreadable;
        Ok(())
    }
}
