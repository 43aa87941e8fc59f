//! Teams, and the right of teams and members to deploy to one restricted environment.

use bailiwick_model::{EnvironmentId, GrantId, TeamId, UserId};
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::row::Columns;
use crate::store::Scope;

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// What people call it.
    pub name: String,
}

/// Whose a grant is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// A member's.
    User(UserId),
    /// A team's.
    Team(TeamId),
}

/// The right to deploy to one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// To which.
    pub environment: EnvironmentId,
    /// Whose.
    pub grantee: Grantee,
}

fn grant(row: &AnyRow) -> Result<Grant, StoreError> {
    let grantee = match row.optional_id("user_id")? {
        Some(user) => Grantee::User(user),
        None => Grantee::Team(row.id("team_id")?),
    };
    Ok(Grant {
        id: row.id("id")?,
        environment: row.id("environment_id")?,
        grantee,
    })
}

fn team(row: &AnyRow) -> Result<Team, StoreError> {
    Ok(Team {
        id: row.id("id")?,
        name: row.value("name")?,
    })
}

impl Scope<'_> {
    /// The teams of a user.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn teams_of(&self, user: &UserId) -> Result<Vec<TeamId>, StoreError> {
        let rows = sqlx::query(
            "SELECT t.id FROM team t JOIN team_member m ON m.team_id = t.id WHERE t.organization_id = $1 AND m.user_id = $2 ORDER BY t.id",
        )
        .bind(self.organization.to_string())
        .bind(user.to_string())
        .fetch_all(self.pool)
        .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// All teams, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn teams(&self) -> Result<Vec<Team>, StoreError> {
        let rows = sqlx::query("SELECT id, name FROM team WHERE organization_id = $1 ORDER BY id")
            .bind(self.organization.to_string())
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(team).collect()
    }

    /// One team.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn team(&self, id: &TeamId) -> Result<Option<Team>, StoreError> {
        let row = sqlx::query("SELECT id, name FROM team WHERE organization_id = $1 AND id = $2")
            .bind(self.organization.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(team).transpose()
    }

    /// The members of a team, the oldest user first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn team_members(&self, team: &TeamId) -> Result<Vec<UserId>, StoreError> {
        let rows = sqlx::query("SELECT user_id FROM team_member WHERE organization_id = $1 AND team_id = $2 ORDER BY user_id")
            .bind(self.organization.to_string())
            .bind(team.to_string())
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(|row| row.id("user_id")).collect()
    }

    /// Who may deploy to an environment besides those whose role says so, the oldest grant first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn grants(&self, environment: &EnvironmentId) -> Result<Vec<Grant>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, environment_id, user_id, team_id FROM deploy_grant WHERE organization_id = $1 AND environment_id = $2 ORDER BY id",
        )
        .bind(self.organization.to_string())
        .bind(environment.to_string())
        .fetch_all(self.pool)
        .await?;
        rows.iter().map(grant).collect()
    }

    /// Whether a user may deploy to an environment by a grant of theirs or of a team of theirs.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn is_granted(
        &self,
        environment: &EnvironmentId,
        user: &UserId,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS grants FROM deploy_grant g WHERE g.organization_id = $1 AND g.environment_id = $2 AND (g.user_id = $3 OR \
             g.team_id IN (SELECT t.team_id FROM team_member t WHERE t.organization_id = $1 AND t.user_id = $3))",
        )
        .bind(self.organization.to_string())
        .bind(environment.to_string())
        .bind(user.to_string())
        .fetch_one(self.pool)
        .await?;
        Ok(row.value::<i64>("grants")? > 0)
    }
}

impl Change {
    /// Makes a team.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_team(&mut self, id: &TeamId, name: &str) -> Result<Team, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query("INSERT INTO team (id, organization_id, name, name_key, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(id.to_string())
            .bind(organization)
            .bind(name.to_owned())
            .bind(name_key(name))
            .bind(at)
            .execute(self.connection())
            .await?;
        Ok(Team {
            id: id.clone(),
            name: name.to_owned(),
        })
    }

    /// Deletes a team with its grants; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_team(&mut self, id: &TeamId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM team WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Makes a member of the organization a member of a team of it; whether there are both. Who is one already stays one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn add_to_team(&mut self, team: &TeamId, user: &UserId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let there = sqlx::query(
            "SELECT COUNT(*) AS pairs FROM team t JOIN member m ON m.organization_id = t.organization_id \
             WHERE t.organization_id = $1 AND t.id = $2 AND m.user_id = $3",
        )
        .bind(organization.clone())
        .bind(team.to_string())
        .bind(user.to_string())
        .fetch_one(self.connection())
        .await?;
        if there.value::<i64>("pairs")? == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO team_member (organization_id, team_id, user_id) VALUES ($1, $2, $3) ON CONFLICT (team_id, user_id) DO NOTHING",
        )
        .bind(organization)
        .bind(team.to_string())
        .bind(user.to_string())
        .execute(self.connection())
        .await?;
        Ok(true)
    }

    /// Takes a member out of a team; whether they were in it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn remove_from_team(
        &mut self,
        team: &TeamId,
        user: &UserId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "DELETE FROM team_member WHERE organization_id = $1 AND team_id = $2 AND user_id = $3",
        )
        .bind(organization)
        .bind(team.to_string())
        .bind(user.to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether a team has the right to deploy to some environment.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn team_has_grants(&mut self, team: &TeamId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "SELECT COUNT(*) AS grants FROM deploy_grant WHERE organization_id = $1 AND team_id = $2",
        )
        .bind(organization)
        .bind(team.to_string())
        .fetch_one(self.connection())
        .await?;
        Ok(row.value::<i64>("grants")? > 0)
    }

    /// Whether a member has it, by themselves or by way of a team.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn member_has_grants(&mut self, user: &UserId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "SELECT COUNT(*) AS grants FROM deploy_grant g WHERE g.organization_id = $1 AND (g.user_id = $2 OR \
             g.team_id IN (SELECT t.team_id FROM team_member t WHERE t.organization_id = $1 AND t.user_id = $2))",
        )
        .bind(organization)
        .bind(user.to_string())
        .fetch_one(self.connection())
        .await?;
        Ok(row.value::<i64>("grants")? > 0)
    }

    /// Gives a member or a team the right to deploy to one environment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if the environment or the grantee is none of this organization's.
    pub async fn insert_grant(&mut self, new: &Grant) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let (user, team) = match &new.grantee {
            Grantee::User(id) => (Some(id.to_string()), None),
            Grantee::Team(id) => (None, Some(id.to_string())),
        };
        let done = sqlx::query(
            "INSERT INTO deploy_grant (id, organization_id, environment_id, user_id, team_id, created_at) \
             SELECT $1, $2, e.id, $4, $5, $6 FROM environment e WHERE e.organization_id = $2 AND e.id = $3 \
             AND ($5 IS NULL OR EXISTS (SELECT 1 FROM team t WHERE t.organization_id = $2 AND t.id = $5))",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(new.environment.to_string())
        .bind(user)
        .bind(team)
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Referred)
        }
    }

    /// Takes a grant away; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_grant(
        &mut self,
        environment: &EnvironmentId,
        id: &GrantId,
    ) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM deploy_grant WHERE organization_id = $1 AND environment_id = $2 AND id = $3")
            .bind(organization)
            .bind(environment.to_string())
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
