//! What can go wrong with a database.

use std::io;
use std::path::PathBuf;

/// Why a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or all its connections are in use for too long.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// Something else has that name, or is that one.
    #[error("there is one with this name already")]
    Taken,
    /// Something refers to it.
    #[error("something refers to it")]
    Referred,
    /// It was changed since it was read.
    #[error("it was changed by somebody else")]
    Stale,
    /// What is stored cannot be read.
    #[error("the column {column} holds what it cannot hold")]
    Corrupt {
        /// Of the query.
        column: &'static str,
    },
    /// A file of it cannot be opened, or others cannot be kept from it.
    #[error("cannot open {} for nobody but its owner", .path.display())]
    OpenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is no copy of a database.
    #[error("{0}")]
    NotACopy(&'static str),
    /// The tables could not be brought to this version.
    #[error("the tables could not be brought to this version")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database refused a query.
    #[error("the database refused a query")]
    Refused(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(database) = error.as_database_error() {
            if database.is_unique_violation() {
                return Self::Taken;
            }
            if database.is_foreign_key_violation() {
                return Self::Referred;
            }
            return Self::Refused(error);
        }
        let unreachable = matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        );
        if unreachable {
            Self::Unavailable(error)
        } else {
            Self::Refused(error)
        }
    }
}
