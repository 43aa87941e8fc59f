//! What was spent becomes records and sums in the database, and leases go on or end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::OrganizationId;
use bailiwick_model::limits::{
    SPEND_LEASE, SPEND_LEASE_GRACE, SPEND_LEASE_PROLONGED, SPEND_SETTLING,
};
use bailiwick_store::{SpendAccount, SpendLease, Spending, StoreError, UsageRecord};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::alerts::tell_passed;
use super::book::{Book, Ended};
use super::filling::after;
use super::{Ledger, Rules, Shared};
use crate::clock;

/// Leases that are charged together.
const CHARGED_TOGETHER: u32 = 100;
/// Buckets are kept for so long: no window is longer.
const BUCKETS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 40);
/// How often those are looked for that may go.
const SWEEP: Duration = Duration::from_secs(60 * 60);

impl Ledger {
    /// Writes what has ended, a few times a second, keeps leases, and gives back what nobody uses, until it is told to end. Then all that can be
    /// written is, and all leases go back.
    pub async fn run(&self, ends: CancellationToken) {
        let (mut prolong, mut sweep) = (
            tokio::time::interval(SPEND_LEASE_PROLONGED),
            tokio::time::interval(SWEEP),
        );
        loop {
            tokio::select! {
                () = ends.cancelled() => break,
                () = tokio::time::sleep(SPEND_SETTLING) => self.write_settled().await,
                () = self.0.settled.notified() => self.write_settled().await,
                _ = prolong.tick() => self.0.look_after_leases().await,
                _ = sweep.tick() => self.0.sweep().await,
            }
        }
        self.write_settled().await;
        self.0.give_back(true).await;
        if let Some(journal) = self.0.journal.get() {
            journal.close();
        }
    }

    /// Writes all that has ended; what cannot be written waits for the next time.
    pub async fn write_settled(&self) {
        for book in self.0.books() {
            loop {
                match self.0.write_some(&book).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(%error, organization = %book.organization, "what was spent cannot be written now");
                        break;
                    }
                }
            }
        }
    }

    /// Counts as spent what servers had leased until a moment before this one and have not said to have still. [`Self::run`] does so with those that
    /// are silent for a minute.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn charge_leases_before(&self, before: Timestamp) -> Result<(), StoreError> {
        self.0.charge_before(before).await
    }

    /// That the limits of an organization, its time zone or its prices are others from now on.
    pub(crate) fn limits_changed(&self, organization: &OrganizationId) {
        self.book(organization).forget_rules();
    }
}

impl Shared {
    /// Writes some of what has ended; whether there was any.
    async fn write_some(&self, book: &Book) -> Result<bool, StoreError> {
        let _writing = book.writing.lock().await;
        let some = book.some_ended();
        if some.is_empty() {
            return Ok(false);
        }
        match self.write(book, &some).await {
            Ok(()) => {
                self.written(&some);
                Ok(true)
            }
            Err(error) => {
                book.not_written(some);
                Err(error)
            }
        }
    }

    async fn write(&self, book: &Book, some: &[Ended]) -> Result<(), StoreError> {
        // Not while more is leased: what a lease is lowered to is what the pot has.
        let _leasing = book.leasing.lock().await;
        let mut spending = self.store.spending(&book.organization).await?;
        let version = spending.limits_version().await?;
        let rules = book.rules_of(&self.store, version).await?;
        let records: Vec<_> = some.iter().map(|ended| ended.record.clone()).collect();
        record(&mut spending, &rules, &records).await?;
        let mut took: BTreeMap<&SpendAccount, i64> = BTreeMap::new();
        for (need, amount) in some.iter().flat_map(|ended| &ended.took) {
            let sum = took.entry(&need.account).or_default();
            *sum = sum.saturating_add(*amount);
        }
        let mut leased = HashMap::new();
        for (account, amount) in took {
            let left = spending.lower_lease(account, &self.holder, amount).await?;
            leased.insert(account.clone(), left);
        }
        spending.commit().await?;
        let mut pots = book.pots();
        for ended in some {
            for (need, amount) in &ended.took {
                let left = leased.get(&need.account).copied().unwrap_or(0);
                pots.written(&need.account, *amount, left);
            }
        }
        Ok(())
    }

    /// The journal need not have what the database has.
    fn written(&self, some: &[Ended]) {
        let Some(journal) = self.journal.get() else {
            return;
        };
        let mut parts: BTreeMap<u64, usize> = BTreeMap::new();
        for part in some.iter().filter_map(|ended| ended.part) {
            *parts.entry(part).or_default() += 1;
        }
        for (part, requests) in parts {
            journal.written(part, requests);
        }
    }

    async fn look_after_leases(&self) {
        self.give_back(false).await;
        if let Err(error) = self.prolong().await {
            tracing::warn!(%error, "leases of limits cannot be prolonged now");
        }
        if let Err(error) = self.charge_lost().await {
            tracing::warn!(%error, "leases of servers that are gone cannot be counted now");
        }
    }

    async fn prolong(&self) -> Result<(), StoreError> {
        let books = self.books();
        if books.is_empty() {
            return Ok(());
        }
        let until = after(clock::now(), SPEND_LEASE);
        self.store.prolong_leases(&self.holder, until).await?;
        let all = self.store.leases_of(&self.holder).await?;
        for book in books {
            let own = all
                .iter()
                .filter(|one| one.organization == book.organization);
            let lost = own.filter(|lease| lease.charged_in.is_some());
            let lost: Vec<_> = lost.map(|lease| lease.account.clone()).collect();
            book.pots().prolonged(until, &lost);
            self.give_back_forgotten(&book, &all).await?;
        }
        Ok(())
    }

    /// Gives back what the database has and this server does not know of: giving it back failed once.
    async fn give_back_forgotten(&self, book: &Book, all: &[SpendLease]) -> Result<(), StoreError> {
        let _leasing = book.leasing.lock().await;
        let own = all
            .iter()
            .filter(|one| one.organization == book.organization);
        let accounts = own.map(|lease| &lease.account);
        let forgotten: Vec<_> = {
            let pots = book.pots();
            let is_forgotten = |account: &&SpendAccount| !pots.has_some_of(account);
            accounts.filter(is_forgotten).cloned().collect()
        };
        if forgotten.is_empty() {
            return Ok(());
        }
        self.end_leases(&book.organization, &forgotten).await
    }

    /// Gives back what nobody has used for a while, or all that nobody uses.
    pub(super) async fn give_back(&self, all: bool) {
        for book in self.books() {
            let _leasing = book.leasing.lock().await;
            let unused = book.pots().unused(clock::now(), all);
            if unused.is_empty() {
                continue;
            }
            if let Err(error) = self.end_leases(&book.organization, &unused).await {
                // They are found again by who needs them, or when leases are prolonged.
                tracing::warn!(%error, "leases of limits cannot be given back now");
            }
        }
    }

    async fn end_leases(
        &self,
        organization: &OrganizationId,
        accounts: &[SpendAccount],
    ) -> Result<(), StoreError> {
        let mut spending = self.store.spending(organization).await?;
        for account in accounts {
            spending.lower_lease(account, &self.holder, 0).await?;
            spending.end_lease(account, &self.holder).await?;
        }
        spending.commit().await
    }

    /// Counts as spent what servers had leased that did not come back.
    async fn charge_lost(&self) -> Result<(), StoreError> {
        let grace = SignedDuration::try_from(SPEND_LEASE_GRACE).unwrap_or(SignedDuration::ZERO);
        let before = clock::now().checked_sub(grace).unwrap_or(Timestamp::MIN);
        self.charge_before(before).await
    }

    async fn charge_before(&self, before: Timestamp) -> Result<(), StoreError> {
        for lease in self.store.expired_leases(before, CHARGED_TOGETHER).await? {
            if lease.holder != self.holder {
                self.charge(&lease, before).await?;
            }
        }
        Ok(())
    }

    async fn charge(&self, lost: &SpendLease, before: Timestamp) -> Result<(), StoreError> {
        let book = self.book(&lost.organization);
        let mut spending = self.store.spending(&lost.organization).await?;
        let version = spending.limits_version().await?;
        let rules = book.rules_of(&self.store, version).await?;
        let leases = spending.leases(&lost.account).await?;
        let still = leases.into_iter().find(|lease| lease.holder == lost.holder);
        let still = still.filter(|one| one.charged_in.is_none() && one.expires_at < before);
        let (Some(lease), Some(rule)) = (still, rules.get(&lost.account.limit)) else {
            return spending.undo().await;
        };
        if lease.amount == 0 {
            spending.end_lease(&lease.account, &lease.holder).await?;
            return spending.commit().await;
        }
        let bucket = rule.bucket(&rules.zone, lease.expires_at);
        spending.count(&lease.account, bucket, lease.amount).await?;
        tell_passed(&mut spending, &rules, [&lease.account]).await?;
        let charged = SpendLease {
            charged_in: Some(bucket),
            ..lease
        };
        spending.put_lease(&charged).await?;
        spending.commit().await?;
        tracing::warn!(
            limit = %charged.account.limit, amount = charged.amount, server = charged.holder,
            "a server that is gone had leased a part of a limit: it counts as spent until that server comes back"
        );
        Ok(())
    }

    async fn sweep(&self) {
        let before = clock::now().as_second() - BUCKETS_KEPT.as_secs();
        if let Err(error) = self.store.sweep_buckets(before).await {
            tracing::warn!(%error, "old sums of what was spent cannot be deleted now");
        }
        if let Err(error) = self.sweep_alerts().await {
            tracing::warn!(%error, "what was told of limits long ago cannot be deleted now");
        }
    }
}

/// Writes records, counts them for the limits that hold, and tells which thresholds that passed.
pub(super) async fn record(
    spending: &mut Spending,
    rules: &Arc<Rules>,
    records: &[UsageRecord],
) -> Result<(), StoreError> {
    spending.insert_usage(records).await?;
    let mut sums: BTreeMap<(SpendAccount, i64), i64> = BTreeMap::new();
    for record in records {
        let names = [record.model.as_str(), record.upstream_model.as_str()];
        for applied in rules.applied(&record.spender, &names) {
            let bucket = applied.rule.bucket(&rules.zone, record.at);
            let sum = sums.entry((applied.account, bucket)).or_default();
            *sum = sum.saturating_add(applied.rule.config.counted(&record.spent));
        }
    }
    for ((account, bucket), amount) in &sums {
        spending.count(account, *bucket, *amount).await?;
    }
    tell_passed(spending, rules, sums.keys().map(|(account, _)| account)).await
}
