//! From a key to a caller.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use bailiwick_model::Permissions;
use bailiwick_model::limits::WORK_TOKEN_GRACE;
use bailiwick_store::{Change, KeyOwner, KnownKey, Store};
use jiff::{SignedDuration, Timestamp};

use crate::caller::{Actor, Caller, Proof, WorkItem};
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh, work};

/// How long what a key stands for is not asked again. A key that is revoked here is forgotten here at once; another replica learns of it
/// after this time at the latest.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// More keys than this in one second are asked for each time.
const KNOWN_KEYS: usize = 10_000;
/// The longest key that is looked at.
const KEY_BYTES: usize = 512;

/// What somebody showed.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// A key.
    pub key: &'a str,
    /// Where they came from.
    pub address: Option<IpAddr>,
}

/// What keys stood for a moment ago, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<[u8; 32], (Timestamp, KnownKey)>,
    /// How often everything was forgotten.
    forgotten: u64,
}

impl KnownKeys {
    fn get(&self, hash: &[u8; 32], now: Timestamp) -> Option<KnownKey> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (asked, key) = known.keys.get(hash)?;
        let age = now.duration_since(*asked);
        (age >= SignedDuration::ZERO && age.unsigned_abs() < KNOWN_FOR).then(|| key.clone())
    }

    /// What [`Self::put`] wants to know of the time before the database was asked.
    fn forgotten(&self) -> u64 {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .forgotten
    }

    /// Remembers what a key stands for, unless something was forgotten since it was asked: the answer may be from before that.
    fn put(&self, hash: [u8; 32], now: Timestamp, key: &KnownKey, forgotten: u64) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.forgotten != forgotten {
            return;
        }
        if known.keys.len() >= KNOWN_KEYS {
            known.keys.clear();
        }
        known.keys.insert(hash, (now, key.clone()));
    }

    /// Forgets them all: something changed that they stand for.
    pub(crate) fn forget(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.keys.clear();
        known.forgotten += 1;
    }
}

impl Control {
    /// Who shows this key.
    ///
    /// # Errors
    ///
    /// [`ControlError::Unauthenticated`] for a key that does not exist, has expired, was revoked, or whose owner is gone: which of these,
    /// nobody is told. [`ControlError::TooManyFailures`] instead of it for an address that showed too many such keys; a key that is taken is
    /// taken from there too.
    pub async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, ControlError> {
        let caller = self.caller(credentials).await;
        self.counted(caller, credentials.address)
    }

    /// What an authentication came to, with a failure counted for the address it came from.
    pub(crate) fn counted<T>(
        &self,
        authenticated: Result<T, ControlError>,
        address: Option<IpAddr>,
    ) -> Result<T, ControlError> {
        match &authenticated {
            Err(ControlError::Unauthenticated) => {}
            Err(ControlError::SignInRefused(refusal)) if !refusal.is_known() => {}
            Ok(_) | Err(_) => return authenticated,
        }
        match self.failures.count(address, Instant::now()) {
            Ok(()) => authenticated,
            Err(retry_after) => Err(ControlError::TooManyFailures { retry_after }),
        }
    }

    async fn caller(&self, credentials: Credentials<'_>) -> Result<Caller, ControlError> {
        if credentials.key.is_empty() || credentials.key.len() > KEY_BYTES {
            return Err(ControlError::Unauthenticated);
        }
        let (now, hash) = (clock::now(), fresh::hash(credentials.key));
        if credentials.key.starts_with(work::TOKEN_PREFIX) {
            return self.authenticate_work(credentials, &hash, now).await;
        }
        let known = match self.known_keys.get(&hash, now) {
            Some(known) => known,
            None => {
                let forgotten = self.known_keys.forgotten();
                let known = self.store.known_key(&hash).await?;
                let known = known.ok_or(ControlError::Unauthenticated)?;
                self.known_keys.put(hash, now, &known, forgotten);
                known
            }
        };
        if known.expires_at.is_some_and(|expires| expires <= now) {
            return Err(ControlError::Unauthenticated);
        }
        let actor = match known.owner {
            KeyOwner::User(id) => Actor::User(id),
            KeyOwner::ServiceAccount(id) => Actor::ServiceAccount(id),
            KeyOwner::Environment(id) => Actor::Worker(id),
            KeyOwner::LlmProxy(opens) => Actor::VirtualKey(opens),
            KeyOwner::McpGateway(gateway) => Actor::GatewayKey(gateway),
        };
        Ok(Caller {
            organization: known.organization,
            actor,
            permissions: known.permissions,
            key: Some(known.id),
            expires_at: known.expires_at,
            proof: Proof::Key(hash),
            address: credentials.address,
        })
    }

    /// Whoever an item of a work queue was handed to. For a while after it has ended they may still ask, and are told so.
    async fn authenticate_work(
        &self,
        credentials: Credentials<'_>,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Caller, ControlError> {
        let known = self.store.known_work(hash, now, ended_before(now)).await?;
        let known = known.ok_or(ControlError::Unauthenticated)?;
        Ok(Caller {
            organization: known.organization,
            actor: Actor::WorkItem(WorkItem {
                environment: known.environment,
                work: known.work,
                session: known.session,
            }),
            permissions: Permissions::NONE,
            key: None,
            expires_at: None,
            proof: Proof::Work(*hash),
            address: credentials.address,
        })
    }
}

impl Control {
    /// Begins a change of the caller's organization, once it is known that they are still who they were when their request began: reading it
    /// may have taken minutes.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        at: Timestamp,
    ) -> Result<Change, ControlError> {
        change(&self.store, caller, at).await
    }
}

/// As [`Control::change`].
pub(crate) async fn change(
    store: &Store,
    caller: &Caller,
    at: Timestamp,
) -> Result<Change, ControlError> {
    let change = store.change(&caller.organization, at).await?;
    still(store, caller, at).await?;
    Ok(change)
}

/// Whether somebody is still who they were when their request began. It is asked once a change of their organization has begun: whatever takes a
/// right away is a change of it too, and none comes in before this one is over.
pub(crate) async fn still(
    store: &Store,
    caller: &Caller,
    at: Timestamp,
) -> Result<(), ControlError> {
    let permissions = match caller.proof {
        Proof::Itself => return Ok(()),
        Proof::Key(hash) => {
            let known = store.known_key(&hash).await?;
            let known = known.filter(|key| key.expires_at.is_none_or(|expires| expires > at));
            known.map(|key| key.permissions)
        }
        Proof::BrowserSession(hash) => {
            let known = store.known_session(&hash, at).await?;
            known.map(|session| session.permissions)
        }
        Proof::Work(hash) => {
            let known = store.known_work(&hash, at, ended_before(at)).await?;
            known.map(|_| Permissions::NONE)
        }
        Proof::OauthGrant(family) => {
            let known = store.known_oauth_grant(&family, at).await?;
            known.map(|grant| grant.permissions)
        }
    };
    let permissions = permissions.ok_or(ControlError::Unauthenticated)?;
    match caller
        .permissions
        .iter()
        .find(|one| !permissions.allow(*one))
    {
        Some(taken) => Err(ControlError::Forbidden(taken)),
        None => Ok(()),
    }
}

/// Whoever has the token of an item that ended after this may still ask.
fn ended_before(now: Timestamp) -> Timestamp {
    let grace = SignedDuration::try_from(WORK_TOKEN_GRACE).unwrap_or(SignedDuration::ZERO);
    now.checked_sub(grace).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use bailiwick_model::{ApiKeyId, OrganizationId, Permissions, ResourceId, UserId};

    use super::*;

    #[test]
    fn what_was_asked_before_everything_was_forgotten_is_not_remembered() {
        let (known, now) = (KnownKeys::default(), clock::now());
        let key = KnownKey {
            id: ApiKeyId::made(0, [0; 10]),
            organization: OrganizationId::made(0, [0; 10]),
            owner: KeyOwner::User(UserId::made(0, [0; 10])),
            permissions: Permissions::NONE,
            expires_at: None,
        };
        let before = known.forgotten();
        known.put([1; 32], now, &key, before);
        assert_eq!(known.get(&[1; 32], now), Some(key.clone()));
        known.forget();
        known.put([1; 32], now, &key, before);
        assert_eq!(known.get(&[1; 32], now), None);
    }
}
