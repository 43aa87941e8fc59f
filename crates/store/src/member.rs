//! Members: users who belong to an organization.

use bailiwick_model::{OrganizationId, Permissions, RoleId, UserId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::organization::name_key;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::{Scope, Store};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.email, u.name, u.password_hash, u.disabled_at, m.role_id, m.created_at, r.permissions FROM member m \
             JOIN user_account u ON u.id = m.user_id JOIN role r ON r.id = m.role_id WHERE m.organization_id = $1 ",
            $rest
        )
    };
}

/// A user in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user's id.
    pub user: UserId,
    /// How they sign in.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// Whether they can sign in with a password.
    pub has_password: bool,
    /// What they may do, by name.
    pub role: RoleId,
    /// What they may do.
    pub permissions: Permissions,
    /// Since when they are a member.
    pub created_at: Timestamp,
    /// Since when they cannot do anything.
    pub disabled_at: Option<Timestamp>,
}

/// A user to be made, and a member at once.
#[derive(Debug, Clone)]
pub struct NewMember<'a> {
    /// The user's id.
    pub user: UserId,
    /// How they sign in.
    pub email: &'a str,
    /// What people call them.
    pub name: &'a str,
    /// Their password's hash, as a PHC string.
    pub password_hash: Option<&'a str>,
    /// What they may do.
    pub role: &'a RoleId,
}

/// Somebody who would sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Who.
    pub user: UserId,
    /// Their password's hash, as a PHC string.
    pub password_hash: Option<String>,
    /// The organization that the account belongs to.
    pub organization: OrganizationId,
}

impl Member {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            user: row.id("id")?,
            email: row.value("email")?,
            name: row.value("name")?,
            has_password: row.value::<Option<String>>("password_hash")?.is_some(),
            role: row.id("role_id")?,
            permissions: row.json("permissions")?,
            created_at: row.time("created_at")?,
            disabled_at: row.optional_time("disabled_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    user: &UserId,
) -> Result<Option<Member>, StoreError> {
    let query = sqlx::query(select!("AND m.user_id = $2"));
    let row = query
        .bind(organization)
        .bind(user.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Member::read).transpose()
}

impl Store {
    /// Who signs in with this address: in this organization, else in the oldest that has an account for it. `None` if there is nobody who may.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn sign_in(
        &self,
        email: &str,
        organization: Option<&OrganizationId>,
    ) -> Result<Option<SignIn>, StoreError> {
        let row = sqlx::query(
            "SELECT u.id, u.password_hash, m.organization_id FROM user_account u \
             JOIN member m ON m.user_id = u.id AND m.organization_id = u.organization_id \
             WHERE u.address_key = $1 AND u.disabled_at IS NULL AND ($2 = '' OR u.organization_id = $2) \
             ORDER BY m.organization_id LIMIT 1",
        )
        .bind(name_key(email))
        .bind(organization.map(ToString::to_string).unwrap_or_default())
        .fetch_optional(self.reader())
        .await?;
        let read = |row: AnyRow| {
            Ok(SignIn {
                user: row.id("id")?,
                password_hash: row.value("password_hash")?,
                organization: row.id("organization_id")?,
            })
        };
        row.map(read).transpose()
    }
}

impl Scope<'_> {
    /// One member.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn member(&self, user: &UserId) -> Result<Option<Member>, StoreError> {
        find(self.pool, self.organization.to_string(), user).await
    }

    /// Members, the newest user first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn members(
        &self,
        page: &PageRequest<UserId>,
    ) -> Result<Page<Member, UserId>, StoreError> {
        let rows = sqlx::query(select!(
            "AND m.user_id < $2 ORDER BY m.user_id DESC LIMIT $3"
        ))
        .bind(self.organization.to_string())
        .bind(page.bound())
        .bind(page.rows())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(Member::read).collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |member: &Member| member.user.clone()))
    }
}

impl Change {
    /// One member, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn member(&mut self, user: &UserId) -> Result<Option<Member>, StoreError> {
        let organization = self.organization().to_string();
        find(self.connection(), organization, user).await
    }

    /// The member with this address, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn member_by_email(&mut self, email: &str) -> Result<Option<Member>, StoreError> {
        let organization = self.organization().to_string();
        let query = sqlx::query(select!("AND u.organization_id = $1 AND u.address_key = $2"));
        let row = query
            .bind(organization)
            .bind(name_key(email))
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(Member::read).transpose()
    }

    /// How many members who can act have this role.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn members_with_role(&mut self, role: &RoleId) -> Result<i64, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "SELECT COUNT(*) AS members FROM member m JOIN user_account u ON u.id = m.user_id \
             WHERE m.organization_id = $1 AND m.role_id = $2 AND u.disabled_at IS NULL",
        )
        .bind(organization)
        .bind(role.to_string())
        .fetch_one(self.connection())
        .await?;
        row.value("members")
    }

    /// Makes an account of this organization and a member of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if a member has this address.
    pub async fn insert_member(&mut self, new: &NewMember<'_>) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO user_account (id, email, email_key, organization_id, address_key, name, password_hash, created_at) \
             VALUES ($1, $2, $1, $3, $4, $5, $6, $7)",
        )
        .bind(new.user.to_string())
        .bind(new.email.to_owned())
        .bind(organization.clone())
        .bind(name_key(new.email))
        .bind(new.name.to_owned())
        .bind(new.password_hash.map(str::to_owned))
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

    /// Gives a member another role; whether there is such a member.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn set_role(&mut self, user: &UserId, role: &RoleId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "UPDATE member SET role_id = $3 WHERE organization_id = $1 AND user_id = $2",
        )
        .bind(organization)
        .bind(user.to_string())
        .bind(role.to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Changes the password of a member, and ends the sessions that began with the one before; whether there is such a member.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn set_password(&mut self, user: &UserId, hash: &str) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query(
            "UPDATE user_account SET password_hash = $3 WHERE id = $2 AND organization_id = $1 \
             AND EXISTS (SELECT 1 FROM member WHERE organization_id = $1 AND user_id = $2)",
        )
        .bind(organization.clone())
        .bind(user.to_string())
        .bind(hash.to_owned())
        .execute(self.connection())
        .await?;
        sqlx::query("DELETE FROM browser_session WHERE organization_id = $1 AND user_id = $2")
            .bind(organization)
            .bind(user.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes a member, with their teams, grants, sessions and what they let programs do; their keys are not taken any more, their password and who they are to
    /// identity providers open nothing, and their address may be somebody else's. Whether there was such a member.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_member(&mut self, user: &UserId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM member WHERE organization_id = $1 AND user_id = $2")
            .bind(organization.clone())
            .bind(user.to_string())
            .execute(self.connection())
            .await?;
        for statement in [
            "DELETE FROM oauth_grant WHERE organization_id = $1 AND user_id = $2",
            "DELETE FROM mcp_connection WHERE organization_id = $1 AND user_id = $2",
            "UPDATE identity SET user_id = NULL WHERE organization_id = $1 AND user_id = $2",
            "UPDATE user_account SET email_key = id, address_key = NULL, password_hash = NULL WHERE organization_id = $1 AND id = $2",
        ] {
            sqlx::query(statement)
                .bind(organization.clone())
                .bind(user.to_string())
                .execute(self.connection())
                .await?;
        }
        Ok(done.rows_affected() == 1)
    }
}
