//! Which resolution of what a key stands for is in force.
//!
//! A layer that is in use cannot be made anew in its place, so a new resolution is another layer, with a number in its key, and here is written which
//! number that is. The entry is by the key that the layer has without a number; it is never removed, or an old resolution would come back.

use std::fs::{self, File};
use std::io::{self, Write};

use bailiwick_runtime::LayerDigest;

use super::{Store, StoreError, io_error, random_name, sync_directory};

impl Store {
    /// The resolution that is in force; 0 is the first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], also if what is there is no number.
    pub fn generation(&self, first: &LayerDigest) -> Result<u64, StoreError> {
        let path = self.path.join("generations").join(first.digits());
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other.map_err(io_error("read", &path))?,
        };
        text.trim()
            .parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            .map_err(io_error("read", &path))
    }

    /// Puts a resolution in force, unless a later one is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn set_generation(&self, first: &LayerDigest, generation: u64) -> Result<(), StoreError> {
        if self.generation(first)? >= generation {
            return Ok(());
        }
        let directory = self.path.join("generations");
        let path = directory.join(first.digits());
        // Not the name of a key.
        let random = random_name().map_err(io_error("name", &path))?;
        let draft = directory.join(format!("{}-{random}", first.digits()));
        File::create(&draft)
            .and_then(|mut file| {
                write!(file, "{generation}")?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(io_error("write", &path))?;
        sync_directory(&directory)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::GcLimits;

    #[test]
    fn the_latest_resolution_is_in_force_for_its_key_alone_and_outlives_a_clean_up() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let key = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().unwrap();
        let (one, other): (LayerDigest, LayerDigest) = (key("a"), key("b"));
        assert_eq!(store.generation(&one).unwrap(), 0);
        store.set_generation(&one, 7).unwrap();
        store.set_generation(&one, 5).unwrap();
        let limits = GcLimits {
            unused_for: Duration::ZERO,
            budget_bytes: Some(0),
        };
        store.gc(limits, i64::MAX).unwrap();
        assert_eq!(store.generation(&one).unwrap(), 7);
        assert_eq!(store.generation(&other).unwrap(), 0);
    }

    #[test]
    fn what_is_no_number_is_an_error_and_not_the_first_resolution() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let key: LayerDigest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        fs::write(store.path().join("generations").join(key.digits()), "x").unwrap();
        assert!(store.generation(&key).is_err());
    }
}
