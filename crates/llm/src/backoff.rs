//! How long to wait before a request is tried again.

use std::time::Duration;

use bailiwick_model::limits::{LLM_BACK_OFF_LEAST, LLM_BACK_OFF_MOST};

/// Exponential back-off with full jitter: before retry `n` (from 0) a wait is drawn from 0 to `least` * 2^n, at most `most`, so that many that
/// failed together do not come back together. It has neither clock nor dice: both are the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first retry.
    pub least: Duration,
    /// The longest wait before any.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            least: LLM_BACK_OFF_LEAST,
            most: LLM_BACK_OFF_MOST,
        }
    }
}

impl Backoff {
    /// The wait before retry `retry`, from 0. `random` is a fresh random number. An upstream that asked for a wait gets it, and a little more.
    pub fn wait(&self, retry: u32, random: u64, asked: Option<Duration>) -> Duration {
        match asked {
            Some(asked) => asked.saturating_add(share(self.least, random)),
            None => share(self.longest(retry), random),
        }
    }

    fn longest(&self, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
        self.least.saturating_mul(factor).min(self.most)
    }
}

/// From 0 to `whole`, as `random` is from 0 to its largest.
fn share(whole: Duration, random: u64) -> Duration {
    let nanos = whole.as_nanos().saturating_mul(u128::from(random)) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_waits_double_up_to_a_bound() {
        let longest = |retry| Backoff::default().wait(retry, u64::MAX, None).as_millis();
        assert_eq!(
            [0, 1, 2, 5, 6, 31, 32, u32::MAX].map(longest),
            [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000, 30_000]
        );
        assert_eq!(Backoff::default().wait(9, 0, None), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_bounds(retry: u32, random: u64, asked in proptest::option::of(0..100_000_u64)) {
            let (backoff, asked) = (Backoff::default(), asked.map(Duration::from_millis));
            let wait = backoff.wait(retry, random, asked);
            match asked {
                Some(asked) => prop_assert!(asked <= wait && wait <= asked + backoff.least),
                None => prop_assert!(wait <= backoff.most),
            }
        }
    }
}
