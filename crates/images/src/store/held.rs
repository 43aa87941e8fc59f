//! Layers that are in use.

use std::fs::File;
use std::time::{Duration, Instant};

use bailiwick_model::limits::LAYER_LOCK_WAIT;
use bailiwick_runtime::LayerDigest;

use super::lock::{self, Kind};
use super::{Layer, Store, StoreError};

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(1);

/// Layers that stay as long as this lives. The kernel lets go of them if the process dies.
#[derive(Debug, Default)]
pub struct Held {
    layers: Vec<Layer>,
    _locks: Vec<File>,
}

impl Held {
    /// The layers, in the order in which they were asked for.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(super) fn take(store: &Store, keys: &[LayerDigest]) -> Result<Self, StoreError> {
        let taken: Result<Vec<_>, _> = keys.iter().map(|key| take_one(store, key)).collect();
        let (layers, locks) = taken?.into_iter().unzip();
        Ok(Self {
            layers,
            _locks: locks,
        })
    }
}

fn take_one(store: &Store, key: &LayerDigest) -> Result<(Layer, File), StoreError> {
    let path = store.lock_path(key);
    let begun = Instant::now();
    loop {
        // First, or a look for what never was would leave a lock file; again under the lock, since only then it stays.
        if !store.layer_directory(key).exists() {
            return Err(StoreError::Missing { key: key.clone() });
        }
        if let Some(lock) = lock::take(&path, Kind::Shared)? {
            let Some(layer) = store.find(key)? else {
                return Err(StoreError::Missing { key: key.clone() });
            };
            lock::touch(&lock, &path)?;
            return Ok((layer, lock));
        }
        if begun.elapsed() > LAYER_LOCK_WAIT {
            return Err(StoreError::InUse { key: key.clone() });
        }
        std::thread::sleep(PAUSE);
    }
}
