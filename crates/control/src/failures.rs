//! How often an address has failed to authenticate.
//!
//! Keys cannot be guessed; what is limited is what it costs to say so. A key that is taken is never refused for what others did from the
//! same address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_model::limits::{
    FAILED_AUTHENTICATION_ADDRESSES, FAILED_AUTHENTICATIONS, FAILED_AUTHENTICATIONS_PER_SECOND,
};

/// After so long one failure is forgotten.
const FORGOTTEN_AFTER: Duration =
    Duration::from_micros(1_000_000 / FAILED_AUTHENTICATIONS_PER_SECOND as u64);

/// How often what is forgotten is thrown away, at most.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

/// Who is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    /// One address; of IPv6 its network of 64 bits, since whoever has one address there has all of them.
    Address(IpAddr),
    /// Nothing is known of where they came from, or there are too many to tell apart.
    Others,
}

/// The failures of all addresses.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// When the last failure of each will be forgotten: all there is to know, since they are forgotten one after the other.
    forgotten: HashMap<Source, Instant>,
    /// When what is forgotten was last thrown away, which is not done for every stranger.
    swept: Option<Instant>,
}

impl Source {
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Others,
            Some(IpAddr::V4(address)) => Self::Address(address.into()),
            Some(IpAddr::V6(address)) => {
                let network = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
                Self::Address(network.into())
            }
        }
    }
}

impl Failures {
    /// Counts one more.
    ///
    /// # Errors
    ///
    /// It is one too many, and is not counted: how long until another one would be.
    pub(crate) fn count(&self, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let source = counted.told_apart(Source::of(address), now);
        let all = &mut counted.forgotten;
        let forgotten = all.get(&source).copied().unwrap_or(now).max(now) + FORGOTTEN_AFTER;
        let most = now + FORGOTTEN_AFTER * FAILED_AUTHENTICATIONS;
        if forgotten > most {
            return Err(forgotten - most);
        }
        all.insert(source, forgotten);
        Ok(())
    }
}

impl Counted {
    /// The source, or what it shares with all others for whom there is no room.
    fn told_apart(&mut self, source: Source, now: Instant) -> Source {
        let is_full = |all: &HashMap<_, _>| all.len() >= FAILED_AUTHENTICATION_ADDRESSES;
        if !is_full(&self.forgotten) || self.forgotten.contains_key(&source) {
            return source;
        }
        let age = self.swept.map(|swept| now.saturating_duration_since(swept));
        if age.is_none_or(|age| age >= SWEPT_EVERY) {
            self.forgotten.retain(|_, forgotten| *forgotten > now);
            self.swept = Some(now);
        }
        if is_full(&self.forgotten) {
            Source::Others
        } else {
            source
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// How many of a thousand at once are counted.
    fn burst(failures: &Failures, from: &str, now: Instant) -> usize {
        let counted = |_: &usize| failures.count(address(from), now).is_ok();
        (0..1000).filter(counted).count()
    }

    #[test]
    fn a_burst_is_counted_and_then_some_in_each_second() {
        let (failures, now) = (Failures::default(), Instant::now());
        assert_eq!(burst(&failures, "192.0.2.1", now), 50);
        let wait = failures.count(address("192.0.2.1"), now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(
            burst(&failures, "192.0.2.1", now + Duration::from_secs(1)),
            10
        );
        assert_eq!(
            burst(&failures, "192.0.2.1", now + Duration::from_secs(60)),
            50
        );
    }

    #[test]
    fn addresses_do_not_count_for_each_other() {
        let (failures, now) = (Failures::default(), Instant::now());
        assert_eq!(burst(&failures, "192.0.2.1", now), 50);
        assert_eq!(burst(&failures, "192.0.2.2", now), 50);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
        let (failures, now) = (Failures::default(), Instant::now());
        assert_eq!(burst(&failures, "2001:db8::1", now), 50);
        assert_eq!(burst(&failures, "2001:db8::ffff:1", now), 0);
        assert_eq!(burst(&failures, "2001:db8:0:1::1", now), 50);
        assert_eq!(burst(&failures, "192.0.2.1", now), 50);
        assert_eq!(burst(&failures, "::ffff:192.0.2.1", now), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (failures, now) = (Failures::default(), Instant::now());
        for number in 0..3 * u32::try_from(FAILED_AUTHENTICATION_ADDRESSES).unwrap() {
            let from = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            let _ = failures.count(Some(from), now);
        }
        let remembered = |failures: &Failures| failures.0.lock().unwrap().forgotten.len();
        assert!(remembered(&failures) <= FAILED_AUTHENTICATION_ADDRESSES + 1);
        let later = now + Duration::from_secs(1);
        assert_eq!(burst(&failures, "192.0.2.9", later), 50);
    }
}
