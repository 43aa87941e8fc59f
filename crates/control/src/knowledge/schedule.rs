//! When a connector is synced the next time.

use bailiwick_model::limits::{KNOWLEDGE_EVERY_MINUTES_LEAST, KNOWLEDGE_EVERY_MINUTES_MOST};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::config::KnowledgeSchedule;
use crate::error::ControlError;
use crate::names::problem;

impl KnowledgeSchedule {
    pub(super) fn check(&self) -> Result<(), ControlError> {
        match self {
            Self::EveryMinutes(minutes) => {
                let (least, most) = (KNOWLEDGE_EVERY_MINUTES_LEAST, KNOWLEDGE_EVERY_MINUTES_MOST);
                if (least..=most).contains(minutes) {
                    return Ok(());
                }
                let message = format!("is not {least} to {most} minutes");
                Err(problem(
                    "schedule.every_minutes",
                    "out_of_range",
                    &message,
                    "choose another one",
                ))
            }
            Self::DailyAt(text) => time(text).map(|_| ()).ok_or_else(|| {
                problem(
                    "schedule.daily_at",
                    "invalid_time",
                    "is no time of day",
                    "write HH:MM, such as 03:30",
                )
            }),
        }
    }

    /// The first moment after this one.
    pub(super) fn after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::EveryMinutes(minutes) => {
                now.checked_add(SignedDuration::from_mins(*minutes)).ok()
            }
            Self::DailyAt(text) => {
                let today = now.to_zoned(zone.clone()).date();
                let time = time(text)?;
                let at = |days: i64| {
                    let day = today.checked_add(days.days()).ok()?;
                    // A time that a change of clocks leaves out is the one after it.
                    let at = day.to_datetime(time).to_zoned(zone.clone()).ok()?;
                    Some(at.timestamp())
                };
                (0..=2).filter_map(at).find(|at| *at > now)
            }
        }
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| match text.len() {
        2 if text.bytes().all(|digit| digit.is_ascii_digit()) => text.parse::<i8>().ok(),
        _ => None,
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &KnowledgeSchedule, now: &str) -> String {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let next = schedule.after(now.parse().unwrap(), &zone);
        next.unwrap().to_string()
    }

    #[test]
    fn a_day_begins_in_the_organizations_time_zone() {
        let daily = KnowledgeSchedule::DailyAt("02:30".to_owned());
        assert_eq!(next(&daily, "2026-01-10T00:00:00Z"), "2026-01-10T01:30:00Z");
        assert_eq!(next(&daily, "2026-01-10T01:30:00Z"), "2026-01-11T01:30:00Z");
        // There is no half past two on that day.
        assert_eq!(next(&daily, "2026-03-28T12:00:00Z"), "2026-03-29T01:30:00Z");
        let often = KnowledgeSchedule::EveryMinutes(15);
        assert_eq!(next(&often, "2026-01-10T00:00:00Z"), "2026-01-10T00:15:00Z");
    }

    #[test]
    fn only_a_time_of_day_is_one() {
        for wrong in ["", "3:30", "24:00", "12:60", "12:5", "+1:00", "12:00:00"] {
            assert!(
                KnowledgeSchedule::DailyAt(wrong.to_owned())
                    .check()
                    .is_err(),
                "{wrong}"
            );
        }
        for wrong in [i64::MIN, 0, 4, 1_000_000, i64::MAX] {
            assert!(
                KnowledgeSchedule::EveryMinutes(wrong).check().is_err(),
                "{wrong}"
            );
        }
        assert!(
            KnowledgeSchedule::DailyAt("23:59".to_owned())
                .check()
                .is_ok()
        );
    }
}
