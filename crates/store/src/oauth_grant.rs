//! What people let programs do with MCP gateways. What is stored of codes and tokens are their hashes.

use bailiwick_model::{McpGatewayId, OauthGrantId, OrganizationId, Permissions, UserId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::{Scope, Store};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, user_id, gateway_id, resource, client_hash, client_name, redirect_uri, code_challenge, code_expires_at, code_used_at, \
             refresh_hash, refresh_expires_at, created_at, refreshed_at, expires_at FROM oauth_grant WHERE organization_id = $1 ",
            $rest
        )
    };
}

macro_rules! known {
    ($which:literal) => {
        concat!(
            "SELECT g.organization_id, g.user_id, g.gateway_id, g.family_hash, g.access_expires_at, r.permissions FROM oauth_grant g \
             JOIN member m ON m.organization_id = g.organization_id AND m.user_id = g.user_id \
             JOIN user_account u ON u.id = g.user_id AND u.disabled_at IS NULL \
             JOIN role r ON r.id = m.role_id WHERE g.expires_at > $2 AND ",
            $which
        )
    };
}

/// What one person let one program do with one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthGrant {
    /// Its id.
    pub id: OauthGrantId,
    /// Who let it.
    pub user: UserId,
    /// The gateway that its tokens open.
    pub gateway: McpGatewayId,
    /// The address of the gateway that the program named.
    pub resource: String,
    /// SHA-256 of the program's id.
    pub client_hash: [u8; 32],
    /// How the program calls itself.
    pub client_name: String,
    /// Where the person was sent back to.
    pub redirect_uri: String,
    /// What proves who may exchange the code.
    pub code_challenge: String,
    /// From when on the code is not taken.
    pub code_expires_at: Timestamp,
    /// When it was exchanged.
    pub code_used_at: Option<Timestamp>,
    /// SHA-256 of the refresh token that may be exchanged.
    pub refresh_hash: Option<[u8; 32]>,
    /// From when on it is not taken.
    pub refresh_expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its tokens were replaced for the last time.
    pub refreshed_at: Option<Timestamp>,
    /// From when on none of its tokens is taken.
    pub expires_at: Timestamp,
}

/// One to be made, with its code.
#[derive(Debug, Clone)]
pub struct NewOauthGrant<'a> {
    /// Its id.
    pub id: OauthGrantId,
    /// Who lets the program.
    pub user: &'a UserId,
    /// The gateway.
    pub gateway: &'a McpGatewayId,
    /// The address of the gateway that the program named.
    pub resource: &'a str,
    /// SHA-256 of the program's id.
    pub client_hash: [u8; 32],
    /// How the program calls itself.
    pub client_name: &'a str,
    /// Where the person is sent back to.
    pub redirect_uri: &'a str,
    /// SHA-256 of the code.
    pub code_hash: [u8; 32],
    /// What proves who may exchange it.
    pub code_challenge: &'a str,
    /// From when on the code is not taken.
    pub code_expires_at: Timestamp,
    /// From when on nothing of it is taken.
    pub expires_at: Timestamp,
}

/// What the tokens of a grant are from now on.
#[derive(Debug, Clone, Copy)]
pub struct OauthTokenHashes {
    /// SHA-256 of what all refresh tokens of the grant begin with.
    pub family: [u8; 32],
    /// SHA-256 of the refresh token.
    pub refresh: [u8; 32],
    /// From when on it is not taken.
    pub refresh_expires_at: Timestamp,
    /// SHA-256 of the access token.
    pub access: [u8; 32],
    /// From when on it is not taken.
    pub access_expires_at: Timestamp,
}

/// Which secret of a grant a hash is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OauthSecret {
    /// Its code.
    Code,
    /// What all its refresh tokens begin with.
    Family,
    /// Its access token.
    Access,
}

/// What the tokens of a grant stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownOauthGrant {
    /// Whose things it opens.
    pub organization: OrganizationId,
    /// Who let the program.
    pub user: UserId,
    /// What their role allows.
    pub permissions: Permissions,
    /// The one gateway that it opens.
    pub gateway: McpGatewayId,
    /// SHA-256 of what all its refresh tokens begin with: it stays, whatever tokens there are.
    pub family: [u8; 32],
    /// From when on the access token of now is not taken.
    pub expires_at: Timestamp,
}

/// Where a grant is.
pub type FoundGrant = (OrganizationId, OauthGrantId);

impl OauthSecret {
    fn found_by(self) -> &'static str {
        match self {
            Self::Code => "SELECT organization_id, id FROM oauth_grant WHERE code_hash = $1",
            Self::Family => "SELECT organization_id, id FROM oauth_grant WHERE family_hash = $1",
            Self::Access => "SELECT organization_id, id FROM oauth_grant WHERE access_hash = $1",
        }
    }
}

impl KnownOauthGrant {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            organization: row.id("organization_id")?,
            user: row.id("user_id")?,
            permissions: row.json("permissions")?,
            gateway: row.id("gateway_id")?,
            family: row.hash("family_hash")?,
            expires_at: row.time("access_expires_at")?,
        })
    }
}

impl OauthGrant {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let refresh: Option<Vec<u8>> = row.value("refresh_hash")?;
        let corrupt = |_| StoreError::Corrupt {
            column: "refresh_hash",
        };
        Ok(Self {
            id: row.id("id")?,
            user: row.id("user_id")?,
            gateway: row.id("gateway_id")?,
            resource: row.value("resource")?,
            client_hash: row.hash("client_hash")?,
            client_name: row.value("client_name")?,
            redirect_uri: row.value("redirect_uri")?,
            code_challenge: row.value("code_challenge")?,
            code_expires_at: row.time("code_expires_at")?,
            code_used_at: row.optional_time("code_used_at")?,
            refresh_hash: refresh
                .map(|hash| hash.try_into().map_err(corrupt))
                .transpose()?,
            refresh_expires_at: row.optional_time("refresh_expires_at")?,
            created_at: row.time("created_at")?,
            refreshed_at: row.optional_time("refreshed_at")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl Store {
    /// The grant that has this secret, taken still or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn oauth_grant_with(
        &self,
        secret: OauthSecret,
        hash: &[u8; 32],
    ) -> Result<Option<FoundGrant>, StoreError> {
        let row = sqlx::query(secret.found_by())
            .bind(hash.to_vec())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| Ok((row.id("organization_id")?, row.id("id")?)))
            .transpose()
    }

    /// Whether some grant is of the program whose id has this hash.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn has_oauth_client(&self, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 AS one FROM oauth_grant WHERE client_hash = $1 LIMIT 1")
            .bind(hash.to_vec())
            .fetch_optional(self.reader())
            .await?;
        Ok(row.is_some())
    }

    /// What an access token stands for, by its hash; `None` if there is none, its time is over, or who let the program is no member any more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn known_access_token(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<KnownOauthGrant>, StoreError> {
        let row = sqlx::query(known!("g.access_hash = $1 AND g.access_expires_at > $2"))
            .bind(hash.to_vec())
            .bind(now.as_microsecond())
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(KnownOauthGrant::read).transpose()
    }

    /// The same, of a grant whose tokens may have been replaced since, by the hash of its family.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn known_oauth_grant(
        &self,
        family: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<KnownOauthGrant>, StoreError> {
        let row = sqlx::query(known!("g.family_hash = $1 AND g.refresh_expires_at > $2"))
            .bind(family.to_vec())
            .bind(now.as_microsecond())
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(KnownOauthGrant::read).transpose()
    }
}

impl Scope<'_> {
    /// The grants that have tokens which are taken, the newest first; those of one person, if one is named.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn oauth_grants(
        &self,
        user: Option<&UserId>,
        now: Timestamp,
        page: &PageRequest<OauthGrantId>,
    ) -> Result<Page<OauthGrant, OauthGrantId>, StoreError> {
        let rows = sqlx::query(select!(
            "AND ($2 = '' OR user_id = $2) AND id < $3 AND expires_at > $4 AND refresh_expires_at > $4 ORDER BY id DESC LIMIT $5"
        ))
        .bind(self.organization.to_string())
        .bind(user.map(ToString::to_string).unwrap_or_default())
        .bind(page.bound())
        .bind(now.as_microsecond())
        .bind(page.rows())
        .fetch_all(self.pool)
        .await?;
        let items = rows.iter().map(OauthGrant::read);
        let items = items.collect::<Result<_, StoreError>>()?;
        Ok(Page::of(items, page, |grant: &OauthGrant| grant.id.clone()))
    }
}

impl Change {
    /// A grant.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn oauth_grant(
        &mut self,
        id: &OauthGrantId,
    ) -> Result<Option<OauthGrant>, StoreError> {
        let organization = self.organization().to_string();
        let row = sqlx::query(select!("AND id = $2"))
            .bind(organization)
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(OauthGrant::read).transpose()
    }

    /// Makes a grant, and forgets those of the organization that are over, and the oldest of the person's above so many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if there is no such gateway.
    pub async fn insert_oauth_grant(
        &mut self,
        new: NewOauthGrant<'_>,
        most: u32,
    ) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "DELETE FROM oauth_grant WHERE organization_id = $1 AND (expires_at <= $2 OR refresh_expires_at <= $2 \
             OR (family_hash IS NULL AND code_expires_at <= $2))",
        )
        .bind(organization.clone())
        .bind(at)
        .execute(self.connection())
        .await?;
        sqlx::query(
            "DELETE FROM oauth_grant WHERE organization_id = $1 AND user_id = $2 AND id NOT IN (SELECT id FROM oauth_grant \
             WHERE organization_id = $1 AND user_id = $2 ORDER BY id DESC LIMIT $3)",
        )
        .bind(organization.clone())
        .bind(new.user.to_string())
        .bind(i64::from(most) - 1)
        .execute(self.connection())
        .await?;
        sqlx::query(
            "INSERT INTO oauth_grant (id, organization_id, user_id, gateway_id, resource, client_hash, client_name, redirect_uri, code_hash, \
             code_challenge, code_expires_at, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(new.user.to_string())
        .bind(new.gateway.to_string())
        .bind(new.resource.to_owned())
        .bind(new.client_hash.to_vec())
        .bind(new.client_name.to_owned())
        .bind(new.redirect_uri.to_owned())
        .bind(new.code_hash.to_vec())
        .bind(new.code_challenge.to_owned())
        .bind(new.code_expires_at.as_microsecond())
        .bind(at)
        .bind(new.expires_at.as_microsecond())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Gives a grant its tokens, in place of those that it had. Its code is spent.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn replace_oauth_tokens(
        &mut self,
        id: &OauthGrantId,
        tokens: OauthTokenHashes,
    ) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "UPDATE oauth_grant SET family_hash = $3, refresh_hash = $4, refresh_expires_at = $5, access_hash = $6, access_expires_at = $7, \
             refreshed_at = $8, code_used_at = COALESCE(code_used_at, $8) WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization)
        .bind(id.to_string())
        .bind(tokens.family.to_vec())
        .bind(tokens.refresh.to_vec())
        .bind(tokens.refresh_expires_at.as_microsecond())
        .bind(tokens.access.to_vec())
        .bind(tokens.access_expires_at.as_microsecond())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Ends a grant with all its tokens; whether there was one.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_oauth_grant(&mut self, id: &OauthGrantId) -> Result<bool, StoreError> {
        let organization = self.organization().to_string();
        let done = sqlx::query("DELETE FROM oauth_grant WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
