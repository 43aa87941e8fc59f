//! Signing in at an identity provider.
//!
//! What an attempt must remember goes with the browser, sealed: so nobody fills the database who has not signed in, and only the browser
//! that began can finish. That it finishes once is in the database.

use std::net::IpAddr;

use bailiwick_model::limits::{NAME_CHARS, RETURN_PATH_BYTES, SIGN_IN_ATTEMPT};
use bailiwick_model::{OrganizationId, ResourceId as _, RoleId, UserId};
use bailiwick_oidc::{Answer, Attempt, Identity, NotRedeemed};
use bailiwick_store::{Change, KnownIdentity, Member, NewMember, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::identity_providers::{IdentityProvider, verified_email};
use crate::names::{email, problem};
use crate::sealing::Sealed;
use crate::sign_in_refusal::SignInRefusal;
use crate::sign_ins::BrowserSession;
use crate::{clock, fresh};

/// What the place of a sealed attempt begins with.
const PLACE: &str = "attempt to sign in";
/// Bytes of a cookie that is looked at: browsers keep no larger ones.
const COOKIE_BYTES: usize = 8192;

/// An attempt that began.
#[derive(Debug)]
pub struct BegunSignIn {
    /// Where the browser goes.
    pub location: String,
    /// What it must bring back.
    pub cookie: String,
}

/// One that ended well.
#[derive(Debug)]
pub struct FinishedSignIn {
    /// The session that began.
    pub session: BrowserSession,
    /// The path on this server where the browser was before.
    pub return_to: String,
}

/// What the browser keeps, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    attempt: Attempt,
    issuer: String,
    return_to: String,
    expires_at: Timestamp,
}

impl Control {
    /// Begins to sign in at a provider. `return_to` is a path of this server.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] for the provider, [`ControlError::Invalid`] for the path, [`ControlError::IdentityProvider`].
    pub async fn begin_identity_sign_in(
        &self,
        provider: &str,
        return_to: Option<&str>,
    ) -> Result<BegunSignIn, ControlError> {
        let provider = self.identity_provider(provider)?;
        let return_to = own_path(return_to.unwrap_or("/"))?;
        let attempt = Attempt::begin();
        let location = provider
            .provider
            .authorization_url(&attempt, &self.redirect_uri(provider))
            .await?;
        let kept = Kept {
            attempt,
            issuer: provider.provider.issuer().to_owned(),
            return_to,
            expires_at: clock::now() + attempt_lasts(),
        };
        Ok(BegunSignIn {
            location: location.into(),
            cookie: self.keep(provider, &kept),
        })
    }

    /// Finishes: `answer` is what the provider had the browser bring, `cookie` what it kept.
    ///
    /// # Errors
    ///
    /// [`ControlError::SignInRefused`], [`ControlError::TooManyFailures`] instead of it for an address with too many that prove nothing,
    /// [`ControlError::NotFound`] for the provider, [`ControlError::IdentityProvider`].
    pub async fn finish_identity_sign_in(
        &self,
        provider: &str,
        answer: &Answer<'_>,
        cookie: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<FinishedSignIn, ControlError> {
        let provider = self.identity_provider(provider)?;
        let finished = self.finish(provider, answer, cookie, address).await;
        self.counted(finished, address)
    }

    async fn finish(
        &self,
        provider: &IdentityProvider,
        answer: &Answer<'_>,
        cookie: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<FinishedSignIn, ControlError> {
        let now = clock::now();
        let kept = cookie.and_then(|cookie| self.kept(provider, cookie));
        let kept = kept
            .filter(|kept| kept.expires_at > now && kept.issuer == provider.provider.issuer())
            .filter(|kept| kept.attempt.is_answered_by(answer))
            .ok_or(SignInRefusal::NotBegunHere)?;
        let redirect_uri = self.redirect_uri(provider);
        let redeeming = provider
            .provider
            .redeem(answer, &kept.attempt, &redirect_uri, now);
        let identity = redeeming.await.map_err(not_redeemed)?;
        provider.rules.check(&identity)?;
        let organization = match &provider.rules.organization {
            Some(organization) => organization.clone(),
            None => {
                let first = self.store.first_organization().await?;
                first.ok_or(ControlError::NotFound("organization"))?
            }
        };
        let role = self.role_of_new_members(provider, &organization).await?;
        let mut change = self.store.change(&organization, now).await?;
        let state = fresh::hash(kept.attempt.state());
        let spent = change.spend_sign_in(&state, kept.expires_at).await;
        spent.map_err(or_taken(SignInRefusal::Spent))?;
        let newcomer = Newcomer {
            identity: &identity,
            role: role.as_ref(),
            admits: provider.rules.new_members.is_some(),
        };
        let user = newcomer.account(&mut change).await?;
        let evidence = json!({"identity_provider": provider.name, "subject": identity.subject});
        let session = Self::begin_session(change, user, address, Some(&evidence)).await?;
        Ok(FinishedSignIn {
            session,
            return_to: kept.return_to,
        })
    }

    async fn role_of_new_members(
        &self,
        provider: &IdentityProvider,
        organization: &OrganizationId,
    ) -> Result<Option<RoleId>, ControlError> {
        let Some(name) = &provider.rules.new_members else {
            return Ok(None);
        };
        let roles = self.store.scope(organization).roles().await?;
        let role = roles.into_iter().find(|role| role.name == *name);
        Ok(role.map(|role| role.id))
    }

    fn keep(&self, provider: &IdentityProvider, kept: &Kept) -> String {
        let text = serde_json::to_vec(kept).expect("texts and a moment are JSON");
        let sealed = self.sealing.seal(&[PLACE, &provider.name], &text);
        format!("{}.{}", sealed.key, URL_SAFE_NO_PAD.encode(sealed.bytes))
    }

    /// What was kept, if it is whole and of this provider.
    fn kept(&self, provider: &IdentityProvider, cookie: &str) -> Option<Kept> {
        let (key, bytes) = cookie
            .split_once('.')
            .filter(|_| cookie.len() <= COOKIE_BYTES)?;
        let sealed = Sealed {
            key: key.to_owned(),
            bytes: URL_SAFE_NO_PAD.decode(bytes).ok()?,
        };
        let opened = self.sealing.unseal(&[PLACE, &provider.name], &sealed);
        serde_json::from_slice(&opened.ok()?).ok()
    }
}

/// Somebody who proved who they are at a provider whose rules let them in.
struct Newcomer<'a> {
    identity: &'a Identity,
    /// What they are if they are not a member yet.
    role: Option<&'a RoleId>,
    /// Whether they become one.
    admits: bool,
}

impl Newcomer<'_> {
    /// Whose account is theirs: that of their identity, else, once, that of the member with their verified address, else a new one.
    async fn account(&self, change: &mut Change) -> Result<UserId, ControlError> {
        let Identity {
            issuer, subject, ..
        } = self.identity;
        let known = change.identity(issuer, subject).await?;
        if let Some(KnownIdentity::Of(user)) = &known {
            let member = change.member(user).await?;
            let member = member.ok_or(SignInRefusal::Removed)?;
            return Ok(able(member)?.user);
        }
        let address = verified_email(self.identity).ok_or(SignInRefusal::NoVerifiedEmail)?;
        let address = email(address)?;
        let user = match change.member_by_email(&address).await? {
            Some(member) => able(member)?.user,
            None if known == Some(KnownIdentity::Removed) => {
                return Err(SignInRefusal::Removed.into());
            }
            None if !self.admits => return Err(SignInRefusal::NotAMember.into()),
            None => self.join(change, &address).await?,
        };
        let linked = change.link_identity(issuer, subject, &user).await;
        linked.map_err(or_taken(SignInRefusal::SomebodyElse))?;
        let system = Caller::system(change.organization().clone());
        let after = json!({"issuer": issuer, "subject": subject});
        let event = system.event("member.link", ("member", user.as_str()), None, Some(&after));
        change.enter(&event).await?;
        Ok(user)
    }

    /// Makes a member of them, without a password.
    async fn join(&self, change: &mut Change, address: &str) -> Result<UserId, ControlError> {
        let role = self.role.ok_or(SignInRefusal::NoRole)?;
        let user: UserId = fresh::id(change.at());
        let name = self.name().unwrap_or_else(|| address.to_owned());
        let name: String = name.chars().take(NAME_CHARS).collect();
        let new = NewMember {
            user: user.clone(),
            email: address,
            name: &name,
            password_hash: None,
            role,
        };
        change.insert_member(&new).await?;
        let system = Caller::system(change.organization().clone());
        let after = json!({"email": address, "name": name, "role": role});
        let event = system.event(
            "member.create",
            ("member", user.as_str()),
            None,
            Some(&after),
        );
        change.enter(&event).await?;
        Ok(user)
    }

    /// What the provider calls them, as far as it can be seen.
    fn name(&self) -> Option<String> {
        let name = self.identity.claims.get("name")?.as_str()?;
        let name: String = name.chars().filter(|one| !one.is_control()).collect();
        let name = name.trim().to_owned();
        (!name.is_empty()).then_some(name)
    }
}

/// What is there already is refused for this reason.
fn or_taken(refusal: SignInRefusal) -> impl FnOnce(StoreError) -> ControlError {
    move |error| {
        if matches!(error, StoreError::Taken) {
            refusal.into()
        } else {
            error.into()
        }
    }
}

fn able(member: Member) -> Result<Member, SignInRefusal> {
    match member.disabled_at {
        None => Ok(member),
        Some(_) => Err(SignInRefusal::Disabled),
    }
}

fn not_redeemed(error: NotRedeemed) -> ControlError {
    match error {
        NotRedeemed::Provider(error) => ControlError::IdentityProvider(error),
        NotRedeemed::Declined
        | NotRedeemed::NoCode
        | NotRedeemed::OtherIssuer
        | NotRedeemed::CodeRefused
        | NotRedeemed::Token(_) => SignInRefusal::NotProven(error).into(),
    }
}

fn attempt_lasts() -> SignedDuration {
    SignedDuration::try_from(SIGN_IN_ATTEMPT).unwrap_or(SignedDuration::ZERO)
}

/// A path that a browser takes for one of this very server: it reads `//host` and `/\host` as another one, and leaves out tabs and line ends
/// before it looks.
fn own_path(text: &str) -> Result<String, ControlError> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let fits = text.len() <= RETURN_PATH_BYTES
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(is_plain);
    if fits {
        return Ok(text.to_owned());
    }
    let message = format!(
        "a browser returns to a path of this server: /, then ASCII characters, {RETURN_PATH_BYTES} bytes at most"
    );
    Err(problem(
        "return_to",
        "invalid_return_to",
        &message,
        "leave it out to return to /",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_returns_to_this_server_and_nowhere_else() {
        for path in [
            "/",
            "/console/sessions?id=1&b=%20#x",
            "/a//b",
            "/@evil.com",
            "/:80",
        ] {
            assert_eq!(own_path(path).unwrap(), path);
        }
        for path in [
            "",
            "console",
            "https://evil.com",
            "//evil.com",
            "///evil.com",
            "/\\evil.com",
            "\\/evil.com",
            "/\t/evil.com",
            "/\n/evil.com",
            " /",
            "/a b",
            "/é",
            "javascript:alert(1)",
            &format!("/{}", "a".repeat(RETURN_PATH_BYTES)),
        ] {
            assert!(own_path(path).is_err(), "{path:?} was taken");
        }
    }
}
