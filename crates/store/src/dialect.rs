//! What the two databases do differently.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::checkpoints::BY_A_COMMIT;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// As OpenTelemetry's conventions have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }

    /// The words in braces of a migration. A line that begins with a database's own is for that one alone.
    pub(crate) fn translate(self, sql: &str) -> String {
        let (id, bytes) = match self {
            Self::Sqlite => ("TEXT", "BLOB"),
            // Ids are compared byte by byte, whatever the database's collation.
            Self::Postgres => (r#"TEXT COLLATE "C""#, "BYTEA"),
        };
        let (own, other) = match self {
            Self::Sqlite => ("{sqlite} ", "{postgres} "),
            Self::Postgres => ("{postgres} ", "{sqlite} "),
        };
        let lines = sql.split_inclusive('\n');
        let lines = lines.filter(|line| !line.starts_with(other));
        let sql: String = lines
            .map(|line| line.strip_prefix(own).unwrap_or(line))
            .collect();
        sql.replace("{id}", id).replace("{bytes}", bytes)
    }

    /// What every connection of it begins with.
    pub(crate) fn on_connect(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[
                "PRAGMA journal_mode = WAL",
                // What was acknowledged survives the loss of power.
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
                "PRAGMA busy_timeout = 10000",
            ],
            Self::Postgres => &[],
        }
    }

    /// And one that writes, besides.
    pub(crate) fn on_connect_to_write(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[BY_A_COMMIT],
            Self::Postgres => &[],
        }
    }

    /// And a connection that only reads, besides.
    pub(crate) fn on_connect_to_read(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA query_only = ON"],
            Self::Postgres => &["SET default_transaction_read_only = on"],
        }
    }
}

/// Where the database is: `sqlite:PATH` or `postgres://…`.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of this machine.
    Sqlite(PathBuf),
    /// A server's URL, with its password.
    Postgres(String),
}

/// Neither `sqlite:PATH` nor `postgres://…`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a database's URL is sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
pub struct NotADatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = NotADatabaseUrl;

    fn from_str(text: &str) -> Result<Self, NotADatabaseUrl> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(_) | None => Err(NotADatabaseUrl),
        }
    }
}

/// Without the password.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

impl DatabaseUrl {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) fn as_text(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}?mode=rwc", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }
}
