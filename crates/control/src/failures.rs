//! How often an address has failed to authenticate.
//!
//! Keys cannot be guessed; what is limited is what it costs to say so. A key that is taken is never refused for what others did from the
//! same address.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use bailiwick_model::limits::{
    FAILED_AUTHENTICATION_ADDRESSES, FAILED_AUTHENTICATIONS, FAILED_AUTHENTICATIONS_PER_SECOND,
};

use crate::buckets::{Bound, Buckets};

const BOUND: Bound = Bound {
    burst: FAILED_AUTHENTICATIONS,
    forgotten_after: Duration::from_micros(1_000_000 / FAILED_AUTHENTICATIONS_PER_SECOND as u64),
    told_apart: FAILED_AUTHENTICATION_ADDRESSES,
};

/// The failures of all addresses.
#[derive(Debug)]
pub(crate) struct Failures(Buckets<IpAddr>);

impl Default for Failures {
    fn default() -> Self {
        Self(Buckets::new(BOUND))
    }
}

/// Who is counted together: one address; of IPv6 its network of 64 bits, since whoever has one address there has all of them.
pub(crate) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
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
        self.0.count(address.map(counted_as), now)
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
        assert!(failures.0.len() <= FAILED_AUTHENTICATION_ADDRESSES + 1);
        let later = now + Duration::from_secs(1);
        assert_eq!(burst(&failures, "192.0.2.9", later), 50);
    }
}
