//! Rotation: everything is sealed anew with the current key, so that the others can be destroyed.

use bailiwick_model::limits::RESEAL_BATCH;
use bailiwick_model::{OrganizationId, Permissions, ResourceId as _};
use bailiwick_store::{OwnedSecret, SecretOwner};
use serde_json::json;

use crate::caller::{Actor, Caller, Proof};
use crate::clock;
use crate::control::Control;
use crate::credentials::{self, sealed};
use crate::error::ControlError;
use crate::sealing::Sealed;
use crate::session_resources;

/// What became of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Secrets that were sealed anew.
    pub secrets: u64,
    /// Secrets that could not be opened, and are as they were.
    pub unreadable: u64,
}

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
        let scope = self.store.scope(organization);
        let mut last: Option<OwnedSecret> = None;
        // Those of credentials come first. Where a batch ended, the next one begins.
        loop {
            let batch = match last
                .as_ref()
                .map(|last| (&last.owner, last.secret.name.as_str()))
            {
                None => scope.secrets_sealed_with(key, None, RESEAL_BATCH).await?,
                Some((SecretOwner::Credential { credential, .. }, name)) => {
                    let after = Some((credential, name));
                    scope.secrets_sealed_with(key, after, RESEAL_BATCH).await?
                }
                Some((SecretOwner::SessionResource { .. }, _)) => Vec::new(),
            };
            let batch = if batch.is_empty() {
                let after = match last.as_ref().map(|last| &last.owner) {
                    Some(SecretOwner::SessionResource { resource, .. }) => Some(resource),
                    Some(SecretOwner::Credential { .. }) | None => None,
                };
                scope
                    .resource_secrets_sealed_with(key, after, RESEAL_BATCH)
                    .await?
            } else {
                batch
            };
            if batch.is_empty() {
                return Ok(());
            }
            self.reseal_batch(organization, key, &batch, total).await?;
            last = batch.into_iter().next_back();
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
            let place = match &owned.owner {
                SecretOwner::Credential { vault, credential } => {
                    credentials::place(organization, vault, credential, name)
                }
                SecretOwner::SessionResource { session, resource } => {
                    session_resources::place(organization, session, resource)
                }
            };
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
                expires_at: None,
                proof: Proof::Itself,
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
