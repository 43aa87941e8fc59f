//! Tokens: how a code becomes some, how they are replaced and revoked, and what one opens.
//!
//! A refresh token begins with what all of its family begin with. One of the family that is not the newest was used before, by its owner or by a
//! thief: which of them holds the newest nobody knows, so the grant ends (RFC 9700, section 4.14.2).

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::limits::{OAUTH_ACCESS_TOKEN_LIFE, OAUTH_REFRESH_TOKEN_LIFE};
use bailiwick_model::{McpGatewayId, OrganizationId, Permission, Permissions, ResourceId as _};
use bailiwick_store::{Change, FoundGrant, OauthGrant, OauthSecret, OauthTokenHashes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::agreeing::after;
use crate::authentication::Credentials;
use crate::caller::{Actor, Caller, Proof};
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

/// What the audit log calls a grant.
pub(super) const RESOURCE: &str = "oauth_grant";
const ACCESS_PREFIX: &str = "bwo_";
const REFRESH_PREFIX: &str = "bwor_";
/// The longest code or token that is looked at.
const TOKEN_BYTES: usize = 256;

/// A code to be exchanged (RFC 6749, section 4.1.3).
#[derive(Debug, Clone, Copy)]
pub struct Redemption<'a> {
    /// The code.
    pub code: &'a str,
    /// Which program asks.
    pub client_id: &'a str,
    /// Where the person was sent back to; OAuth 2.1 lets it be left out.
    pub redirect_uri: Option<&'a str>,
    /// What the challenge was made of (RFC 7636).
    pub code_verifier: &'a str,
    /// The address of the gateway, if it is said again (RFC 8707).
    pub resource: Option<&'a str>,
    /// Where the program is.
    pub address: Option<IpAddr>,
}

/// A refresh token to be exchanged (RFC 6749, section 6).
#[derive(Debug, Clone, Copy)]
pub struct Refreshment<'a> {
    /// The token.
    pub refresh_token: &'a str,
    /// Which program asks.
    pub client_id: &'a str,
    /// The address of the gateway, if it is said again.
    pub resource: Option<&'a str>,
    /// Where the program is.
    pub address: Option<IpAddr>,
}

/// Tokens: the only time that they are seen.
#[derive(Clone)]
pub struct IssuedTokens {
    /// What requests carry.
    pub access_token: String,
    /// For how many seconds it is taken.
    pub expires_in: u64,
    /// What is exchanged for others.
    pub refresh_token: String,
}

/// Why there are no tokens (RFC 6749, section 5.2).
#[derive(Debug, thiserror::Error)]
pub enum OauthTokenError {
    /// What was shown is not taken, or is another program's: which of these, nobody is told.
    #[error("what was shown is not valid, was used before, or is another client's")]
    InvalidGrant,
    /// It is for another gateway.
    #[error("what was shown is for another resource")]
    InvalidTarget,
    /// Something else failed.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Who shows an access token, and the one gateway that it opens for them.
#[derive(Debug, Clone)]
pub struct GatewayToken {
    /// The person, with the permissions that they have now.
    pub caller: Caller,
    /// The gateway. Any other is as if there were no token.
    pub gateway: McpGatewayId,
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("IssuedTokens");
        shown
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

impl Control {
    /// Exchanges a code for tokens, once. The grant of a code that comes twice ends.
    ///
    /// # Errors
    ///
    /// See [`OauthTokenError`]; [`ControlError::TooManyFailures`] for an address that showed too much that is not valid.
    pub async fn redeem_oauth_code(
        &self,
        redemption: Redemption<'_>,
    ) -> Result<IssuedTokens, OauthTokenError> {
        let redeemed = self.redeem(redemption).await;
        self.counted_grant(redeemed, redemption.address)
    }

    async fn redeem(&self, redemption: Redemption<'_>) -> Result<IssuedTokens, OauthTokenError> {
        let found = self.find(OauthSecret::Code, redemption.code).await?;
        let (mut change, grant) = self.locked(found).await?;
        if grant.client_hash != fresh::hash(redemption.client_id) {
            return Err(OauthTokenError::InvalidGrant);
        }
        if grant.code_used_at.is_some() {
            return self.end_stolen(change, &grant, redemption.address).await;
        }
        let challenge =
            URL_SAFE_NO_PAD.encode(digest(&SHA256, redemption.code_verifier.as_bytes()).as_ref());
        let is_right = is_verifier(redemption.code_verifier)
            && is_same(challenge.as_bytes(), grant.code_challenge.as_bytes())
            && grant.code_expires_at > change.at()
            && redemption
                .redirect_uri
                .is_none_or(|uri| uri == grant.redirect_uri);
        if !is_right {
            return Err(OauthTokenError::InvalidGrant);
        }
        let family = fresh::secret(REFRESH_PREFIX).text;
        may_still(&mut change, &grant).await?;
        self.issue(
            change,
            &grant,
            (&family, redemption.resource),
            redemption.address,
        )
        .await
    }

    /// Exchanges a refresh token for others, once. The grant of one that comes twice ends.
    ///
    /// # Errors
    ///
    /// As those of [`Self::redeem_oauth_code`].
    pub async fn refresh_oauth_token(
        &self,
        refreshment: Refreshment<'_>,
    ) -> Result<IssuedTokens, OauthTokenError> {
        let refreshed = self.replace(refreshment).await;
        self.counted_grant(refreshed, refreshment.address)
    }

    async fn replace(&self, refreshment: Refreshment<'_>) -> Result<IssuedTokens, OauthTokenError> {
        let family = family(refreshment.refresh_token).ok_or(OauthTokenError::InvalidGrant)?;
        let found = self.find(OauthSecret::Family, family).await?;
        let (mut change, grant) = self.locked(found).await?;
        if grant.client_hash != fresh::hash(refreshment.client_id) {
            return Err(OauthTokenError::InvalidGrant);
        }
        let shown = fresh::hash(refreshment.refresh_token);
        let is_newest = |newest: [u8; 32]| is_same(&newest, &shown);
        if !grant.refresh_hash.is_some_and(is_newest) {
            return self.end_stolen(change, &grant, refreshment.address).await;
        }
        let at = change.at();
        let is_in_time = |end: Timestamp| end > at;
        if !is_in_time(grant.expires_at) || !grant.refresh_expires_at.is_some_and(is_in_time) {
            return Err(OauthTokenError::InvalidGrant);
        }
        may_still(&mut change, &grant).await?;
        self.issue(
            change,
            &grant,
            (family, refreshment.resource),
            refreshment.address,
        )
        .await
    }

    /// Ends the grant of a token, if there is one, for the program that shows it (RFC 7009). Whether there was one is not told.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn revoke_oauth_token(
        &self,
        token: &str,
        client_id: &str,
        address: Option<IpAddr>,
    ) -> Result<(), ControlError> {
        let (secret, text) = match family(token) {
            Some(family) => (OauthSecret::Family, family),
            None => (OauthSecret::Access, token),
        };
        let found = match self.find(secret, text).await {
            Ok(found) => found,
            Err(OauthTokenError::Control(error)) => return Err(error),
            Err(OauthTokenError::InvalidGrant | OauthTokenError::InvalidTarget) => return Ok(()),
        };
        let mut change = self.store.change(&found.0, clock::now()).await?;
        let Some(grant) = change.oauth_grant(&found.1).await? else {
            return Ok(());
        };
        if fresh::hash(client_id) != grant.client_hash {
            return Ok(());
        }
        change.delete_oauth_grant(&grant.id).await?;
        let caller = on_behalf(found.0, &grant, address);
        let about = (RESOURCE, grant.id.as_str());
        let event = caller.event("oauth_grant.revoke", about, None, None);
        change.commit(&event).await?;
        self.gateways_changed();
        Ok(())
    }

    /// Who shows an access token, and which gateway it opens.
    ///
    /// # Errors
    ///
    /// [`ControlError::Unauthenticated`] for one that is none, or whose person is gone, [`ControlError::TooManyFailures`] instead of it for an
    /// address that showed too many such; [`ControlError::Forbidden`] if the person may open no gateways any more.
    pub async fn access_token(
        &self,
        credentials: Credentials<'_>,
    ) -> Result<GatewayToken, ControlError> {
        let known = self.known_token(credentials).await;
        let token = self.counted(known, credentials.address)?;
        token.caller.require(Permission::McpGatewayUse)?;
        Ok(token)
    }

    /// Whether a text has the form of an access token, so that it is one or nothing.
    pub fn is_access_token(text: &str) -> bool {
        text.starts_with(ACCESS_PREFIX)
    }

    async fn known_token(&self, shown: Credentials<'_>) -> Result<GatewayToken, ControlError> {
        if !Self::is_access_token(shown.key) || shown.key.len() > TOKEN_BYTES {
            return Err(ControlError::Unauthenticated);
        }
        let hash = fresh::hash(shown.key);
        let known = self.store.known_access_token(&hash, clock::now()).await?;
        let known = known.ok_or(ControlError::Unauthenticated)?;
        Ok(GatewayToken {
            caller: Caller {
                organization: known.organization,
                actor: Actor::User(known.user),
                permissions: known.permissions,
                key: None,
                expires_at: Some(known.expires_at),
                proof: Proof::OauthGrant(known.family),
                address: shown.address,
            },
            gateway: known.gateway,
        })
    }

    /// What showed nothing valid is counted, as a key would be that is none.
    fn counted_grant(
        &self,
        issued: Result<IssuedTokens, OauthTokenError>,
        address: Option<IpAddr>,
    ) -> Result<IssuedTokens, OauthTokenError> {
        if matches!(issued, Err(OauthTokenError::InvalidGrant))
            && let Err(ControlError::TooManyFailures { retry_after }) =
                self.counted::<()>(Err(ControlError::Unauthenticated), address)
        {
            return Err(ControlError::TooManyFailures { retry_after }.into());
        }
        issued
    }

    async fn find(&self, secret: OauthSecret, text: &str) -> Result<FoundGrant, OauthTokenError> {
        if text.is_empty() || text.len() > TOKEN_BYTES {
            return Err(OauthTokenError::InvalidGrant);
        }
        let found = self
            .store
            .oauth_grant_with(secret, &fresh::hash(text))
            .await;
        let found = found.map_err(ControlError::from)?;
        found.ok_or(OauthTokenError::InvalidGrant)
    }

    /// The grant, in a change of its organization: nobody else exchanges anything of it meanwhile.
    async fn locked(&self, found: FoundGrant) -> Result<(Change, OauthGrant), OauthTokenError> {
        let change = self.store.change(&found.0, clock::now()).await;
        let mut change = change.map_err(ControlError::from)?;
        let grant = change.oauth_grant(&found.1).await;
        let grant = grant.map_err(ControlError::from)?;
        let grant = grant.ok_or(OauthTokenError::InvalidGrant)?;
        Ok((change, grant))
    }

    async fn end_stolen(
        &self,
        mut change: Change,
        grant: &OauthGrant,
        address: Option<IpAddr>,
    ) -> Result<IssuedTokens, OauthTokenError> {
        let ended = change.delete_oauth_grant(&grant.id).await;
        ended.map_err(ControlError::from)?;
        let caller = on_behalf(change.organization().clone(), grant, address);
        let about = (RESOURCE, grant.id.as_str());
        let event = caller.event("oauth_grant.reuse", about, None, None);
        change.commit(&event).await.map_err(ControlError::from)?;
        self.gateways_changed();
        Err(OauthTokenError::InvalidGrant)
    }

    async fn issue(
        &self,
        mut change: Change,
        grant: &OauthGrant,
        (family, resource): (&str, Option<&str>),
        address: Option<IpAddr>,
    ) -> Result<IssuedTokens, OauthTokenError> {
        if resource.is_some_and(|resource| resource != grant.resource) {
            return Err(OauthTokenError::InvalidTarget);
        }
        let access = fresh::secret(ACCESS_PREFIX);
        let refresh = fresh::secret(&format!("{family}."));
        let at = change.at();
        let hashes = OauthTokenHashes {
            family: fresh::hash(family),
            refresh: refresh.hash,
            refresh_expires_at: after(at, OAUTH_REFRESH_TOKEN_LIFE),
            access: access.hash,
            access_expires_at: after(at, OAUTH_ACCESS_TOKEN_LIFE),
        };
        let replaced = change.replace_oauth_tokens(&grant.id, hashes).await;
        replaced.map_err(ControlError::from)?;
        let caller = on_behalf(change.organization().clone(), grant, address);
        let about = (RESOURCE, grant.id.as_str());
        let event = caller.event("oauth_grant.issue", about, None, None);
        change.commit(&event).await.map_err(ControlError::from)?;
        Ok(IssuedTokens {
            access_token: access.text,
            expires_in: OAUTH_ACCESS_TOKEN_LIFE.as_secs(),
            refresh_token: refresh.text,
        })
    }
}

/// Goes on if who let the program is a member still, and may open gateways: no tokens are made that nobody takes.
async fn may_still(change: &mut Change, grant: &OauthGrant) -> Result<(), OauthTokenError> {
    let member = change.member(&grant.user).await;
    let member = member.map_err(ControlError::from)?;
    let is_able = member.is_some_and(|member| {
        member.disabled_at.is_none() && member.permissions.allow(Permission::McpGatewayUse)
    });
    is_able.then_some(()).ok_or(OauthTokenError::InvalidGrant)
}

/// The person whose grant it is, for the audit log: what is shown proves it.
fn on_behalf(organization: OrganizationId, grant: &OauthGrant, address: Option<IpAddr>) -> Caller {
    Caller {
        organization,
        actor: Actor::User(grant.user.clone()),
        permissions: Permissions::NONE,
        key: None,
        expires_at: None,
        proof: Proof::Itself,
        address,
    }
}

/// What all refresh tokens of a family begin with.
fn family(token: &str) -> Option<&str> {
    let (family, _) = token.split_once('.')?;
    (token.len() <= TOKEN_BYTES && family.starts_with(REFRESH_PREFIX)).then_some(family)
}

/// RFC 7636, section 4.1.
fn is_verifier(text: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved)
}

/// Whether two texts are the same, in a time that does not say where they differ.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}
