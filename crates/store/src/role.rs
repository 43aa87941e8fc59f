//! Roles: named sets of permissions.

use bailiwick_model::{Permissions, ResourceId as _, RoleId};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, predefined, permissions, version FROM role WHERE organization_id = $1 ",
            $rest
        )
    };
}

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
    /// Counts its changes, from 1.
    pub version: i64,
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

impl Role {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            name: row.value("name")?,
            predefined: row.flag("predefined")?,
            permissions: row.json("permissions")?,
            version: row.value("version")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    id: &RoleId,
) -> Result<Option<Role>, StoreError> {
    let query = sqlx::query(select!("AND id = $2"));
    let row = query
        .bind(organization)
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Role::read).transpose()
}

fn list_of(permissions: Permissions) -> String {
    serde_json::to_string(&permissions).expect("a list of words")
}

impl Scope<'_> {
    /// One role.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn role(&self, id: &RoleId) -> Result<Option<Role>, StoreError> {
        find(self.pool, self.organization.to_string(), id).await
    }

    /// All roles, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn roles(&self) -> Result<Vec<Role>, StoreError> {
        let query = sqlx::query(select!("ORDER BY id"));
        let rows = query
            .bind(self.organization.to_string())
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(Role::read).collect()
    }
}

impl Change {
    /// One role, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn role(&mut self, id: &RoleId) -> Result<Option<Role>, StoreError> {
        let organization = self.organization().to_string();
        find(self.connection(), organization, id).await
    }

    /// Makes a role.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_role(&mut self, new: &NewRole<'_>) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO role (id, organization_id, name, name_key, predefined, permissions, version, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(new.name.to_owned())
        .bind(name_key(new.name))
        .bind(i64::from(new.predefined))
        .bind(list_of(new.permissions))
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Changes a role that is as it was read and is none of the predefined.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if it was changed since, [`StoreError::Taken`] if there is another one of this name.
    pub async fn update_role(
        &mut self,
        read: &Role,
        name: &str,
        permissions: Permissions,
    ) -> Result<Role, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "UPDATE role SET name = $4, name_key = $5, permissions = $6, version = version + 1 \
             WHERE organization_id = $1 AND id = $2 AND version = $3 AND predefined = 0",
        )
        .bind(organization)
        .bind(read.id.to_string())
        .bind(read.version)
        .bind(name.to_owned())
        .bind(name_key(name))
        .bind(list_of(permissions))
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Stale);
        }
        Ok(Role {
            name: name.to_owned(),
            permissions,
            version: read.version + 1,
            ..read.clone()
        })
    }

    /// Deletes a role that is none of the predefined.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if somebody has it, [`StoreError::Stale`] if it is not there as it was read.
    pub async fn delete_role(&mut self, read: &Role) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "DELETE FROM role WHERE organization_id = $1 AND id = $2 AND version = $3 AND predefined = 0",
        )
        .bind(organization)
        .bind(read.id.as_str().to_owned())
        .bind(read.version)
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }
}
