//! What the dead left: found by its name, removed under its key's lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_runtime::LayerDigest;

use super::lock::{self, Kind};
use super::{Store, StoreError, entries, io_error, key_of, random_name, sync_directory, unlink};

/// Behind the name of a layer that is being removed.
const REMOVED: &str = "-removed";

/// What a name in `building` says.
struct Name {
    key: LayerDigest,
    is_removal: bool,
}

impl Name {
    /// KEY-RANDOM, KEY-RANDOM-removed; anything else is not the store's.
    fn parse(name: &str) -> Option<Self> {
        let (key, rest) = name.split_once('-')?;
        Some(Self {
            key: key_of(key)?,
            is_removal: rest.ends_with(REMOVED),
        })
    }
}

impl Store {
    /// A fresh name in `building` for a build of this key.
    pub(super) fn building_name(&self, key: &LayerDigest) -> io::Result<PathBuf> {
        let name = format!("{}-{}", key.digits(), random_name()?);
        Ok(self.path.join("building").join(name))
    }

    /// Removes what dead builds and removals left; of one key, whose lock the caller has, or of every key whose lock can be had.
    ///
    /// What could not be removed is in `failed`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the directory cannot be read.
    pub(super) fn sweep_building(
        &self,
        of: Option<&LayerDigest>,
        failed: &mut Vec<StoreError>,
    ) -> Result<(), StoreError> {
        for (text, path) in entries(&self.path.join("building"))? {
            let Some(name) = Name::parse(&text) else {
                continue;
            };
            let outcome = match of {
                Some(key) if *key == name.key => self.sweep_one(&name, &path),
                Some(_) => Ok(()),
                None => self.sweep_one_unless_alive(&name, &path),
            };
            failed.extend(outcome.err());
        }
        Ok(())
    }

    fn sweep_one_unless_alive(&self, name: &Name, path: &Path) -> Result<(), StoreError> {
        // Shared is enough to know that no build lives and none begins, and is not in the way of those who use the layer.
        match lock::take(&self.lock_path(&name.key), Kind::Shared)? {
            Some(_lock) => self.sweep_one(name, path),
            None => Ok(()),
        }
    }

    fn sweep_one(&self, name: &Name, path: &Path) -> Result<(), StoreError> {
        if !name.is_removal {
            self.keep_log(&name.key, path);
        }
        self.remove_tree(path)
    }

    /// Keeps the log of a build that failed, as far as it is there.
    pub(super) fn keep_log(&self, key: &LayerDigest, draft: &Path) {
        let log = draft.join("log");
        if fs::symlink_metadata(&log).is_ok_and(|metadata| metadata.is_file()) {
            // Without its log the build has failed as well, and there is nobody to tell.
            let _ = fs::rename(&log, self.log_path(key));
        }
    }

    /// Removes whatever has the place of a layer, whole or not. The caller has its lock exclusively.
    pub(super) fn discard(&self, key: &LayerDigest) -> Result<(), StoreError> {
        let directory = self.layer_directory(key);
        let mut gone = self
            .building_name(key)
            .map_err(io_error("name", &directory))?
            .into_os_string();
        gone.push(REMOVED);
        let gone = Path::new(&gone);
        match fs::rename(&directory, gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(io_error("remove", &directory))?,
        }
        // Before anything in it goes: after a power cut it is a whole layer, or none.
        sync_directory(&self.layers_directory())?;
        self.remove_tree(gone)
    }

    /// Removes what is in `layers` by the name of a key and is no layer, and locks of keys that have none.
    pub(super) fn sweep_layers(&self, failed: &mut Vec<StoreError>) -> Result<(), StoreError> {
        for part in ["layers", "keys"] {
            for (name, _) in entries(&self.path.join(part))? {
                let Some(key) = key_of(&name) else { continue };
                failed.extend(self.sweep_layer(&key).err());
            }
        }
        Ok(())
    }

    fn sweep_layer(&self, key: &LayerDigest) -> Result<(), StoreError> {
        if self.find(key)?.is_some() {
            return Ok(());
        }
        let path = self.lock_path(key);
        let Some(_lock) = lock::take(&path, Kind::Exclusive)? else {
            return Ok(());
        };
        // A build may have ended in between.
        if self.find(key)?.is_some() {
            return Ok(());
        }
        self.discard(key)?;
        unlink(&path)
    }
}
