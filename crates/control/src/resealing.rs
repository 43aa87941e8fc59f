//! Rotation: everything is sealed anew with the current key, so that the others can be destroyed.

use bailiwick_model::limits::RESEAL_BATCH;
use bailiwick_model::{OrganizationId, Permissions, ResourceId as _};
use bailiwick_store::{OwnedSecret, Scope, SecretOwner, StoreError};
use serde_json::json;

use crate::caller::{Actor, Caller, Proof};
use crate::clock;
use crate::control::Control;
use crate::credentials::{self, sealed};
use crate::error::ControlError;
use crate::sealing::Sealed;
use crate::{model_upstreams, session_resources};

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
        loop {
            let batch = next_batch(&scope, key, last.as_ref()).await?;
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
            let place: Vec<&str> = match &owned.owner {
                SecretOwner::Credential { vault, credential } => {
                    credentials::place(organization, vault, credential, name).to_vec()
                }
                SecretOwner::SessionResource { session, resource } => {
                    session_resources::place(organization, session, resource).to_vec()
                }
                SecretOwner::ModelUpstream { upstream } => {
                    model_upstreams::place(organization, upstream).to_vec()
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

/// What comes after the last one, of one kind of owners after the other: where a batch ended, the next one begins.
async fn next_batch(
    scope: &Scope<'_>,
    key: &str,
    last: Option<&OwnedSecret>,
) -> Result<Vec<OwnedSecret>, StoreError> {
    let (mut credential, mut resource, mut upstream) = (None, None, None);
    match last.map(|last| (&last.owner, last.secret.name.as_str())) {
        None => {}
        Some((SecretOwner::Credential { credential: id, .. }, name)) => {
            credential = Some((id, name));
        }
        Some((SecretOwner::SessionResource { resource: id, .. }, _)) => resource = Some(id),
        Some((SecretOwner::ModelUpstream { upstream: id }, _)) => upstream = Some(id),
    }
    if resource.is_none() && upstream.is_none() {
        let batch = scope.secrets_sealed_with(key, credential, RESEAL_BATCH);
        let batch = batch.await?;
        if !batch.is_empty() {
            return Ok(batch);
        }
    }
    if upstream.is_none() {
        let batch = scope.resource_secrets_sealed_with(key, resource, RESEAL_BATCH);
        let batch = batch.await?;
        if !batch.is_empty() {
            return Ok(batch);
        }
    }
    scope
        .upstream_secrets_sealed_with(key, upstream, RESEAL_BATCH)
        .await
}
