//! The one place of this crate that reads the clock.

use jiff::Timestamp;

/// Now, in whole microseconds: what is stored reads back as it was.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
