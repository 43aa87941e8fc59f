//! Organizations.

use bailiwick_model::OrganizationId;
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::audit::AuditHash;
use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;
use crate::store::{Scope, Store};

/// What holds in all environments of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationPolicies {
    /// See [`Organization::default_networking`].
    pub default_networking: Option<String>,
    /// See [`Organization::floor`].
    pub floor: String,
    /// See [`Organization::allow_body_injection`].
    pub allow_body_injection: bool,
}

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// What people call it.
    pub name: String,
    /// The policy of environments that have none of their own, as the wire writes networking.
    pub default_networking: Option<String>,
    /// Denied hosts and CIDRs that hold in every environment, as JSON.
    pub floor: String,
    /// Whether secrets may go into bodies of requests.
    pub allow_body_injection: bool,
    /// Counts its changes, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewOrganization<'a> {
    /// What people call it.
    pub name: &'a str,
    /// See [`Organization::floor`].
    pub floor: &'a str,
}

impl Organization {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            name: row.value("name")?,
            default_networking: row.value("default_networking")?,
            floor: row.value("floor")?,
            allow_body_injection: row.flag("allow_body_injection")?,
            version: row.value("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// A name as it is compared: without regard to case.
pub(crate) fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Store {
    /// The id of the oldest organization, if there is any.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn first_organization(&self) -> Result<Option<OrganizationId>, StoreError> {
        let row = sqlx::query("SELECT id FROM organization ORDER BY id LIMIT 1")
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| row.id("id")).transpose()
    }
}

impl Scope<'_> {
    /// The organization itself.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn organization(&self) -> Result<Option<Organization>, StoreError> {
        let row = sqlx::query(
            "SELECT id, name, default_networking, floor, allow_body_injection, version, created_at, updated_at FROM organization WHERE id = $1",
        )
        .bind(self.organization.to_string())
        .fetch_optional(self.pool)
        .await?;
        row.as_ref().map(Organization::read).transpose()
    }
}

impl Change {
    /// Makes the organization that this change is of.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_organization(
        &mut self,
        new: &NewOrganization<'_>,
    ) -> Result<(), StoreError> {
        let (id, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO organization (id, name, name_key, floor, audit_sequence, audit_hash, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, 0, $5, 1, $6, $6)",
        )
        .bind(id)
        .bind(new.name.trim().to_owned())
        .bind(name_key(new.name))
        .bind(new.floor.to_owned())
        .bind(AuditHash::default().to_vec())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Changes what holds in all environments.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if the organization is not at `version` any more.
    pub async fn set_policies(
        &mut self,
        version: i64,
        policies: &OrganizationPolicies,
    ) -> Result<(), StoreError> {
        let (id, at) = (self.organization().to_string(), self.micros());
        let done = sqlx::query(
            "UPDATE organization SET default_networking = $3, floor = $4, allow_body_injection = $5, version = version + 1, updated_at = $6 \
             WHERE id = $1 AND version = $2",
        )
        .bind(id)
        .bind(version)
        .bind(policies.default_networking.clone())
        .bind(policies.floor.clone())
        .bind(i64::from(policies.allow_body_injection))
        .bind(at)
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Stale)
        }
    }
}
