//! The clock: nothing else in the crate reads it.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The moment something began: for people, and for durations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) at: Timestamp,
    monotonic: Instant,
}

/// Now.
pub(crate) fn begin() -> Begun {
    Begun {
        at: Timestamp::now(),
        monotonic: Instant::now(),
    }
}

impl Begun {
    pub(crate) fn elapsed(self) -> Duration {
        self.monotonic.elapsed()
    }

    /// The time from `earlier` to here; zero if it is the other way round.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.monotonic.saturating_duration_since(earlier.monotonic)
    }
}
