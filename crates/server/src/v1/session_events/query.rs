//! What lists of events and threads are asked for.

use bailiwick_control::ThreadView;
use bailiwick_model::limits::EVENT_KINDS_ASKED;
use bailiwick_model::{SessionEventType, SessionStatus, SessionThreadId};
use bailiwick_store::{Order, SessionEvent, SessionEventFilter, SessionEventPage};
use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;

/// What a cursor begins with.
const CURSOR: &str = "page_";

/// What a list of events is asked for.
pub(super) struct EventQuery {
    pub(super) page: SessionEventPage,
    pub(super) filter: SessionEventFilter,
}

/// What a list of threads is asked for.
pub(super) struct ThreadQuery {
    pub(super) statuses: Vec<SessionStatus>,
    limit: usize,
    after: Option<SessionThreadId>,
}

pub(super) fn wrong(field: &'static str, message: &str) -> Failure {
    Failure::Parameter {
        field,
        message: message.to_owned(),
    }
}

/// Which kinds are named; what a name stands for is none too many.
pub(super) fn kinds(
    named: &[&str],
    field: &'static str,
    known: impl Fn(SessionEventType) -> bool,
) -> Result<Vec<SessionEventType>, Failure> {
    if named.len() > EVENT_KINDS_ASKED {
        return Err(wrong(
            field,
            &format!("names more than {EVENT_KINDS_ASKED} types"),
        ));
    }
    let kind = |name: &&str| {
        let kind = name.parse().ok().filter(|kind| known(*kind));
        kind.ok_or_else(|| wrong(field, &format!("does not take {name:?}")))
    };
    named.iter().map(kind).collect()
}

impl EventQuery {
    pub(super) fn of(parameters: &[(String, String)], most: u32) -> Result<Self, Failure> {
        let (mut limit, mut order, mut cursor) = (most, Order::OldestFirst, None);
        let (mut from, mut until, mut named) = (None, None, Vec::new());
        for (name, value) in parameters {
            match name.as_str() {
                "limit" => limit = limit_of(value, most)?,
                "order" => order = order_of(value)?,
                "page" => cursor = Some(value),
                "types" | "types[]" => named.push(value.as_str()),
                "created_at[gte]" => from = from.max(Some(time(value)?)),
                "created_at[gt]" => from = from.max(Some(next_to(time(value)?, 1))),
                "created_at[lte]" => until = earlier(until, time(value)?),
                "created_at[lt]" => until = earlier(until, next_to(time(value)?, -1)),
                // SDKs send some that mean nothing here, such as `beta`.
                _ => {}
            }
        }
        let after = cursor.map(|cursor| place(cursor, order)).transpose()?;
        Ok(Self {
            page: SessionEventPage {
                order,
                after,
                limit,
            },
            filter: SessionEventFilter {
                thread: None,
                kinds: kinds(&named, "types", |_| true)?,
                processed_from: from,
                processed_until: until,
            },
        })
    }

    /// Where the page after these begins: there may be one whenever there were any.
    pub(super) fn next(&self, found: &[SessionEvent]) -> Option<String> {
        let last = found.last()?;
        let letter = letter(self.page.order);
        (!self.is_whole(found)).then(|| format!("{CURSOR}{letter}{}", last.sequence))
    }

    /// Fewer than asked for, and not for their size, are all that there are.
    fn is_whole(&self, found: &[SessionEvent]) -> bool {
        let bytes: usize = found.iter().map(|event| event.body.len()).sum();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        found.len() < self.page.limit as usize && bytes < bailiwick_model::limits::EVENT_PAGE_BYTES
    }
}

impl ThreadQuery {
    pub(super) fn of(parameters: &[(String, String)], most: u32) -> Result<Self, Failure> {
        let (mut statuses, mut limit, mut after) = (Vec::new(), most, None);
        for (name, value) in parameters {
            match name.as_str() {
                "limit" => limit = limit_of(value, most)?,
                "page" => {
                    let id = value
                        .strip_prefix(CURSOR)
                        .and_then(|text| text.parse().ok());
                    after = Some(id.ok_or_else(|| wrong("page", "is not a cursor of this list"))?);
                }
                "statuses" | "statuses[]" => {
                    let status = value.parse();
                    statuses.push(status.map_err(|_| wrong("statuses", "is no status"))?);
                }
                _ => {}
            }
        }
        if statuses.is_empty() {
            statuses = SessionStatus::ALL.to_vec();
        }
        Ok(Self {
            statuses,
            limit: limit as usize,
            after,
        })
    }

    /// The page of these, and where the next one begins.
    pub(super) fn page<'a>(
        &self,
        all: &'a [ThreadView],
    ) -> (
        impl Iterator<Item = &'a ThreadView> + use<'a>,
        Option<String>,
    ) {
        let first = match &self.after {
            Some(after) => {
                let place = all.iter().position(|view| view.thread.id == *after);
                place.map_or(all.len(), |place| place + 1)
            }
            None => 0,
        };
        let end = all.len().min(first + self.limit);
        let next = (end < all.len()).then(|| format!("{CURSOR}{}", all[end - 1].thread.id));
        (all[first..end].iter(), next)
    }
}

fn limit_of(text: &str, most: u32) -> Result<u32, Failure> {
    let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| wrong("limit", &format!("is a number from 1 to {most}")))
}

fn order_of(text: &str) -> Result<Order, Failure> {
    match text {
        "asc" => Ok(Order::OldestFirst),
        "desc" => Ok(Order::NewestFirst),
        _ => Err(wrong("order", "is `asc` or `desc`")),
    }
}

fn time(text: &str) -> Result<Timestamp, Failure> {
    let time = text.parse();
    time.map_err(|_| wrong("created_at", "is a time as in RFC 3339, with its zone"))
}

/// Times are stored in microseconds.
fn next_to(time: Timestamp, micros: i64) -> Timestamp {
    let moved = time.checked_add(SignedDuration::from_micros(micros));
    moved.unwrap_or(time)
}

fn earlier(one: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    Some(one.map_or(other, |one| one.min(other)))
}

fn letter(order: Order) -> char {
    match order {
        Order::OldestFirst => 'a',
        Order::NewestFirst => 'd',
    }
}

/// A cursor is one of the order that it was made for.
fn place(cursor: &str, order: Order) -> Result<i64, Failure> {
    let text = cursor.strip_prefix(CURSOR);
    let digits = text.and_then(|text| text.strip_prefix(letter(order)));
    let is_digits = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let place = digits
        .filter(is_digits)
        .and_then(|digits| digits.parse().ok());
    place.ok_or_else(|| wrong("page", "is not a cursor of this list in this order"))
}
