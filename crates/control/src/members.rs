//! Members.

use bailiwick_model::{Permission, PredefinedRole, ResourceId as _, RoleId, UserId};
use bailiwick_store::{Change, Member, NewMember, Page, PageRequest};
use serde_json::{Value, json};

use crate::caller::{Actor, Caller};
use crate::control::Control;
use crate::error::ControlError;
use crate::names::{email, name};
use crate::password::Password;
use crate::{clock, fresh};

const KIND: &str = "member";

/// A member to be made.
#[derive(Debug)]
pub struct NewMemberRequest {
    /// How they sign in.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// What they may do.
    pub role: RoleId,
    /// Their first password; without one they sign in elsewhere.
    pub password: Option<Password>,
}

impl Control {
    /// Members, the newest user first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn members(
        &self,
        caller: &Caller,
        page: &PageRequest<UserId>,
    ) -> Result<Page<Member, UserId>, ControlError> {
        caller.require(Permission::MemberRead)?;
        Ok(self.store.scope(&caller.organization).members(page).await?)
    }

    /// One member.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn member(&self, caller: &Caller, user: &UserId) -> Result<Member, ControlError> {
        caller.require(Permission::MemberRead)?;
        let found = self.store.scope(&caller.organization).member(user).await?;
        found.ok_or(ControlError::NotFound(KIND))
    }

    /// Makes a user and a member of them, with a role that allows nothing that the caller may not do.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::NotFound`] for the role, [`ControlError::Forbidden`].
    pub async fn create_member(
        &self,
        caller: &Caller,
        request: NewMemberRequest,
    ) -> Result<Member, ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let (email, name) = (email(&request.email)?, name(&request.name)?);
        let hash = match request.password {
            Some(password) => Some(password.hash().await?),
            None => None,
        };
        let at = clock::now();
        let mut change = self.change(caller, at).await?;
        assignable(&mut change, caller, &request.role).await?;
        let user: UserId = fresh::id(at);
        let new = NewMember {
            user: user.clone(),
            email: &email,
            name: &name,
            password_hash: hash.as_deref(),
            role: &request.role,
        };
        change
            .insert_member(&new)
            .await
            .map_err(ControlError::of(KIND))?;
        let made = change
            .member(&user)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        let event = caller.event(
            "member.create",
            (KIND, user.as_str()),
            None,
            Some(&evidence(&made)),
        );
        change.commit(&event).await?;
        Ok(made)
    }

    /// Gives a member another role. There is always somebody who administers.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Forbidden`], [`ControlError::LastAdministrator`].
    pub async fn set_member_role(
        &self,
        caller: &Caller,
        user: &UserId,
        role: &RoleId,
    ) -> Result<Member, ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .member(user)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        // Who may less than somebody does not decide what they may.
        caller.require_all(before.permissions)?;
        assignable(&mut change, caller, role).await?;
        if before.role != *role {
            not_the_last(&mut change, &before).await?;
        }
        change.set_role(user, role).await?;
        let after = change
            .member(user)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        let (was, becomes) = (evidence(&before), evidence(&after));
        let event = caller.event(
            "member.role",
            (KIND, user.as_str()),
            Some(&was),
            Some(&becomes),
        );
        change.commit(&event).await?;
        self.known_keys.forget();
        Ok(after)
    }

    /// Changes the password of a member: one's own, or as somebody who administers members. All their browser sessions end.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Forbidden`], [`ControlError::Invalid`], [`ControlError::TooManyPasswords`].
    pub async fn set_password(
        &self,
        caller: &Caller,
        user: &UserId,
        password: Password,
    ) -> Result<(), ControlError> {
        let member = self.store.scope(&caller.organization).member(user).await?;
        // Before anything is hashed, and again once nobody can change what they may.
        may_set_password(caller, member.as_ref())?;
        let hash = password.hash().await?;
        let mut change = self.change(caller, clock::now()).await?;
        may_set_password(caller, change.member(user).await?.as_ref())?;
        // Whoever knows the password of somebody may what they may.
        let is_own = caller.actor == Actor::User(user.clone());
        if !is_own && change.member_has_grants(user).await? {
            caller.require(Permission::EnvironmentDeployToRestricted)?;
        }
        if !change.set_password(user, &hash).await? {
            return Err(ControlError::NotFound(KIND));
        }
        Ok(change
            .commit(&caller.event("member.password", (KIND, user.as_str()), None, None))
            .await?)
    }

    /// Removes a member: their keys and sessions are not taken any more when this returns. There is always somebody who administers.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Forbidden`], [`ControlError::LastAdministrator`].
    pub async fn delete_member(&self, caller: &Caller, user: &UserId) -> Result<(), ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .member(user)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        caller.require_all(before.permissions)?;
        not_the_last(&mut change, &before).await?;
        change.delete_member(user).await?;
        let event = caller.event(
            "member.delete",
            (KIND, user.as_str()),
            Some(&evidence(&before)),
            None,
        );
        change.commit(&event).await?;
        self.known_keys.forget();
        Ok(())
    }
}

/// One's own, or as somebody who administers members, of somebody who may nothing that they may not.
fn may_set_password(caller: &Caller, member: Option<&Member>) -> Result<(), ControlError> {
    let is_own = member.is_some_and(|member| caller.actor == Actor::User(member.user.clone()));
    // A key is not to outlive itself: with it nobody gets a password.
    if is_own && caller.key.is_none() {
        return Ok(());
    }
    caller.require(Permission::MemberAdmin)?;
    let member = member.ok_or(ControlError::NotFound(KIND))?;
    caller.require_all(member.permissions)
}

/// A role that the caller may give: it exists, and allows nothing that they may not do.
async fn assignable(
    change: &mut Change,
    caller: &Caller,
    role: &RoleId,
) -> Result<(), ControlError> {
    let role = change
        .role(role)
        .await?
        .ok_or(ControlError::NotFound("role"))?;
    caller.require_all(role.permissions)
}

/// Fails if nobody else would administer.
async fn not_the_last(change: &mut Change, member: &Member) -> Result<(), ControlError> {
    let administers = member.permissions == PredefinedRole::Admin.permissions();
    if administers && change.members_with_role(&member.role).await? <= 1 {
        return Err(ControlError::LastAdministrator);
    }
    Ok(())
}

fn evidence(member: &Member) -> Value {
    json!({"email": member.email, "name": member.name, "role": member.role})
}
