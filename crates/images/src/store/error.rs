//! Why the store cannot do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use bailiwick_runtime::LayerDigest;
use rustix::io::Errno;

/// Why the store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something in it cannot be made, read, written or removed.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Somebody else owns a directory of the store, or may write in it.
    #[error("{} belongs to uid {owner} or others may write in it; Bailiwick keeps layers only where nobody else can", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// There is no layer by this key.
    #[error("there is no layer {key}")]
    Missing {
        /// The key.
        key: LayerDigest,
    },
    /// Somebody uses the layer, or builds or removes it now.
    #[error("layer {key} is in use")]
    InUse {
        /// Its key.
        key: LayerDigest,
    },
    /// Another layer stands on the layer.
    #[error("layer {key} cannot go while {above} stands on it; remove that one first")]
    StoodOn {
        /// Its key.
        key: LayerDigest,
        /// One that stands on it.
        above: LayerDigest,
    },
    /// What a layer says about itself is longer than [`LAYER_RECORD_BYTES`](bailiwick_model::limits::LAYER_RECORD_BYTES).
    #[error("the record of layer {key} would have {bytes} bytes, which is too many")]
    RecordTooLarge {
        /// The key.
        key: LayerDigest,
        /// How many bytes it would have.
        bytes: usize,
    },
}

/// For `map_err`: what was tried, on what.
pub(crate) fn io_error<E: Into<io::Error>>(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> StoreError {
    move |error| StoreError::Io {
        action,
        path: path.to_owned(),
        error: error.into(),
    }
}

/// `None` where there is nothing by that name, or something of another kind.
pub(crate) fn absent_is_none<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}
