//! How often wrong passwords are looked at: few for one account from one address, some more from one address, and many for one account.
//!
//! A password that is over its bound is not looked at, right or wrong, or the answer would be the guess. So a bound of an account alone
//! would let a stranger lock somebody out; this is why one address can use up only a little of it, and why those from which the account was
//! signed in to lately do not need it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_model::limits::{
    ACCOUNT_ADDRESS_PASSWORD_FORGOTTEN, ACCOUNT_ADDRESS_PASSWORDS, ACCOUNT_PASSWORD_FORGOTTEN,
    ACCOUNT_PASSWORDS, ADDRESS_PASSWORD_FORGOTTEN, ADDRESS_PASSWORDS, PASSWORD_SOURCES,
};

use crate::buckets::{Bound, Buckets};
use crate::failures::counted_as;
use crate::fresh;

/// An account, also one that does not exist: the hash of its address.
type Account = [u8; 32];
/// One that somebody signs in to, and from where.
type Pair = (Account, Option<IpAddr>);

/// Those of everybody.
#[derive(Debug)]
pub(crate) struct PasswordAttempts {
    pairs: Buckets<Pair>,
    addresses: Buckets<IpAddr>,
    accounts: Buckets<Account>,
    /// From where accounts were signed in to.
    known: Mutex<HashSet<Pair>>,
}

/// One that is looked at. It counts as wrong unless something else is said of it.
#[derive(Debug)]
pub(crate) struct PasswordAttempt<'a> {
    all: &'a PasswordAttempts,
    account: Account,
    address: Option<IpAddr>,
    /// Whether the account's own bound holds for it.
    is_strange: bool,
}

fn bound(burst: u32, forgotten_after: Duration) -> Bound {
    Bound {
        burst,
        forgotten_after,
        told_apart: PASSWORD_SOURCES,
    }
}

impl Default for PasswordAttempts {
    fn default() -> Self {
        let pairs = bound(
            ACCOUNT_ADDRESS_PASSWORDS,
            ACCOUNT_ADDRESS_PASSWORD_FORGOTTEN,
        );
        let addresses = bound(ADDRESS_PASSWORDS, ADDRESS_PASSWORD_FORGOTTEN);
        let accounts = bound(ACCOUNT_PASSWORDS, ACCOUNT_PASSWORD_FORGOTTEN);
        Self {
            pairs: Buckets::new(pairs),
            addresses: Buckets::new(addresses),
            accounts: Buckets::new(accounts),
            known: Mutex::default(),
        }
    }
}

impl PasswordAttempts {
    /// One more.
    ///
    /// # Errors
    ///
    /// It is one too many, and the password is not to be looked at: when another one would be.
    pub(crate) fn begin(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<PasswordAttempt<'_>, Duration> {
        let account = fresh::hash(&email.trim().to_lowercase());
        let address = address.map(counted_as);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_strange = !known.contains(&(account, address));
        drop(known);
        self.pairs.count(Some((account, address)), now)?;
        if let Err(wait) = self.addresses.count(address, now) {
            self.pairs.take_back(Some((account, address)));
            return Err(wait);
        }
        if is_strange && let Err(wait) = self.accounts.count(Some(account), now) {
            self.pairs.take_back(Some((account, address)));
            self.addresses.take_back(address);
            return Err(wait);
        }
        Ok(PasswordAttempt {
            all: self,
            account,
            address,
            is_strange,
        })
    }
}

impl PasswordAttempt<'_> {
    /// It was right: whoever signs in from there is not a stranger to the account.
    pub(crate) fn was_right(self) {
        let pair = (self.account, self.address);
        let mut known = self
            .all
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PASSWORD_SOURCES {
            known.clear();
        }
        known.insert(pair);
        drop(known);
        self.was_not_looked_at();
    }

    /// It does not count.
    pub(crate) fn was_not_looked_at(self) {
        self.all.pairs.take_back(Some((self.account, self.address)));
        self.all.addresses.take_back(self.address);
        if self.is_strange {
            self.all.accounts.take_back(Some(self.account));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from((0x0a00_0000 + number).to_be_bytes()))
    }

    /// How many of so many wrong ones are looked at.
    fn wrong(all: &PasswordAttempts, email: &str, from: u32, count: usize, now: Instant) -> usize {
        let looked_at = |_: &usize| all.begin(email, address(from), now).is_ok();
        (0..count).filter(looked_at).count()
    }

    #[test]
    fn an_address_guesses_a_few_for_one_account_and_some_more_for_others() {
        let (all, now) = (PasswordAttempts::default(), Instant::now());
        assert_eq!(wrong(&all, "ann@example.com", 1, 100, now), 5);
        assert_eq!(wrong(&all, " ANN@example.com ", 1, 100, now), 0);
        let others = (0..100).map(|n| wrong(&all, &format!("{n}@example.com"), 1, 1, now));
        assert_eq!(others.sum::<usize>(), 15);
        let later = now + Duration::from_secs(30);
        assert_eq!(wrong(&all, "ann@example.com", 1, 100, later), 1);
    }

    #[test]
    fn many_addresses_together_guess_no_faster_for_one_account() {
        let (all, now) = (PasswordAttempts::default(), Instant::now());
        let looked_at = |now| {
            let each = (0..1000).map(|from| wrong(&all, "ann@example.com", from, 5, now));
            each.sum::<usize>()
        };
        assert_eq!(looked_at(now), 60);
        assert_eq!(looked_at(now + Duration::from_secs(50)), 10);
    }

    #[test]
    fn whoever_signed_in_before_is_not_locked_out_by_all_of_them() {
        let (all, now) = (PasswordAttempts::default(), Instant::now());
        let right = all.begin("ann@example.com", address(9), now).unwrap();
        right.was_right();
        for from in 100..200 {
            wrong(&all, "ann@example.com", from, 5, now);
        }
        assert!(all.begin("ann@example.com", address(8), now).is_err());
        let again = all.begin("ann@example.com", address(9), now).unwrap();
        again.was_right();
    }

    #[test]
    fn one_stranger_locks_nobody_out_however_long_they_try() {
        let (all, begun) = (PasswordAttempts::default(), Instant::now());
        for second in 0..3600 {
            let now = begun + Duration::from_secs(second);
            wrong(&all, "ann@example.com", 1, 10, now);
            if second % 60 == 0 {
                // From elsewhere, each time from somewhere else.
                let from = 1000 + u32::try_from(second).unwrap();
                let right = all.begin("ann@example.com", address(from), now);
                right.unwrap().was_right();
            }
        }
    }

    #[test]
    fn what_was_right_or_not_looked_at_does_not_count() {
        let (all, now) = (PasswordAttempts::default(), Instant::now());
        for _ in 0..200 {
            let right = all.begin("ann@example.com", address(1), now).unwrap();
            right.was_right();
            let other = all.begin("bob@example.com", address(1), now).unwrap();
            other.was_not_looked_at();
        }
        assert_eq!(wrong(&all, "ann@example.com", 1, 100, now), 5);
    }
}
