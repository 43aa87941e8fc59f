//! What several servers on one PostgreSQL tell each other of sessions and gateways: ids and numbers, nothing of what happened. A database of SQLite has one
//! user, who tells nobody.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::SessionId;
use sqlx::postgres::PgListener;

use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::patience::patiently;
use crate::row::Columns;
use crate::store::Store;

const CHANNEL: &str = "bailiwick_session";
const GATEWAYS: &str = "bailiwick_gateway";
/// Sessions that one query asks for.
const SESSIONS: usize = 20;

/// A session has something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionNotice {
    /// Which.
    pub session: SessionId,
    /// The number of its last event; of one that is gone, one more.
    pub sequence: i64,
    /// Whether there is something to do in it that there was not before.
    pub has_begun: bool,
    /// Whether less is allowed in it than before.
    pub is_tightened: bool,
}

/// What somebody told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A session has something new.
    Session(SessionNotice),
    /// What holds for some gateway of MCP may be another thing than before.
    Gateways,
}

/// Hears what others tell.
#[derive(Debug)]
pub struct Notices(PgListener);

impl fmt::Display for SessionNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [begun, tightened] = [self.has_begun, self.is_tightened].map(u8::from);
        write!(f, "{} {} {begun} {tightened}", self.session, self.sequence)
    }
}

impl FromStr for SessionNotice {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        const NONE: StoreError = StoreError::Corrupt { column: "notice" };
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(NONE);
        Ok(Self {
            session: word()?.parse().map_err(|_| NONE)?,
            sequence: word()?.parse().map_err(|_| NONE)?,
            has_begun: word()? == "1",
            // The release before says nothing of it.
            is_tightened: word().is_ok_and(|word| word == "1"),
        })
    }
}

impl Store {
    /// Whether several servers may be at work on this database.
    pub fn is_shared(&self) -> bool {
        match self.dialect() {
            Dialect::Sqlite => false,
            Dialect::Postgres => true,
        }
    }

    /// Tells every server. Outside of any change: a transaction with a notice in it waits for all others that have one until it is committed.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn tell(&self, notice: &SessionNotice) -> Result<(), StoreError> {
        let statement = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(notice.to_string());
        self.execute(statement).await?;
        Ok(())
    }

    /// Tells every server that what was read for gateways may hold no more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn tell_of_gateways(&self) -> Result<(), StoreError> {
        let statement = sqlx::query("SELECT pg_notify($1, '')").bind(GATEWAYS);
        self.execute(statement).await?;
        Ok(())
    }

    /// Begins to hear what is told, if there is anybody to tell something.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn listen(&self) -> Result<Option<Notices>, StoreError> {
        let Some(url) = self.postgres_url() else {
            return Ok(None);
        };
        let mut listener = patiently(PgListener::connect(url)).await?;
        patiently(listener.listen_all([CHANNEL, GATEWAYS])).await?;
        Ok(Some(Notices(listener)))
    }

    /// The numbers of the last events of some sessions; what is gone is missing.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn session_sequences(
        &self,
        sessions: &[SessionId],
    ) -> Result<Vec<(SessionId, i64)>, StoreError> {
        let mut found = Vec::with_capacity(sessions.len());
        for some in sessions.chunks(SESSIONS) {
            let mut query = sqlx::query(
                "SELECT id, event_sequence FROM session WHERE id IN \
                 ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
            );
            for index in 0..SESSIONS {
                query = query.bind(some.get(index).map(ToString::to_string).unwrap_or_default());
            }
            for row in &query.fetch_all(self.reader()).await? {
                found.push((row.id("id")?, row.value("event_sequence")?));
            }
        }
        Ok(found)
    }
}

impl Notices {
    /// The next notice; `None` if some may have been missed, since the connection was lost.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn next(&mut self) -> Result<Option<Notice>, StoreError> {
        let heard = self.0.try_recv().await?;
        let Some(heard) = heard else {
            return Ok(None);
        };
        if heard.channel() == GATEWAYS {
            return Ok(Some(Notice::Gateways));
        }
        heard.payload().parse().map(Notice::Session).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::ResourceId as _;

    use super::*;

    #[test]
    fn a_notice_is_heard_as_it_was_told() {
        let notice = SessionNotice {
            session: SessionId::made(1_795_000_000_000, [7; 10]),
            sequence: 12,
            has_begun: true,
            is_tightened: true,
        };
        let heard: SessionNotice = notice.to_string().parse().unwrap();
        assert_eq!(heard, notice);
        let text = notice.to_string();
        let before = text.strip_suffix(" 1").unwrap();
        let heard: SessionNotice = before.parse().unwrap();
        assert!(heard.has_begun && !heard.is_tightened);
        assert!("sesn_x 1 1".parse::<SessionNotice>().is_err());
    }
}
