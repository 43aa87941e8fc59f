//! The accounts of one organization.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bailiwick_model::OrganizationId;
use bailiwick_model::limits::{SPEND_RULES_KNOWN, SPEND_SETTLED_TOGETHER, SPEND_SETTLED_WAITING};
use bailiwick_store::{Store, StoreError, UsageRecord};

use super::Rules;
use super::pots::{Need, Pots};

/// What a server knows of an organization's accounts.
#[derive(Debug)]
pub(crate) struct Book {
    pub(super) organization: OrganizationId,
    known: RwLock<Option<Known>>,
    /// Held by who asks whether the limits are others.
    asking: tokio::sync::Mutex<()>,
    pots: Mutex<Pots>,
    /// Held by who leases, or gives back.
    pub(super) leasing: tokio::sync::Mutex<()>,
    ended: Mutex<VecDeque<Ended>>,
    /// Held by who writes what has ended.
    pub(super) writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    asked: Instant,
    rules: Arc<Rules>,
}

/// A request that has ended and that the database has not heard of.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) record: UsageRecord,
    /// What it had reserved of accounts, and what it took of them.
    pub(super) took: Vec<(Need, i64)>,
    pub(super) part: Option<u64>,
}

impl Book {
    pub(super) fn new(organization: OrganizationId) -> Self {
        Self {
            organization,
            known: RwLock::default(),
            asking: tokio::sync::Mutex::default(),
            pots: Mutex::default(),
            leasing: tokio::sync::Mutex::default(),
            ended: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// The limits as they are, or were a moment ago. If the database does not say, those that hold as far as is known.
    pub(super) async fn rules(&self, store: &Store) -> Result<Arc<Rules>, StoreError> {
        if let Some(known) = self.known().filter(Known::is_fresh) {
            return Ok(known.rules);
        }
        let _asking = self.asking.lock().await;
        let before = self.known();
        if let Some(known) = before.clone().filter(Known::is_fresh) {
            return Ok(known.rules);
        }
        match self.ask(store, before.as_ref()).await {
            Ok(rules) => Ok(rules),
            Err(error) => match before {
                Some(known) => {
                    tracing::warn!(%error, "the limits of an organization cannot be read: those from before hold");
                    Ok(known.rules)
                }
                None => Err(error),
            },
        }
    }

    async fn ask(&self, store: &Store, before: Option<&Known>) -> Result<Arc<Rules>, StoreError> {
        let asked = Instant::now();
        let scope = store.scope(&self.organization);
        if let Some(known) = before
            && scope.limits_version().await? == Some(known.rules.version)
        {
            self.learn(asked, Arc::clone(&known.rules));
            return Ok(Arc::clone(&known.rules));
        }
        let rules = Arc::new(Rules::of(scope.limits_of_organization().await?)?);
        self.learn(asked, Arc::clone(&rules));
        self.pots().look_again();
        Ok(rules)
    }

    /// The limits of this version or a later one.
    pub(super) async fn rules_of(
        &self,
        store: &Store,
        version: i64,
    ) -> Result<Arc<Rules>, StoreError> {
        match self.known() {
            Some(known) if known.rules.version >= version => Ok(known.rules),
            Some(_) | None => self.ask(store, None).await,
        }
    }

    /// That the limits are others: they are asked for before the next request.
    pub(super) fn forget_rules(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = None;
    }

    fn known(&self) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn learn(&self, asked: Instant, rules: Arc<Rules>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_newer = known
            .as_ref()
            .is_none_or(|known| known.rules.version <= rules.version);
        if is_newer {
            *known = Some(Known { asked, rules });
        }
    }

    pub(super) fn pots(&self) -> MutexGuard<'_, Pots> {
        self.pots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what has ended; whether that is so much that it should be written at once.
    pub(super) fn ended(&self, ended: Ended) -> bool {
        let mut pots = self.pots();
        for (need, took) in &ended.took {
            pots.settle(need, *took);
        }
        drop(pots);
        let mut all = self.all_ended();
        all.push_back(ended);
        all.len() == SPEND_SETTLED_TOGETHER
    }

    pub(super) fn is_behind(&self) -> bool {
        self.all_ended().len() >= SPEND_SETTLED_WAITING
    }

    /// What is written next.
    pub(super) fn some_ended(&self) -> Vec<Ended> {
        let mut all = self.all_ended();
        let some = all.len().min(SPEND_SETTLED_TOGETHER);
        all.drain(..some).collect()
    }

    /// What could not be written.
    pub(super) fn not_written(&self, some: Vec<Ended>) {
        let mut all = self.all_ended();
        for ended in some.into_iter().rev() {
            all.push_front(ended);
        }
    }

    fn all_ended(&self) -> MutexGuard<'_, VecDeque<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.asked.elapsed() < SPEND_RULES_KNOWN
    }
}
