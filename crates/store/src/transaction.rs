//! Statements that become visible together, or not at all.

use sqlx::{Any, AnyConnection};
use tracing::Instrument as _;

use crate::error::StoreError;
use crate::patience::{Patient, name_of, patiently, traced};
use crate::together::Part;

/// A transaction; dropping it undoes it.
#[derive(Debug)]
pub(crate) enum Transaction {
    /// One of its own.
    Whole(sqlx::Transaction<'static, Any>),
    /// A part of one.
    Part(Part),
}

impl Transaction {
    /// Takes the next statement.
    pub(crate) fn connection(&mut self) -> Patient<'_> {
        Patient(self.bare())
    }

    fn bare(&mut self) -> &mut AnyConnection {
        match self {
            Self::Whole(transaction) => transaction,
            Self::Part(part) => part.connection(),
        }
    }

    /// Makes it visible, once it is on the disk.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let span = traced(name_of(self.bare()), "commit");
        let committed = async {
            match self {
                Self::Whole(transaction) => patiently(transaction.commit()).await,
                // Not given up: it goes there, also if it has to wait for others.
                Self::Part(part) => part.commit().await,
            }
        };
        Ok(committed.instrument(span).await?)
    }

    /// Undoes it; what it saw of others is there for those who read.
    pub(crate) async fn undo(self) -> Result<(), StoreError> {
        match self {
            // It saw what everybody sees.
            Self::Whole(_) => Ok(()),
            Self::Part(part) => Ok(part.undo().await?),
        }
    }
}
