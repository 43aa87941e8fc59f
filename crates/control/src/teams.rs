//! Teams, and who may deploy to a restricted environment besides those whose role says so.

use bailiwick_model::{EnvironmentId, GrantId, Permission, ResourceId as _, TeamId, UserId};
use bailiwick_store::{Change, Environment, Grant, Grantee, StoreError, Team};
use serde_json::json;

use crate::caller::{Actor, Caller};
use crate::control::Control;
use crate::error::ControlError;
use crate::names::name;
use crate::{clock, fresh};

impl Control {
    /// All teams, the oldest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn teams(&self, caller: &Caller) -> Result<Vec<Team>, ControlError> {
        caller.require(Permission::MemberRead)?;
        Ok(self.store.scope(&caller.organization).teams().await?)
    }

    /// Makes a team.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NameTaken`], and what every use case may answer.
    pub async fn create_team(&self, caller: &Caller, team: &str) -> Result<Team, ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let (at, name) = (clock::now(), name(team)?);
        let mut change = self.change(caller, at).await?;
        let made = change
            .insert_team(&fresh::id(at), &name)
            .await
            .map_err(ControlError::of("team"))?;
        let event = caller.event(
            "team.create",
            ("team", made.id.as_str()),
            None,
            Some(&json!({"name": name})),
        );
        change.commit(&event).await?;
        Ok(made)
    }

    /// Deletes a team, with its grants.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_team(&self, caller: &Caller, id: &TeamId) -> Result<(), ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        may_share(&mut change, caller, id).await?;
        if !change.delete_team(id).await? {
            return Err(ControlError::NotFound("team"));
        }
        Ok(change
            .commit(&caller.event("team.delete", ("team", id.as_str()), None, None))
            .await?)
    }

    /// The members of a team.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn team_members(
        &self,
        caller: &Caller,
        id: &TeamId,
    ) -> Result<Vec<UserId>, ControlError> {
        caller.require(Permission::MemberRead)?;
        let scope = self.store.scope(&caller.organization);
        if scope.team(id).await?.is_none() {
            return Err(ControlError::NotFound("team"));
        }
        Ok(scope.team_members(id).await?)
    }

    /// Makes a member one of a team.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn add_to_team(
        &self,
        caller: &Caller,
        team: &TeamId,
        user: &UserId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        may_share(&mut change, caller, team).await?;
        if !change.add_to_team(team, user).await? {
            return Err(ControlError::NotFound("team or member"));
        }
        let event = caller.event(
            "team.add",
            ("team", team.as_str()),
            None,
            Some(&json!({"user": user})),
        );
        Ok(change.commit(&event).await?)
    }

    /// Takes a member out of a team.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn remove_from_team(
        &self,
        caller: &Caller,
        team: &TeamId,
        user: &UserId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::MemberAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        if !change.remove_from_team(team, user).await? {
            return Err(ControlError::NotFound("team or member"));
        }
        let event = caller.event(
            "team.remove",
            ("team", team.as_str()),
            Some(&json!({"user": user})),
            None,
        );
        Ok(change.commit(&event).await?)
    }

    /// Who may deploy to an environment besides those whose role says so.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn grants(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
    ) -> Result<Vec<Grant>, ControlError> {
        caller.require(Permission::MemberRead)?;
        let scope = self.store.scope(&caller.organization);
        if scope.environment(environment).await?.is_none() {
            return Err(ControlError::NotFound("environment"));
        }
        Ok(scope.grants(environment).await?)
    }

    /// Lets a member or a team deploy to one restricted environment.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], and what every use case may answer.
    pub async fn create_grant(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        grantee: Grantee,
    ) -> Result<Grant, ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let at = clock::now();
        let new = Grant {
            id: fresh::id(at),
            environment: environment.clone(),
            grantee,
        };
        let mut change = self.change(caller, at).await?;
        let found = change.environment(environment).await?;
        if found.is_some_and(|found| found.archived_at.is_some()) {
            return Err(ControlError::Archived("environment"));
        }
        match change.insert_grant(&new).await {
            Err(StoreError::Referred) => {
                return Err(ControlError::NotFound("environment, member or team"));
            }
            done => done.map_err(ControlError::of("grant"))?,
        }
        let to = match &new.grantee {
            Grantee::User(id) => json!({"user": id}),
            Grantee::Team(id) => json!({"team": id}),
        };
        let event = caller.event(
            "grant.create",
            ("environment", environment.as_str()),
            None,
            Some(&to),
        );
        change.commit(&event).await?;
        Ok(new)
    }

    /// Takes a grant away.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_grant(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &GrantId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        if !change.delete_grant(environment, id).await? {
            return Err(ControlError::NotFound("grant"));
        }
        let event = caller.event(
            "grant.delete",
            ("environment", environment.as_str()),
            Some(&json!({"grant": id})),
            None,
        );
        Ok(change.commit(&event).await?)
    }

    /// The gate: whether the caller may assign something to this environment. Asked only where an assignment is made or changes.
    ///
    /// # Errors
    ///
    /// [`ControlError::Forbidden`].
    pub async fn may_deploy(
        &self,
        caller: &Caller,
        environment: &Environment,
    ) -> Result<(), ControlError> {
        let gate = Permission::EnvironmentDeployToRestricted;
        if !environment.values.restricted || caller.permissions.allow(gate) {
            return Ok(());
        }
        let granted = match &caller.actor {
            Actor::User(user) => {
                self.store
                    .scope(&caller.organization)
                    .is_granted(&environment.id, user)
                    .await?
            }
            Actor::ServiceAccount(_)
            | Actor::Worker(_)
            | Actor::WorkItem(_)
            | Actor::VirtualKey(_)
            | Actor::GatewayKey(_)
            | Actor::System => false,
        };
        if granted {
            Ok(())
        } else {
            Err(ControlError::Forbidden(gate))
        }
    }
}

/// What a team was granted, only who has it as well gives to others by way of the team, or takes away with it.
async fn may_share(
    change: &mut Change,
    caller: &Caller,
    team: &TeamId,
) -> Result<(), ControlError> {
    if change.team_has_grants(team).await? {
        caller.require(Permission::EnvironmentDeployToRestricted)?;
    }
    Ok(())
}
