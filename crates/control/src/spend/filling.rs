//! Leasing: a part of what is left of an account becomes this server's to spend.

use std::sync::Arc;

use bailiwick_model::limits::{
    SPEND_LEASE, SPEND_LEASE_PARTS, SPEND_LEASE_REQUESTS, SPEND_REFUSED,
};
use bailiwick_store::{SpendAccount, SpendLease, Spending, StoreError};
use jiff::{SignedDuration, Timestamp};

use super::book::Book;
use super::pots::{Need, Short};
use super::{LimitReached, Rule, Rules, Shared, SpendError};

/// What became of an attempt to lease.
enum Filled {
    /// As the database has it once this is committed.
    Leased(Vec<(SpendAccount, i64)>),
    /// Too little is left of an account.
    Reached(SpendAccount, i64),
    /// The limits that somebody asked for are gone.
    Gone,
}

impl Shared {
    /// Reserves all of it, leasing more where there is too little here.
    pub(super) async fn take(
        &self,
        book: &Book,
        rules: &Rules,
        needs: &[Need],
        now: Timestamp,
    ) -> Result<(), SpendError> {
        if needs.is_empty() {
            return Ok(());
        }
        // Others may take what this one has leased before it does.
        loop {
            let short = match book.pots().take(needs, now) {
                Ok(()) => return Ok(()),
                Err(short) => short,
            };
            if let Short::Everywhere(account, left) = short {
                return Err(reached(rules, needs, &account, left, now));
            }
            let _leasing = book.leasing.lock().await;
            let lacking = {
                let mut pots = book.pots();
                if pots.take(needs, now).is_ok() {
                    return Ok(());
                }
                pots.lacking(needs, now)
            };
            match self.fill(book, rules, &lacking, now).await {
                Ok(Filled::Leased(leased)) => {
                    let mut pots = book.pots();
                    for (account, amount) in leased {
                        pots.leased(&account, amount, after(now, SPEND_LEASE));
                    }
                }
                Ok(Filled::Reached(account, left)) => {
                    book.pots().known(&account, left, after(now, SPEND_REFUSED));
                    let needed = needs.iter().find(|need| need.account == account);
                    let free = book.pots().free(&account, now);
                    let left = left.saturating_add(free);
                    if needed.is_none_or(|need| need.amount > left) {
                        return Err(reached(rules, needs, &account, left, now));
                    }
                }
                Ok(Filled::Gone) => {
                    book.forget_rules();
                    return Err(SpendError::Unavailable(StoreError::Stale));
                }
                Err(error) => return Err(SpendError::Unavailable(error)),
            }
        }
    }

    async fn fill(
        &self,
        book: &Book,
        rules: &Rules,
        lacking: &[Need],
        now: Timestamp,
    ) -> Result<Filled, StoreError> {
        let mut spending = self.store.spending(&book.organization).await?;
        let filled = self.fill_all(&mut spending, rules, lacking, now).await?;
        match filled {
            Filled::Leased(_) => spending.commit().await?,
            Filled::Reached(..) | Filled::Gone => spending.undo().await?,
        }
        Ok(filled)
    }

    async fn fill_all(
        &self,
        spending: &mut Spending,
        rules: &Rules,
        lacking: &[Need],
        now: Timestamp,
    ) -> Result<Filled, StoreError> {
        let mut leased = Vec::new();
        for need in lacking {
            let Some(rule) = rules.get(&need.account.limit) else {
                return Ok(Filled::Gone);
            };
            match self.fill_one(spending, (rules, rule), need, now).await? {
                Ok(amount) => leased.push((need.account.clone(), amount)),
                Err(left) => return Ok(Filled::Reached(need.account.clone(), left)),
            }
        }
        Ok(Filled::Leased(leased))
    }

    /// What this server has of an account then, or what is left of it, which is too little.
    async fn fill_one(
        &self,
        spending: &mut Spending,
        (rules, rule): (&Rules, &Arc<Rule>),
        need: &Need,
        now: Timestamp,
    ) -> Result<Result<i64, i64>, StoreError> {
        let leases = spending.leases(&need.account).await?;
        let own = leases.iter().find(|lease| lease.holder == self.holder);
        if let Some(own) = own {
            spending.uncharge(own).await?;
        }
        let span = rule.span(&rules.zone, now);
        let spent = spending.spent(&need.account, span.from).await?;
        let counts =
            |lease: &&SpendLease| lease.holder == self.holder || lease.charged_in.is_none();
        let leased: i64 = leases
            .iter()
            .filter(counts)
            .map(|lease| lease.amount)
            .fold(0, i64::saturating_add);
        let left = rule
            .config
            .amount
            .number()
            .saturating_sub(spent)
            .saturating_sub(leased);
        if left < need.amount {
            return Ok(Err(left));
        }
        // As much as many such requests need, but never so much that others find nothing.
        let many = need.amount.saturating_mul(SPEND_LEASE_REQUESTS);
        let more = (left / SPEND_LEASE_PARTS).min(many).max(need.amount);
        let amount = own.map_or(0, |own| own.amount).saturating_add(more);
        let lease = SpendLease {
            organization: spending.organization().clone(),
            account: need.account.clone(),
            holder: self.holder.clone(),
            amount,
            expires_at: after(now, SPEND_LEASE),
            charged_in: None,
        };
        spending.put_lease(&lease).await?;
        Ok(Ok(amount))
    }
}

/// The refusal that names the limit.
fn reached(
    rules: &Rules,
    needs: &[Need],
    account: &SpendAccount,
    left: i64,
    now: Timestamp,
) -> SpendError {
    let needed = needs.iter().find(|need| need.account == *account);
    let Some(rule) = rules.get(&account.limit) else {
        return SpendError::Unavailable(StoreError::Stale);
    };
    SpendError::Reached(Box::new(LimitReached {
        limit: rule.id.clone(),
        entity: rule.entity.clone(),
        environment: rule.environment.clone(),
        amount: rule.config.amount,
        window: rule.config.window,
        left,
        needed: needed.map_or(0, |need| need.amount),
        resets_at: rule.span(&rules.zone, now).resets_at,
    }))
}

pub(super) fn after(now: Timestamp, time: std::time::Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO);
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}
