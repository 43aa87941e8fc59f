//! How often something went wrong lately, told apart by who did it: a burst, and then some in each while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often what is forgotten is thrown away, at most.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

/// What is bounded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// So many in a row.
    pub(crate) burst: u32,
    /// After so long one of them is forgotten.
    pub(crate) forgotten_after: Duration,
    /// So many are told apart.
    pub(crate) told_apart: usize,
}

/// Those of everybody.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    bound: Bound,
    counted: Mutex<Counted<K>>,
}

#[derive(Debug)]
struct Counted<K> {
    /// When the last one of each will be forgotten: all there is to know, since they are forgotten one after the other. `None` are all
    /// together of whom nothing is known, or for whom there is no room.
    forgotten: HashMap<Option<K>, Instant>,
    /// When what is forgotten was last thrown away, which is not done for every stranger.
    swept: Option<Instant>,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    pub(crate) fn new(bound: Bound) -> Self {
        let counted = Counted {
            forgotten: HashMap::new(),
            swept: None,
        };
        Self {
            bound,
            counted: Mutex::new(counted),
        }
    }

    /// Counts one more.
    ///
    /// # Errors
    ///
    /// It is one too many, and is not counted: how long until another one would be.
    pub(crate) fn count(&self, whose: Option<K>, now: Instant) -> Result<(), Duration> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = counted.told_apart(whose, self.bound.told_apart, now);
        let all = &mut counted.forgotten;
        let begins = all.get(&whose).copied().unwrap_or(now).max(now);
        let forgotten = begins + self.bound.forgotten_after;
        let most = now + self.bound.forgotten_after * self.bound.burst;
        if forgotten > most {
            return Err(forgotten - most);
        }
        all.insert(whose, forgotten);
        Ok(())
    }

    /// One that was counted is none after all.
    pub(crate) fn take_back(&self, whose: Option<K>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &mut counted.forgotten;
        let whose = if all.contains_key(&whose) {
            whose
        } else {
            None
        };
        if let Some(forgotten) = all.get_mut(&whose) {
            *forgotten = forgotten
                .checked_sub(self.bound.forgotten_after)
                .unwrap_or(*forgotten);
        }
    }

    /// How many are told apart.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.counted.lock().unwrap().forgotten.len()
    }
}

impl<K: Copy + Eq + Hash> Counted<K> {
    fn told_apart(&mut self, whose: Option<K>, most: usize, now: Instant) -> Option<K> {
        if self.forgotten.len() < most || self.forgotten.contains_key(&whose) {
            return whose;
        }
        let age = self.swept.map(|swept| now.saturating_duration_since(swept));
        if age.is_none_or(|age| age >= SWEPT_EVERY) {
            self.forgotten.retain(|_, forgotten| *forgotten > now);
            self.swept = Some(now);
        }
        whose.filter(|_| self.forgotten.len() < most)
    }
}
