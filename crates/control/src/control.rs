//! What all use cases share.

use bailiwick_store::Store;

use crate::authentication::KnownKeys;
use crate::error::ControlError;
use crate::failures::Failures;

/// The use cases, on one database.
#[derive(Debug)]
pub struct Control {
    pub(crate) store: Store,
    pub(crate) known_keys: KnownKeys,
    pub(crate) failures: Failures,
}

impl Control {
    /// On this database.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            known_keys: KnownKeys::default(),
            failures: Failures::default(),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn check(&self) -> Result<(), ControlError> {
        Ok(self.store.check().await?)
    }
}
