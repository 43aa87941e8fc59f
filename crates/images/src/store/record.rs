//! What a layer says about itself: `layer.json`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bailiwick_model::limits::LAYER_RECORD_BYTES;
use bailiwick_runtime::LayerDigest;
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::error::{StoreError, absent_is_none, io_error};
use crate::key::LayerInputs;
use crate::lock::Detail;

/// Where the layer of a base has that, as a path inside the sandbox that made it and below the layer's tree.
pub(crate) const BASE_ROOT: &str = "/base";

/// A layer that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// By what it is found.
    pub key: LayerDigest,
    /// Where it is kept; nothing in there may be changed.
    pub directory: PathBuf,
    /// What it says about itself.
    pub record: LayerRecord,
}

/// What a layer was made of and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// What it was made of; its key follows from this.
    pub inputs: LayerInputs,
    /// Every package that is in it, as its manager told: the lock.
    pub resolved: Vec<ResolvedPackage>,
    /// What it takes on disk, in bytes; a file with two names counts once.
    pub bytes: u64,
    /// How many names in it are not directories.
    pub files: u64,
    /// Directories that could not be looked into, because they belong to a subordinate id of the user: what is in them is not counted.
    pub unread: u64,
    /// When its build ended, in seconds since 1970.
    pub built_at: i64,
    /// How long its build took, in seconds.
    pub seconds: u64,
}

/// A package that a manager installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedPackage {
    /// Its name.
    pub name: String,
    /// Its version, as its manager writes it.
    pub version: String,
    /// Where it came from, where the manager tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The hash of what was downloaded, where the manager tells: `sha256:` with hexadecimal digits, `sha512-` with base64 (npm), `h1:` (Go).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What its manager needs to know besides to install just this again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

impl Layer {
    /// What it puts over what lies below: `usr` in here is `/usr` inside.
    pub fn tree(&self) -> PathBuf {
        self.directory.join("tree")
    }

    /// The root of the base that it is, if it is one.
    pub fn base_root(&self) -> PathBuf {
        self.tree().join(BASE_ROOT.trim_start_matches('/'))
    }

    /// Reads the layer in `directory`; `None` if that is not a whole one, or not the one that its name says.
    pub(super) fn read(key: &LayerDigest, directory: PathBuf) -> Result<Option<Self>, StoreError> {
        let Some(text) = read_record(&directory.join("layer.json"))? else {
            return Ok(None);
        };
        let Ok(record) = serde_json::from_slice::<LayerRecord>(&text) else {
            return Ok(None);
        };
        let tree = directory.join("tree");
        let has_tree = absent_is_none(rustix::fs::lstat(&tree))
            .map_err(io_error("read", &tree))?
            .is_some_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode).is_dir());
        Ok((has_tree && record.inputs.key() == *key).then(|| Self {
            key: key.clone(),
            directory,
            record,
        }))
    }
}

impl LayerRecord {
    /// As it is kept.
    pub(super) fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        let text = serde_json::to_vec(self).map_err(io_error("write", path))?;
        if text.len() > LAYER_RECORD_BYTES {
            return Err(StoreError::RecordTooLarge {
                key: self.inputs.key(),
                bytes: text.len(),
            });
        }
        Ok(text)
    }
}

/// The record's text; `None` if there is none, or something that no build writes.
fn read_record(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    // A fifo would be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
    let Some(file) = absent_is_none(opened).map_err(io_error("open", path))? else {
        return Ok(None);
    };
    let file = File::from(file);
    let metadata = file.metadata().map_err(io_error("read", path))?;
    if !metadata.is_file() || metadata.len() > LAYER_RECORD_BYTES as u64 {
        return Ok(None);
    }
    let mut text = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(LAYER_RECORD_BYTES as u64)
        .read_to_end(&mut text)
        .map_err(io_error("read", path))?;
    Ok(Some(text))
}
