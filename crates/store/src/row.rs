//! Columns to values.

use bailiwick_model::ResourceId;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row as _, Type};

use crate::error::StoreError;

/// One row of an answer.
pub(crate) trait Columns {
    /// Any column that the database knows itself.
    fn value<'r, T: Decode<'r, Any> + Type<Any>>(
        &'r self,
        column: &'static str,
    ) -> Result<T, StoreError>;

    /// An id.
    fn id<I: ResourceId>(&self, column: &'static str) -> Result<I, StoreError> {
        parsed(&self.value::<String>(column)?, column)
    }

    /// An id that may be missing.
    fn optional_id<I: ResourceId>(&self, column: &'static str) -> Result<Option<I>, StoreError> {
        let text = self.value::<Option<String>>(column)?;
        text.map(|text| parsed(&text, column)).transpose()
    }

    /// A moment, stored in microseconds.
    fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        moment(self.value(column)?, column)
    }

    /// A moment that may be missing.
    fn optional_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let micros = self.value::<Option<i64>>(column)?;
        micros.map(|micros| moment(micros, column)).transpose()
    }

    /// A yes or no, stored as 1 or 0.
    fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.value::<i64>(column)? != 0)
    }

    /// A SHA-256 hash.
    fn hash(&self, column: &'static str) -> Result<[u8; 32], StoreError> {
        let bytes = self.value::<Vec<u8>>(column)?;
        bytes.try_into().map_err(|_| StoreError::Corrupt { column })
    }

    /// One of some words.
    fn word<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        let text = self.value::<String>(column)?;
        text.parse().map_err(|_| StoreError::Corrupt { column })
    }

    /// A value stored as JSON.
    fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let text = self.value::<String>(column)?;
        serde_json::from_str(&text).map_err(|_| StoreError::Corrupt { column })
    }
}

impl Columns for AnyRow {
    fn value<'r, T: Decode<'r, Any> + Type<Any>>(
        &'r self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        self.try_get(column)
            .map_err(|_| StoreError::Corrupt { column })
    }
}

fn parsed<I: ResourceId>(text: &str, column: &'static str) -> Result<I, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt { column })
}

/// By its nanoseconds: of the last second that there is, jiff takes no microseconds but the first.
fn moment(micros: i64, column: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_nanosecond(i128::from(micros) * 1000)
        .map_err(|_| StoreError::Corrupt { column })
}
