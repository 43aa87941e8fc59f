//! What a server may spend of its leases, and what it has: in memory, without asking anybody.

use std::collections::HashMap;

use bailiwick_model::limits::SPEND_LEASE_IDLE;
use bailiwick_store::SpendAccount;
use jiff::{SignedDuration, Timestamp};

/// What one account has here, in the unit of its limit.
#[derive(Debug, Clone, Copy)]
struct Pot {
    /// As the database has it: all of what follows, and what is free.
    leased: i64,
    /// Worst cases of requests that are being answered.
    reserved: i64,
    /// What those took that have been, which the database has not heard of.
    unwritten: i64,
    /// Until when it may be spent of.
    expires_at: Timestamp,
    used_at: Timestamp,
    /// How much is left at most for whoever asks before then, by what the database said.
    known: Option<(Timestamp, i64)>,
}

/// What a request needs of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) account: SpendAccount,
    pub(crate) amount: i64,
}

/// All accounts of an organization that this server has something of.
#[derive(Debug, Default)]
pub(crate) struct Pots(HashMap<SpendAccount, Pot>);

/// Why a request has to wait for the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Short {
    /// There is too little here: more may be leased.
    Here,
    /// There was too little everywhere a moment ago: so much, with what is free here.
    Everywhere(SpendAccount, i64),
}

impl Default for Pot {
    fn default() -> Self {
        Self {
            leased: 0,
            reserved: 0,
            unwritten: 0,
            expires_at: Timestamp::MIN,
            used_at: Timestamp::MIN,
            known: None,
        }
    }
}

impl Pot {
    /// What nobody has reserved. It may be negative: a request may take more than was thought.
    fn free(&self) -> i64 {
        self.leased
            .saturating_sub(self.reserved)
            .saturating_sub(self.unwritten)
    }

    fn has(&self, amount: i64, now: Timestamp) -> bool {
        now < self.expires_at && self.free() >= amount
    }
}

impl Pots {
    /// Reserves all of it, or nothing.
    pub(crate) fn take(&mut self, needs: &[Need], now: Timestamp) -> Result<(), Short> {
        for need in needs {
            let Some(pot) = self.0.get(&need.account) else {
                return Err(Short::Here);
            };
            if pot.has(need.amount, now) {
                continue;
            }
            let lacks = need.amount.saturating_sub(pot.free());
            return Err(match pot.known {
                Some((until, left)) if now < until && lacks > left => {
                    Short::Everywhere(need.account.clone(), left.saturating_add(pot.free()))
                }
                Some(_) | None => Short::Here,
            });
        }
        for need in needs {
            if let Some(pot) = self.0.get_mut(&need.account) {
                pot.reserved = pot.reserved.saturating_add(need.amount);
                pot.used_at = now;
            }
        }
        Ok(())
    }

    /// What of these has to be leased, and how much more at least.
    pub(crate) fn lacking(&self, needs: &[Need], now: Timestamp) -> Vec<Need> {
        let lacks = needs.iter().filter_map(|need| {
            let pot = self.0.get(&need.account).copied().unwrap_or_default();
            (!pot.has(need.amount, now)).then(|| Need {
                account: need.account.clone(),
                amount: need.amount.saturating_sub(pot.free()).max(0),
            })
        });
        lacks.collect()
    }

    /// What is free of an account here.
    pub(crate) fn free(&self, account: &SpendAccount, now: Timestamp) -> i64 {
        let pot = self.0.get(account).filter(|pot| now < pot.expires_at);
        pot.map_or(0, Pot::free)
    }

    /// What was leased of an account, as the database has it now.
    pub(crate) fn leased(&mut self, account: &SpendAccount, amount: i64, expires_at: Timestamp) {
        let pot = self.0.entry(account.clone()).or_default();
        (pot.leased, pot.expires_at, pot.known) = (amount, expires_at, None);
    }

    /// That no more than this can be leased of an account, until then.
    pub(crate) fn known(&mut self, account: &SpendAccount, left: i64, until: Timestamp) {
        self.0.entry(account.clone()).or_default().known = Some((until, left));
    }

    /// What was leased is looked at again before it is spent of: limits have changed.
    pub(crate) fn look_again(&mut self) {
        for pot in self.0.values_mut() {
            (pot.known, pot.expires_at) = (None, Timestamp::MIN);
        }
    }

    /// What a request took that had reserved this.
    pub(crate) fn settle(&mut self, reserved: &Need, took: i64) {
        if let Some(pot) = self.0.get_mut(&reserved.account) {
            pot.reserved = pot.reserved.saturating_sub(reserved.amount);
            pot.unwritten = pot.unwritten.saturating_add(took);
        }
    }

    /// That the database has heard of what was taken; `leased` is what it has left there.
    pub(crate) fn written(&mut self, account: &SpendAccount, took: i64, leased: i64) {
        if let Some(pot) = self.0.get_mut(account) {
            pot.unwritten = pot.unwritten.saturating_sub(took);
            pot.leased = leased;
        }
    }

    /// All leases hold until then, but for those that are named, and those that are to be looked at again.
    pub(crate) fn prolonged(&mut self, until: Timestamp, but: &[SpendAccount]) {
        for (account, pot) in &mut self.0 {
            pot.expires_at = match pot.expires_at == Timestamp::MIN || but.contains(account) {
                true => Timestamp::MIN,
                false => until,
            };
        }
    }

    /// Whether this server has something of an account, as far as it knows.
    pub(crate) fn has_some_of(&self, account: &SpendAccount) -> bool {
        self.0.contains_key(account)
    }

    /// Takes those out that nobody has used for a while, or all that nobody is using: what is left of them goes back.
    pub(crate) fn unused(&mut self, now: Timestamp, all: bool) -> Vec<SpendAccount> {
        let idle = SignedDuration::try_from(SPEND_LEASE_IDLE).unwrap_or(SignedDuration::ZERO);
        let is_unused = |pot: &Pot| {
            let rests = pot.reserved == 0 && pot.unwritten == 0;
            rests && (all || now.duration_since(pot.used_at) > idle)
        };
        let unused = self.0.iter().filter(|(_, pot)| is_unused(pot));
        let unused: Vec<_> = unused.map(|(account, _)| account.clone()).collect();
        for account in &unused {
            self.0.remove(account);
        }
        unused
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::{LimitId, ResourceId as _};
    use proptest::prelude::*;

    use super::*;

    fn account(number: u8) -> SpendAccount {
        SpendAccount {
            limit: LimitId::made(0, [number; 10]),
            user: None,
        }
    }

    fn need(number: u8, amount: i64) -> Need {
        Need {
            account: account(number),
            amount,
        }
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn all_that_a_request_needs_is_reserved_or_nothing() {
        let mut pots = Pots::default();
        pots.leased(&account(1), 10, Timestamp::MAX);
        pots.leased(&account(2), 5, Timestamp::MAX);
        assert_eq!(
            pots.take(&[need(1, 6), need(2, 6)], now()),
            Err(Short::Here)
        );
        assert_eq!(pots.take(&[need(1, 10), need(2, 5)], now()), Ok(()));
        assert_eq!(pots.take(&[need(1, 1)], now()), Err(Short::Here));
    }

    #[test]
    fn what_was_reserved_and_not_taken_is_free_again() {
        let mut pots = Pots::default();
        pots.leased(&account(1), 10, Timestamp::MAX);
        pots.take(&[need(1, 10)], now()).unwrap();
        pots.settle(&need(1, 10), 4);
        assert_eq!(pots.take(&[need(1, 7)], now()), Err(Short::Here));
        pots.take(&[need(1, 6)], now()).unwrap();
        pots.written(&account(1), 4, 6);
        assert_eq!(pots.lacking(&[need(1, 1)], now()), [need(1, 1)]);
    }

    #[test]
    fn nothing_is_spent_of_a_lease_whose_time_is_over() {
        let mut pots = Pots::default();
        pots.leased(&account(1), 10, now());
        assert_eq!(pots.take(&[need(1, 1)], now()), Err(Short::Here));
        assert_eq!(pots.lacking(&[need(1, 1)], now()), [need(1, 0)]);
    }

    #[test]
    fn a_lease_that_is_to_be_looked_at_again_is_not_prolonged() {
        let mut pots = Pots::default();
        let later = now() + SignedDuration::from_secs(1);
        pots.leased(&account(1), 10, later);
        pots.look_again();
        pots.prolonged(Timestamp::MAX, &[]);
        assert_eq!(pots.take(&[need(1, 1)], now()), Err(Short::Here));
        pots.leased(&account(1), 10, later);
        pots.prolonged(Timestamp::MAX, &[]);
        assert_eq!(pots.take(&[need(1, 1)], later), Ok(()));
    }

    #[test]
    fn that_nothing_is_left_is_known_for_a_moment() {
        let mut pots = Pots::default();
        let later = now() + SignedDuration::from_secs(1);
        pots.leased(&account(1), 10, Timestamp::MAX);
        pots.known(&account(1), 5, later);
        assert_eq!(
            pots.take(&[need(1, 16)], now()),
            Err(Short::Everywhere(account(1), 15))
        );
        assert_eq!(pots.take(&[need(1, 15)], now()), Err(Short::Here));
        assert_eq!(pots.take(&[need(1, 16)], later), Err(Short::Here));
    }

    proptest! {
        #[test]
        fn never_more_is_reserved_and_unwritten_than_was_leased_where_nobody_takes_more_than_they_reserved(
            steps in proptest::collection::vec((0..4_u8, 1..20_i64, 0..20_i64), 1..100),
        ) {
            let mut pots = Pots::default();
            let (mut leased, mut open, mut took) = (0_i64, Vec::new(), 0_i64);
            for (step, amount, other) in steps {
                match step {
                    0 => {
                        leased += amount;
                        pots.leased(&account(1), leased, Timestamp::MAX);
                    }
                    1 => if pots.take(&[need(1, amount)], now()).is_ok() {
                        open.push(amount);
                    },
                    2 => if let Some(reserved) = open.pop() {
                        let taken = other.min(reserved);
                        pots.settle(&need(1, reserved), taken);
                        took += taken;
                    },
                    _ => {
                        leased -= took;
                        pots.written(&account(1), took, leased);
                        took = 0;
                    }
                }
                prop_assert!(open.iter().sum::<i64>() + took <= leased);
            }
        }
    }
}
