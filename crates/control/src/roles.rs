//! Roles.

use bailiwick_model::{Permission, Permissions, ResourceId as _, RoleId};
use bailiwick_store::{NewRole, Role};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::names::name;
use crate::{clock, fresh};

const KIND: &str = "role";

/// A role as it is to be.
#[derive(Debug, Clone)]
pub struct RoleValues {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
}

impl Control {
    /// All roles, the oldest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn roles(&self, caller: &Caller) -> Result<Vec<Role>, ControlError> {
        caller.require(Permission::MemberRead)?;
        Ok(self.store.scope(&caller.organization).roles().await?)
    }

    /// Makes a role of permissions that the caller has.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Forbidden`] for what the caller lacks.
    pub async fn create_role(
        &self,
        caller: &Caller,
        values: RoleValues,
    ) -> Result<Role, ControlError> {
        caller.require(Permission::RoleAdmin)?;
        caller.require_all(values.permissions)?;
        let (at, name) = (clock::now(), name(&values.name)?);
        let id: RoleId = fresh::id(at);
        let mut change = self.change(caller, at).await?;
        let new = NewRole {
            id: id.clone(),
            name: &name,
            predefined: false,
            permissions: values.permissions,
        };
        change
            .insert_role(&new)
            .await
            .map_err(ControlError::of(KIND))?;
        let made = change
            .role(&id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        let event = caller.event(
            "role.create",
            (KIND, id.as_str()),
            None,
            Some(&evidence(&made)),
        );
        change.commit(&event).await?;
        Ok(made)
    }

    /// Changes a role; those who have it may what it says from then on. `version` is the one that it must be at, if the caller says so.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Predefined`], [`ControlError::Stale`], [`ControlError::Forbidden`] for what the caller
    /// lacks, before or after.
    pub async fn update_role(
        &self,
        caller: &Caller,
        id: &RoleId,
        values: RoleValues,
        version: Option<i64>,
    ) -> Result<Role, ControlError> {
        caller.require(Permission::RoleAdmin)?;
        caller.require_all(values.permissions)?;
        let name = name(&values.name)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change.role(id).await?.ok_or(ControlError::NotFound(KIND))?;
        if before.predefined {
            return Err(ControlError::Predefined);
        }
        caller.require_all(before.permissions)?;
        if version.is_some_and(|version| version != before.version) {
            return Err(ControlError::Stale(KIND));
        }
        let changed = change.update_role(&before, &name, values.permissions).await;
        let after = changed.map_err(ControlError::of(KIND))?;
        let (was, becomes) = (evidence(&before), evidence(&after));
        let event = caller.event(
            "role.update",
            (KIND, id.as_str()),
            Some(&was),
            Some(&becomes),
        );
        change.commit(&event).await?;
        self.known_keys.forget();
        Ok(after)
    }

    /// Deletes a role that nobody has.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Predefined`], [`ControlError::Referred`].
    pub async fn delete_role(&self, caller: &Caller, id: &RoleId) -> Result<(), ControlError> {
        caller.require(Permission::RoleAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change.role(id).await?.ok_or(ControlError::NotFound(KIND))?;
        if before.predefined {
            return Err(ControlError::Predefined);
        }
        change
            .delete_role(&before)
            .await
            .map_err(ControlError::of(KIND))?;
        let event = caller.event(
            "role.delete",
            (KIND, id.as_str()),
            Some(&evidence(&before)),
            None,
        );
        Ok(change.commit(&event).await?)
    }
}

fn evidence(role: &Role) -> Value {
    json!({"name": role.name, "permissions": role.permissions})
}
