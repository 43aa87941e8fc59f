//! Users, members, roles and service accounts.

use bailiwick_model::{Permissions, ResourceId as _, RoleId, UserId};
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::row::Columns;
use crate::store::Scope;

/// A named set of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// What people call it.
    pub name: String,
    /// Whether it comes with every organization and stays as it is.
    pub predefined: bool,
    /// What it allows.
    pub permissions: Permissions,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewRole<'a> {
    /// Its id.
    pub id: RoleId,
    /// What people call it.
    pub name: &'a str,
    /// Whether it comes with every organization.
    pub predefined: bool,
    /// What it allows.
    pub permissions: Permissions,
}

/// A user to be made, and a member at once.
#[derive(Debug, Clone)]
pub struct NewMember<'a> {
    /// The user's id.
    pub user: UserId,
    /// Where they get mail, which is how they sign in.
    pub email: &'a str,
    /// What people call them.
    pub name: &'a str,
    /// What they may do.
    pub role: &'a RoleId,
}

impl Role {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            name: row.value("name")?,
            predefined: row.flag("predefined")?,
            permissions: row.json("permissions")?,
        })
    }
}

impl Scope<'_> {
    /// All roles, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn roles(&self) -> Result<Vec<Role>, StoreError> {
        let rows = sqlx::query("SELECT id, name, predefined, permissions FROM role WHERE organization_id = $1 ORDER BY id")
            .bind(self.organization.to_string())
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(Role::read).collect()
    }
}

impl Change {
    /// Makes a role.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_role(&mut self, new: &NewRole<'_>) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        let permissions = serde_json::to_string(&new.permissions).expect("a list of words");
        sqlx::query(
            "INSERT INTO role (id, organization_id, name, name_key, predefined, permissions, version, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(new.name.to_owned())
        .bind(name_key(new.name))
        .bind(i64::from(new.predefined))
        .bind(permissions)
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Makes a user and a member of them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is a user with this address.
    pub async fn insert_member(&mut self, new: &NewMember<'_>) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query("INSERT INTO user_account (id, email, email_key, name, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(new.user.as_str().to_owned())
            .bind(new.email.to_owned())
            .bind(name_key(new.email))
            .bind(new.name.to_owned())
            .bind(at)
            .execute(self.connection())
            .await?;
        sqlx::query("INSERT INTO member (organization_id, user_id, role_id, created_at) VALUES ($1, $2, $3, $4)")
            .bind(organization)
            .bind(new.user.to_string())
            .bind(new.role.to_string())
            .bind(at)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
