//! Who members are to identity providers.

use bailiwick_model::UserId;
use jiff::Timestamp;

use crate::change::Change;
use crate::error::StoreError;
use crate::row::Columns;

/// What is known of a subject of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownIdentity {
    /// It is this account's.
    Of(UserId),
    /// It was that of a member who was removed.
    Removed,
}

impl Change {
    /// Who a subject of an issuer is; `None` if nobody ever signed in with it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn identity(
        &mut self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<KnownIdentity>, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(
            "SELECT user_id FROM identity WHERE organization_id = $1 AND issuer = $2 AND subject = $3",
        )
        .bind(organization)
        .bind(issuer.to_owned())
        .bind(subject.to_owned())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| {
            let user = row.optional_id("user_id")?;
            Ok(user.map_or(KnownIdentity::Removed, KnownIdentity::Of))
        })
        .transpose()
    }

    /// Makes a subject of an issuer the identity of an account, also one that was a removed member's.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if the account has another subject of this issuer.
    pub async fn link_identity(
        &mut self,
        issuer: &str,
        subject: &str,
        user: &UserId,
    ) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO identity (organization_id, issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (organization_id, issuer, subject) DO UPDATE SET user_id = excluded.user_id",
        )
        .bind(organization)
        .bind(issuer.to_owned())
        .bind(subject.to_owned())
        .bind(user.to_string())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Remembers that somebody signed in with an attempt, and forgets those that have ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if somebody did before.
    pub async fn spend_sign_in(
        &mut self,
        hash: &[u8; 32],
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let at = self.micros();
        sqlx::query("DELETE FROM spent_sign_in WHERE expires_at <= $1")
            .bind(at)
            .execute(self.connection())
            .await?;
        sqlx::query("INSERT INTO spent_sign_in (hash, expires_at) VALUES ($1, $2)")
            .bind(hash.to_vec())
            .bind(expires_at.as_microsecond())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
