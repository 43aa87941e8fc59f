//! Windows of limits, as buckets.
//!
//! A rolling window has [`ROLLING_BUCKETS`] buckets, and the oldest counts until all of it has passed: what was spent leaves late by one part of it
//! and never early. A window of the calendar is one bucket.

use bailiwick_model::limits::ROLLING_BUCKETS;
use bailiwick_model::{CalendarWindow, LimitWindow, RollingWindow};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// A window at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first bucket that counts, by its beginning in seconds.
    pub(crate) from: i64,
    /// When all that counts now has left, if it does at once.
    pub(crate) resets_at: Option<Timestamp>,
}

/// The window that ends, or goes on, at this moment.
pub(crate) fn span(window: LimitWindow, zone: &TimeZone, at: Timestamp) -> Span {
    match window {
        LimitWindow::Rolling(rolling) => {
            let length = i64::try_from(rolling.length().as_secs()).unwrap_or(i64::MAX);
            Span {
                from: down(at.as_second().saturating_sub(length), seconds_of(rolling)),
                resets_at: None,
            }
        }
        LimitWindow::Calendar(calendar) => {
            let (start, end) = period(calendar, &at.to_zoned(zone.clone()));
            Span {
                from: start,
                resets_at: end,
            }
        }
    }
}

/// The bucket of a moment, by its beginning in seconds.
pub(crate) fn bucket(window: LimitWindow, zone: &TimeZone, at: Timestamp) -> i64 {
    match window {
        LimitWindow::Rolling(rolling) => down(at.as_second(), seconds_of(rolling)),
        LimitWindow::Calendar(_) => span(window, zone, at).from,
    }
}

/// Seconds of a bucket of a rolling window.
pub(crate) fn seconds_of(window: RollingWindow) -> i64 {
    let length = i64::try_from(window.length().as_secs()).unwrap_or(i64::MAX);
    length / ROLLING_BUCKETS
}

fn down(second: i64, step: i64) -> i64 {
    second.div_euclid(step) * step
}

/// From when to when a window of the calendar is. Days have the length that the zone gives them.
fn period(window: CalendarWindow, at: &Zoned) -> (i64, Option<Timestamp>) {
    let date = at.date();
    let since = |first: Weekday| i64::from(date.weekday().since(first));
    let (first, length) = match window {
        CalendarWindow::Day => (date, 1.day()),
        CalendarWindow::WeekFromSunday => {
            (date.saturating_sub(since(Weekday::Sunday).days()), 7.days())
        }
        CalendarWindow::WeekFromMonday => {
            (date.saturating_sub(since(Weekday::Monday).days()), 7.days())
        }
        CalendarWindow::Month => (date.first_of_month(), 1.month()),
    };
    // Where a day has no midnight it begins with its first moment.
    let begin = |date: jiff::civil::Date| date.to_zoned(at.time_zone().clone()).ok();
    let start = begin(first).map_or(i64::MIN, |start| start.timestamp().as_second());
    let end = first.checked_add(length).ok().and_then(begin);
    (start, end.map(|end| end.timestamp()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn calendar(window: CalendarWindow, zone: &str, now: &str) -> (String, String) {
        let zone = TimeZone::get(zone).unwrap();
        let span = span(LimitWindow::Calendar(window), &zone, at(now));
        let from = Timestamp::from_second(span.from).unwrap();
        (from.to_string(), span.resets_at.unwrap().to_string())
    }

    #[test]
    fn a_day_begins_where_the_organization_is() {
        let (from, to) = calendar(CalendarWindow::Day, "Asia/Tokyo", "2026-12-02T20:00:00Z");
        assert_eq!(from, "2026-12-02T15:00:00Z");
        assert_eq!(to, "2026-12-03T15:00:00Z");
    }

    #[test]
    fn a_day_on_which_clocks_change_has_the_hours_that_it_has() {
        let (from, to) = calendar(CalendarWindow::Day, "Europe/Berlin", "2026-03-29T12:00:00Z");
        assert_eq!(from, "2026-03-28T23:00:00Z");
        assert_eq!(to, "2026-03-29T22:00:00Z");
    }

    #[test]
    fn a_week_begins_on_the_day_that_was_said() {
        // A Wednesday.
        let now = "2026-12-02T12:00:00Z";
        let (sunday, _) = calendar(CalendarWindow::WeekFromSunday, "UTC", now);
        let (monday, next) = calendar(CalendarWindow::WeekFromMonday, "UTC", now);
        assert_eq!(sunday, "2026-11-29T00:00:00Z");
        assert_eq!(monday, "2026-11-30T00:00:00Z");
        assert_eq!(next, "2026-12-07T00:00:00Z");
        let (itself, _) = calendar(
            CalendarWindow::WeekFromMonday,
            "UTC",
            "2026-11-30T00:00:00Z",
        );
        assert_eq!(itself, "2026-11-30T00:00:00Z");
    }

    #[test]
    fn a_month_ends_with_its_last_day() {
        let (from, to) = calendar(CalendarWindow::Month, "UTC", "2028-02-29T23:59:59Z");
        assert_eq!(from, "2028-02-01T00:00:00Z");
        assert_eq!(to, "2028-03-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn what_was_spent_counts_for_the_whole_window_and_little_longer(
            spent in 1_700_000_000_i64..1_900_000_000,
            later in 0_i64..40 * 24 * 3600,
            which in 0..LimitWindow::ALL.len(),
        ) {
            let window = LimitWindow::ALL[which];
            let zone = TimeZone::get("America/New_York").unwrap();
            let moment = |second| Timestamp::from_second(second).unwrap();
            let bucket = bucket(window, &zone, moment(spent));
            let span = span(window, &zone, moment(spent + later));
            let counts = bucket >= span.from;
            match window {
                LimitWindow::Rolling(rolling) => {
                    let length = i64::try_from(rolling.length().as_secs()).unwrap();
                    prop_assert!(counts || later >= length);
                    prop_assert!(!counts || later <= length + 2 * seconds_of(rolling));
                }
                LimitWindow::Calendar(_) => {
                    let same = period_of(window, &zone, spent) == period_of(window, &zone, spent + later);
                    prop_assert_eq!(counts, same);
                }
            }
        }
    }

    fn period_of(window: LimitWindow, zone: &TimeZone, second: i64) -> i64 {
        span(window, zone, Timestamp::from_second(second).unwrap()).from
    }
}
