//! The synthetic addresses of one sandbox: each name that it may reach has one, and keeps it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bailiwick_model::HostName;

use crate::clock::Begun;

/// The first address that stands for a name. 198.18.0.0/15 is reserved for such uses (RFC 2544 appendix C.2.2), and its
/// first block of 256 is left to the sandbox's own interface and resolver.
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 0);
/// Addresses used in each block of 256: `.0` and `.255` look like a network and a broadcast to some programs.
const USED_OF_256: u32 = 254;
/// The most names that fit, whatever the limit says: the last block of 256 is the sandbox's own, too.
const FITTING: usize = 510 * USED_OF_256 as usize;
const MINUTE: Duration = Duration::from_secs(60);

/// Too many names, or too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameLimit {
    /// As many names as a sandbox may resolve in its life.
    #[error("this sandbox has resolved {0} names, which is all it may")]
    Count(usize),
    /// As many new names as it may resolve in a minute.
    #[error("this sandbox has resolved {0} new names in a minute, which is all it may; wait")]
    Rate(u32),
}

/// Names and their addresses. An address is never given to a second name, so that a late connection to it cannot mean
/// something else than it did when the address was handed out.
#[derive(Debug)]
pub(crate) struct Names {
    by_name: HashMap<HostName, Ipv4Addr>,
    in_order: Vec<HostName>,
    most: usize,
    per_minute: u32,
    minute: Option<Begun>,
    in_minute: u32,
}

impl Names {
    pub(crate) fn new(most: usize, per_minute: u32) -> Self {
        Self {
            by_name: HashMap::new(),
            in_order: Vec::new(),
            most: most.min(FITTING),
            per_minute,
            minute: None,
            in_minute: 0,
        }
    }

    /// The address of `name`, a new one if it has none yet.
    pub(crate) fn address_of(
        &mut self,
        name: &HostName,
        now: Begun,
    ) -> Result<Ipv4Addr, NameLimit> {
        if let Some(address) = self.by_name.get(name) {
            return Ok(*address);
        }
        if self.in_order.len() >= self.most {
            return Err(NameLimit::Count(self.most));
        }
        if self.minute.is_none_or(|minute| now.since(minute) >= MINUTE) {
            self.minute = Some(now);
            self.in_minute = 0;
        }
        if self.in_minute >= self.per_minute {
            return Err(NameLimit::Rate(self.per_minute));
        }
        self.in_minute += 1;
        let address = nth(self.in_order.len());
        self.by_name.insert(name.clone(), address);
        self.in_order.push(name.clone());
        Ok(address)
    }

    /// The name behind an address.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<&HostName> {
        let IpAddr::V4(address) = address.to_canonical() else {
            return None;
        };
        let offset = address.to_bits().checked_sub(FIRST.to_bits())?;
        let in_block = (offset % 256)
            .checked_sub(1)
            .filter(|in_block| *in_block < USED_OF_256)?;
        self.in_order
            .get(usize::try_from(offset / 256 * USED_OF_256 + in_block).ok()?)
    }

    pub(crate) fn count(&self) -> usize {
        self.in_order.len()
    }
}

fn nth(index: usize) -> Ipv4Addr {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(FIRST.to_bits() + index / USED_OF_256 * 256 + index % USED_OF_256 + 1)
}

/// True for every address that can stand for a name, in use or not.
pub(crate) fn is_synthetic(address: IpAddr) -> bool {
    matches!(address.to_canonical(), IpAddr::V4(v4) if v4.octets()[0] == 198 && v4.octets()[1] & 0xfe == 18)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::clock::begin;

    fn name(index: usize) -> HostName {
        HostName::from_normalised(&format!("n{index}.example")).unwrap()
    }

    #[test]
    fn every_name_has_an_address_of_its_own_that_leads_back_to_it() {
        let mut names = Names::new(2000, 2000);
        let mut seen = HashSet::new();
        for index in 0..2000 {
            let address = names.address_of(&name(index), begin()).unwrap();
            assert!(seen.insert(address) && is_synthetic(address.into()));
            assert!(!matches!(address.octets()[3], 0 | 255));
            assert_eq!(names.name_of(address.into()), Some(&name(index)));
            assert_eq!(
                names.name_of(address.to_ipv6_mapped().into()),
                Some(&name(index))
            );
            assert_eq!(names.address_of(&name(index), begin()), Ok(address));
        }
        assert!(nth(FITTING - 1) < Ipv4Addr::new(198, 19, 255, 255));
    }

    #[test]
    fn an_address_that_was_not_given_has_no_name() {
        let mut names = Names::new(10, 10);
        names.address_of(&name(0), begin()).unwrap();
        for other in [
            "198.18.1.2",
            "198.18.1.0",
            "198.18.0.1",
            "198.18.1.255",
            "198.18.2.1",
            "10.0.0.1",
            "::1",
        ] {
            assert_eq!(names.name_of(other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn names_are_limited_in_number_and_rate() {
        let mut names = Names::new(3, 2);
        names.address_of(&name(0), begin()).unwrap();
        names.address_of(&name(1), begin()).unwrap();
        assert_eq!(names.address_of(&name(2), begin()), Err(NameLimit::Rate(2)));
        assert!(
            names.address_of(&name(0), begin()).is_ok(),
            "a known name costs nothing"
        );
        let mut names = Names::new(1, 10);
        names.address_of(&name(0), begin()).unwrap();
        assert_eq!(
            names.address_of(&name(1), begin()),
            Err(NameLimit::Count(1))
        );
    }
}
