//! Service accounts.

use bailiwick_model::{Permission, ResourceId as _, RoleId, ServiceAccountId};
use bailiwick_store::{KeyOwner, Page, PageRequest, ServiceAccount};
use serde_json::json;

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::keys::{MadeKey, NewKeyRequest};
use crate::names::name;
use crate::{clock, fresh};

const KIND: &str = "service account";

impl Control {
    /// Service accounts, the newest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn service_accounts(
        &self,
        caller: &Caller,
        page: &PageRequest<ServiceAccountId>,
    ) -> Result<Page<ServiceAccount, ServiceAccountId>, ControlError> {
        caller.require(Permission::MemberRead)?;
        Ok(self
            .store
            .scope(&caller.organization)
            .service_accounts(page)
            .await?)
    }

    /// Makes a service account with a role that allows nothing that the caller may not do.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::NotFound`] for the role, [`ControlError::Forbidden`].
    pub async fn create_service_account(
        &self,
        caller: &Caller,
        account: &str,
        role: &RoleId,
    ) -> Result<ServiceAccount, ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let (at, name) = (clock::now(), name(account)?);
        let mut change = self.change(caller, at).await?;
        let allowed = change
            .role(role)
            .await?
            .ok_or(ControlError::NotFound("role"))?;
        caller.require_all(allowed.permissions)?;
        let inserted = change
            .insert_service_account(&fresh::id(at), &name, role)
            .await;
        let made = inserted.map_err(ControlError::of(KIND))?;
        let after = json!({"name": name, "role": role});
        let event = caller.event(
            "service_account.create",
            ("service_account", made.id.as_str()),
            None,
            Some(&after),
        );
        change.commit(&event).await?;
        Ok(made)
    }

    /// Deletes a service account: its keys are not taken any more when this returns.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_service_account(
        &self,
        caller: &Caller,
        id: &ServiceAccountId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        if !change.delete_service_account(id).await? {
            return Err(ControlError::NotFound(KIND));
        }
        let event = caller.event(
            "service_account.delete",
            ("service_account", id.as_str()),
            None,
            None,
        );
        change.commit(&event).await?;
        self.known_keys.forget();
        Ok(())
    }

    /// Makes a key of a service account that may nothing that the caller may not.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Forbidden`], and what every use case may answer.
    pub async fn create_service_account_key(
        &self,
        caller: &Caller,
        id: &ServiceAccountId,
        request: NewKeyRequest,
    ) -> Result<MadeKey, ControlError> {
        caller.require(Permission::KeyAdmin)?;
        let scope = self.store.scope(&caller.organization);
        let account = scope
            .service_account(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        let role = scope
            .role(&account.role)
            .await?
            .ok_or(ControlError::NotFound("role"))?;
        caller.require_all(role.permissions)?;
        self.make_key(
            caller,
            "bwk_",
            KeyOwner::ServiceAccount(account.id),
            request,
        )
        .await
    }
}
