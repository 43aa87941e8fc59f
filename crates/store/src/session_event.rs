//! What happens in sessions: reading it.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::limits::{EVENT_PAGE_BYTES, STREAM_READ_BYTES};
use bailiwick_model::{SessionEventId, SessionEventType, SessionId, SessionThreadId};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::Columns;
use crate::session::Order;
use crate::store::Scope;

macro_rules! columns {
    () => {
        "session_id, sequence, id, thread_id, in_session, type, body, answers, answer, created_at, processed_at"
    };
}
pub(crate) use columns;

macro_rules! select {
    ($($rest:expr),+) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM session_event WHERE organization_id = $1 AND session_id = $2 ",
            $($rest),+
        )
    };
}

/// At most `$4` events, and no more after the one with which they have `$5` bytes together.
macro_rules! bounded {
    ($filter:expr, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM session_event WHERE session_id = $2 AND sequence IN (SELECT sequence FROM \
             (SELECT sequence, CAST(SUM(body_bytes) OVER (ORDER BY ",
            $order,
            ") - body_bytes AS BIGINT) AS bytes_before FROM session_event WHERE organization_id = $1 AND session_id = $2 AND ",
            $filter,
            " ORDER BY ",
            $order,
            " LIMIT $4) AS page WHERE bytes_before < $5) ORDER BY ",
            $order
        )
    };
}

/// What an event says to a call of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionAnswer {
    /// Whether it may be made.
    Confirmation,
    /// What it came to.
    Result,
}

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// In which.
    pub session: SessionId,
    /// Its number in it: from 1, in the order of commits.
    pub sequence: i64,
    /// Its id.
    pub id: SessionEventId,
    /// In which thread.
    pub thread: SessionThreadId,
    /// Whether the session's own list has it too.
    pub in_session: bool,
    /// What kind it is.
    pub kind: SessionEventType,
    /// What the wire shows besides id, type and time: a JSON object.
    pub body: String,
    /// The call of a tool that it says something to.
    pub answers: Option<(SessionEventId, SessionAnswer)>,
    /// When it was stored. Those of one session have different times, in the order of their numbers.
    pub created_at: Timestamp,
    /// When it was taken up.
    pub processed_at: Option<Timestamp>,
}

/// Something that happened in a session, as whoever runs it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// What everybody sees.
    pub event: SessionEvent,
    /// Whether a call was begun.
    pub is_begun: bool,
    /// What only they read.
    pub private: Option<String>,
}

/// Which events are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEventFilter {
    /// Those of this thread; without it, those of the session's own list.
    pub thread: Option<SessionThreadId>,
    /// Of these kinds; of all if there are none.
    pub kinds: Vec<SessionEventType>,
    /// Taken up then or later.
    pub processed_from: Option<Timestamp>,
    /// Taken up then or before.
    pub processed_until: Option<Timestamp>,
}

/// A part of a list of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEventPage {
    /// In which order.
    pub order: Order,
    /// After this number, in that order; without it, from the beginning.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl SessionAnswer {
    const ALL: [Self; 2] = [Self::Confirmation, Self::Result];

    fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Result => "result",
        }
    }
}

impl fmt::Display for SessionAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SessionAnswer {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or(StoreError::Corrupt { column: "answer" })
    }
}

impl SessionEvent {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let answers = row.optional_id("answers")?;
        let answers = match answers {
            Some(id) => Some((id, row.word("answer")?)),
            None => None,
        };
        Ok(Self {
            session: row.id("session_id")?,
            sequence: row.value("sequence")?,
            id: row.id("id")?,
            thread: row.id("thread_id")?,
            in_session: row.flag("in_session")?,
            kind: row.word("type")?,
            body: row.value("body")?,
            answers,
            created_at: row.time("created_at")?,
            processed_at: row.optional_time("processed_at")?,
        })
    }

    /// Whether it is in the list of a thread, or without one, of its session.
    pub fn is_of(&self, thread: Option<&SessionThreadId>) -> bool {
        match thread {
            Some(thread) => self.thread == *thread,
            None => self.in_session,
        }
    }
}

impl SessionEventFilter {
    /// All of the session's own list.
    pub fn of_session() -> Self {
        Self {
            thread: None,
            kinds: Vec::new(),
            processed_from: None,
            processed_until: None,
        }
    }

    /// What is asked for of the kinds, as a text in which each stands between two commas.
    fn kinds_text(&self) -> String {
        let mut text = String::new();
        for kind in &self.kinds {
            text.push(',');
            text.push_str(kind.as_str());
        }
        if !text.is_empty() {
            text.push(',');
        }
        text
    }
}

impl Scope<'_> {
    /// Events of a session, by their numbers: as many as have so many bytes together, and one at least.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_events(
        &self,
        session: &SessionId,
        page: SessionEventPage,
        filter: &SessionEventFilter,
    ) -> Result<Vec<SessionEvent>, StoreError> {
        macro_rules! filtered {
            ($side:literal, $order:literal) => {
                bounded!(
                    concat!(
                        "(($6 = '' AND in_session = 1) OR thread_id = $6) AND ($7 = '' OR $7 LIKE ('%,' || type || ',%')) \
                         AND ($8 = 0 OR (processed_at >= $9 AND processed_at <= $10)) AND sequence ",
                        $side
                    ),
                    $order
                )
            };
        }
        let (query, edge) = match page.order {
            Order::OldestFirst => (sqlx::query(filtered!("> $3", "sequence")), 0),
            Order::NewestFirst => (sqlx::query(filtered!("< $3", "sequence DESC")), i64::MAX),
        };
        let (from, until) = (filter.processed_from, filter.processed_until);
        let thread = filter.thread.as_ref().map(ToString::to_string);
        let rows = query
            .bind(self.organization.to_string())
            .bind(session.to_string())
            .bind(page.after.unwrap_or(edge))
            .bind(i64::from(page.limit))
            .bind(EVENT_PAGE_BYTES)
            .bind(thread.unwrap_or_default())
            .bind(filter.kinds_text())
            .bind(i64::from(from.is_some() || until.is_some()))
            .bind(from.unwrap_or(Timestamp::MIN).as_microsecond())
            .bind(until.unwrap_or(Timestamp::MAX).as_microsecond())
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(SessionEvent::read).collect()
    }

    /// All that happened in a session after an event, in all of its threads: at most `limit`, and as many as a stream holds.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_events_after(
        &self,
        session: &SessionId,
        sequence: i64,
        limit: u32,
    ) -> Result<Vec<SessionEvent>, StoreError> {
        let rows = sqlx::query(bounded!("sequence > $3", "sequence"))
            .bind(self.organization.to_string())
            .bind(session.to_string())
            .bind(sequence)
            .bind(i64::from(limit))
            .bind(STREAM_READ_BYTES)
            .fetch_all(self.pool)
            .await?;
        rows.iter().map(SessionEvent::read).collect()
    }

    /// The same, for whoever runs the session.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_records_after(
        &self,
        session: &SessionId,
        sequence: i64,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            ", begun_at, private FROM session_event \
             WHERE organization_id = $1 AND session_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"
        ))
        .bind(self.organization.to_string())
        .bind(session.to_string())
        .bind(sequence)
        .bind(i64::from(limit))
        .fetch_all(self.pool)
        .await?;
        let read = |row: &AnyRow| {
            Ok(SessionRecord {
                event: SessionEvent::read(row)?,
                is_begun: row.optional_time("begun_at")?.is_some(),
                private: row.value("private")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// One event of a session.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_event(
        &self,
        session: &SessionId,
        id: &SessionEventId,
    ) -> Result<Option<SessionEvent>, StoreError> {
        let row = sqlx::query(select!("AND id = $3"))
            .bind(self.organization.to_string())
            .bind(session.to_string())
            .bind(id.to_string())
            .fetch_optional(self.pool)
            .await?;
        row.as_ref().map(SessionEvent::read).transpose()
    }

    /// Events of a session that nobody has taken up, the oldest first: as many as have so many bytes together, and one at least.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn queued_session_events(
        &self,
        session: &SessionId,
        limit: u32,
    ) -> Result<Vec<SessionEvent>, StoreError> {
        let rows = sqlx::query(bounded!(
            "processed_at IS NULL AND sequence > $3",
            "sequence"
        ))
        .bind(self.organization.to_string())
        .bind(session.to_string())
        .bind(0_i64)
        .bind(i64::from(limit))
        .bind(EVENT_PAGE_BYTES)
        .fetch_all(self.pool)
        .await?;
        rows.iter().map(SessionEvent::read).collect()
    }

    /// The number of the last event of a session; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_sequence(&self, session: &SessionId) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query(
            "SELECT event_sequence FROM session WHERE organization_id = $1 AND id = $2",
        )
        .bind(self.organization.to_string())
        .bind(session.to_string())
        .fetch_optional(self.pool)
        .await?;
        row.map(|row| row.value("event_sequence")).transpose()
    }
}
