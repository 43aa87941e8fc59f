//! A layer that is being built.

use std::fs::{self, File, OpenOptions};
use std::mem;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bailiwick_runtime::LayerDigest;

use super::tree::{Measure, measure};
use super::{
    Held, Layer, LayerInputs, LayerRecord, ResolvedPackage, Store, StoreError, io_error, lock,
    sync_directory, unlink,
};

/// A layer that is being built, by whoever has this. Dropping it is [`Draft::abandon`].
///
/// It and the layer below stay locked until it ends; if the process dies, what it left is removed later and never used.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    inputs: LayerInputs,
    key: LayerDigest,
    directory: PathBuf,
    lock: File,
    _below: Held,
    is_over: bool,
}

impl Draft {
    pub(super) fn new(
        store: Store,
        inputs: LayerInputs,
        key: LayerDigest,
        lock: File,
        below: Held,
    ) -> Result<Self, StoreError> {
        let directory = store
            .building_name(&key)
            .map_err(io_error("name", store.path()))?;
        let draft = Self {
            store,
            inputs,
            key,
            directory,
            lock,
            _below: below,
            is_over: false,
        };
        // What of this was made when one of them fails is removed by the drop.
        make_directory(&draft.directory, 0o700)?;
        make_directory(&draft.tree(), 0o755)?;
        make_directory(&draft.work(), 0o700)?;
        draft.log()?;
        Ok(draft)
    }

    /// The key of the layer that it becomes.
    pub fn key(&self) -> &LayerDigest {
        &self.key
    }

    /// What it was begun with.
    pub fn inputs(&self) -> &LayerInputs {
        &self.inputs
    }

    /// The directory that has `tree` and `work`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The empty directory to be filled, permissions 0755; everything in it becomes the layer.
    pub fn tree(&self) -> PathBuf {
        self.directory.join("tree")
    }

    /// An empty directory on the same file system, which does not become part of the layer: overlayfs needs one.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// The log, to be appended to. It stays, with the layer or without.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn log(&self) -> Result<File, StoreError> {
        let path = self.directory.join("log");
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))
    }

    /// What its tree takes. Nothing may write in it any more.
    pub(crate) fn measure(&self) -> Result<Measure, StoreError> {
        let tree = self.tree();
        measure(&tree).map_err(io_error("measure", &tree))
    }

    /// Makes it a layer. Nothing may write in it any more, and nothing may be mounted in it.
    ///
    /// `resolved` are the packages that it holds, `built_at` is now in seconds since 1970, `seconds` is how long the build took.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], also if something does still move directories in it, [`StoreError::RecordTooLarge`]; the draft is abandoned then, unless only
    /// the last step failed, after which the layer is there and might not survive a power cut.
    pub fn commit(
        self,
        resolved: Vec<ResolvedPackage>,
        built_at: i64,
        seconds: u64,
    ) -> Result<Layer, StoreError> {
        let measure = self.measure()?;
        self.commit_measured(&measure, resolved, built_at, seconds)
    }

    /// The same where its tree has been measured, and nothing was written in it since.
    pub(crate) fn commit_measured(
        mut self,
        measure: &Measure,
        resolved: Vec<ResolvedPackage>,
        built_at: i64,
        seconds: u64,
    ) -> Result<Layer, StoreError> {
        let work = self.work();
        self.store.remove_tree(&work)?;
        let record = LayerRecord {
            inputs: self.inputs.clone(),
            resolved,
            bytes: measure.bytes,
            files: measure.files,
            unread: measure.unread,
            built_at,
            seconds,
        };
        let path = self.directory.join("layer.json");
        let text = record.to_bytes(&path)?;
        fs::write(&path, text).map_err(io_error("write", &path))?;
        self.publish()?;
        Ok(Layer {
            key: self.key.clone(),
            directory: self.store.layer_directory(&self.key),
            record,
        })
    }

    /// Ends the build without a layer; its log is kept as that of the last build that failed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if something of it could not be removed; that is tried again later.
    pub fn abandon(mut self) -> Result<(), StoreError> {
        self.discard()
    }

    fn publish(&mut self) -> Result<(), StoreError> {
        // One call for the whole file system: a layer has tens of thousands of files, and each would wait for the journal.
        let directory = File::open(&self.directory).map_err(io_error("open", &self.directory))?;
        rustix::fs::syncfs(&directory).map_err(io_error("sync", &self.directory))?;
        // So that a layer is never older than its build.
        lock::touch(&self.lock, &self.store.lock_path(&self.key))?;
        let layer = self.store.layer_directory(&self.key);
        fs::rename(&self.directory, &layer).map_err(io_error("make", &layer))?;
        self.is_over = true;
        sync_directory(&self.store.layers_directory())?;
        unlink(&self.store.log_path(&self.key))
    }

    fn discard(&mut self) -> Result<(), StoreError> {
        if mem::replace(&mut self.is_over, true) {
            return Ok(());
        }
        self.store.keep_log(&self.key, &self.directory);
        self.store.remove_tree(&self.directory)?;
        // While it is locked: nobody else has it.
        unlink(&self.store.lock_path(&self.key))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the store is opened the next time.
        let _ = self.discard();
    }
}

/// Whatever the umask says.
fn make_directory(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::DirBuilder::new()
        .mode(mode)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(io_error("make", path))
}
