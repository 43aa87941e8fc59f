//! Signing in with a browser.

use std::net::IpAddr;
use std::time::Instant;

use bailiwick_model::{OrganizationId, Permissions, ResourceId as _, UserId};
use bailiwick_store::{Change, KnownSession};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::authentication::Credentials;
use crate::caller::{Actor, Caller, Proof};
use crate::control::Control;
use crate::error::ControlError;
use crate::password::Password;
use crate::{clock, fresh};

/// How long a session lasts.
const SESSION: SignedDuration = SignedDuration::from_hours(12);

/// Who signs in, and where.
#[derive(Debug)]
pub struct SignInRequest {
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: Password,
    /// Which organization, if several have an account for the address; else the oldest of these.
    pub organization: Option<OrganizationId>,
}

/// A session that began: the only time that its secrets are seen.
#[derive(Debug, Clone)]
pub struct BrowserSession {
    /// The cookie's value.
    pub cookie: String,
    /// What requests that change something must carry besides.
    pub csrf: String,
    /// From when on it is not taken.
    pub expires_at: Timestamp,
}

impl BrowserSession {
    /// How long it lasts from its beginning.
    pub fn lasts(&self) -> SignedDuration {
        SESSION
    }
}

impl Control {
    /// Begins a session of a browser.
    ///
    /// # Errors
    ///
    /// [`ControlError::Unauthenticated`], whatever of it was wrong; [`ControlError::TooManyFailures`] instead, without a look at the
    /// password, for an address or an account with too many wrong ones; [`ControlError::TooManyPasswords`].
    pub async fn sign_in(
        &self,
        request: SignInRequest,
        address: Option<IpAddr>,
    ) -> Result<BrowserSession, ControlError> {
        let attempt = self
            .password_attempts
            .begin(&request.email, address, Instant::now())
            .map_err(|retry_after| ControlError::TooManyFailures { retry_after })?;
        let organization = request.organization.as_ref();
        let found = self.store.sign_in(&request.email, organization).await?;
        let hash = found.as_ref().and_then(|found| found.password_hash.clone());
        match request.password.is(hash).await {
            Ok(true) => attempt.was_right(),
            Ok(false) => return Err(ControlError::Unauthenticated),
            Err(error) => {
                attempt.was_not_looked_at();
                return Err(error);
            }
        }
        let found = found.ok_or(ControlError::Unauthenticated)?;
        let change = self.store.change(&found.organization, clock::now()).await?;
        // Looking at a password takes its time. What ended its sessions meanwhile ends this one too.
        let now = self.store.sign_in(&request.email, organization).await?;
        if now.as_ref() != Some(&found) {
            return Err(ControlError::Unauthenticated);
        }
        Self::begin_session(change, found.user, address, None).await
    }

    /// Begins a session in a change of the user's organization, and commits it.
    pub(crate) async fn begin_session(
        mut change: Change,
        user: UserId,
        address: Option<IpAddr>,
        evidence: Option<&Value>,
    ) -> Result<BrowserSession, ControlError> {
        let (cookie, csrf) = (fresh::secret("bws_"), fresh::secret("bwc_"));
        let expires_at = change.at() + SESSION;
        change
            .insert_browser_session(&user, &cookie.hash, &csrf.hash, expires_at)
            .await?;
        let caller = Caller {
            organization: change.organization().clone(),
            actor: Actor::User(user.clone()),
            permissions: Permissions::NONE,
            key: None,
            expires_at: None,
            proof: Proof::Itself,
            address,
        };
        let event = caller.event("session.begin", ("member", user.as_str()), None, evidence);
        change.commit(&event).await?;
        Ok(BrowserSession {
            cookie: cookie.text,
            csrf: csrf.text,
            expires_at,
        })
    }

    /// Ends the session of a cookie.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn sign_out(&self, caller: &Caller, cookie: &str) -> Result<(), ControlError> {
        let Actor::User(user) = &caller.actor else {
            return Err(ControlError::Unauthenticated);
        };
        let mut change = self.change(caller, clock::now()).await?;
        change.delete_browser_session(&fresh::hash(cookie)).await?;
        Ok(change
            .commit(&caller.event("session.end", ("member", user.as_str()), None, None))
            .await?)
    }

    /// Who shows this cookie. `csrf` is what came besides, for requests that change something: a page of another site can make a browser send
    /// the cookie, and cannot know that.
    ///
    /// # Errors
    ///
    /// Those of [`Self::authenticate`].
    pub async fn authenticate_browser(
        &self,
        cookie: Credentials<'_>,
        csrf: Option<&str>,
        changes_something: bool,
    ) -> Result<Caller, ControlError> {
        let caller = self.browser(cookie, csrf, changes_something).await;
        self.counted(caller, cookie.address)
    }

    async fn browser(
        &self,
        cookie: Credentials<'_>,
        csrf: Option<&str>,
        changes_something: bool,
    ) -> Result<Caller, ControlError> {
        let hash = fresh::hash(cookie.key);
        let known = self.store.known_session(&hash, clock::now()).await?;
        let known: KnownSession = known.ok_or(ControlError::Unauthenticated)?;
        if changes_something && csrf.map(fresh::hash) != Some(known.csrf_hash) {
            return Err(ControlError::Unauthenticated);
        }
        Ok(Caller {
            organization: known.organization,
            actor: Actor::User(known.user),
            permissions: known.permissions,
            key: None,
            expires_at: None,
            proof: Proof::BrowserSession(hash),
            address: cookie.address,
        })
    }
}
