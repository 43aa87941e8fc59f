//! The layers of one installation, on disk, each found by its key.
//!
//! ```text
//! STORE/layers/KEY/layer.json   what it was made of, what it holds, how large, when
//!                  tree/usr …   the files
//!                  log          the whole log of its build
//!       building/KEY-RANDOM/    a build that runs, or one that died
//!                KEY-RANDOM-removed/   a layer that is being removed
//!       logs/KEY                the log of the last build that failed
//!       generations/KEY         which resolution of what this key stands for is in force: a number
//!       repositories/           mirrors of repositories, see `mirror`
//!       bases/                  what is known of bases, and snapshots of this machine, see `base::host`
//!       keys/KEY                its lock; when it was last changed is when the layer was last used
//! ```
//!
//! KEY is the 64 digits alone: a colon would end a path in the options of an overlay.
//!
//! **Locks.** A build, and whoever removes a layer, holds `keys/KEY` exclusively (flock(2)) from before anything of theirs is on disk until
//! nothing of it is under `building` any more; who uses a layer holds it shared. So if the lock can be had at all, whatever `building`
//! has of this key is dead, and it is removed under that lock. The kernel lets go of a lock when the last process that has it open ends.
//!
//! **Whole or not there.** A draft is synced and then renamed to `layers`; a layer that goes is renamed back first. A directory in
//! `layers` whose record is missing, does not parse, or has inputs that make another key, is not a layer.
//!
//! **What stands on a layer keeps it.** A build holds the layer below its own, so whoever has a layer's lock exclusively knows all that stand on it.
//! A key does not say what was resolved: without this rule a layer could come to lie on another build of the one below it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use bailiwick_runtime::LayerDigest;
use rustix::fs::{CWD, Mode, OFlags};

use crate::key::{Below, LayerInputs};

mod draft;
mod error;
mod gc;
mod generation;
mod held;
pub(crate) mod lock;
mod record;
mod sweep;
mod tree;

pub use draft::Draft;
pub use error::StoreError;
pub use gc::{GcLimits, GcReport};
pub use held::Held;
pub(crate) use record::BASE_ROOT;
pub use record::{Layer, LayerRecord, ResolvedPackage};
pub use tree::remove_tree;

pub(crate) use error::{absent_is_none, io_error};
pub(crate) use tree::Measure;
#[cfg(test)]
pub(crate) use tree::measure;

use lock::Kind;

/// The directories of a store.
const PARTS: [&str; 6] = [
    LAYERS,
    "building",
    "logs",
    "keys",
    "generations",
    REPOSITORIES,
];
const LAYERS: &str = "layers";
const REPOSITORIES: &str = "repositories";
const BASES: &str = "bases";

/// The layers of one installation.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    /// Removes what this process itself may not: trees with directories of subordinate ids.
    remover: fn(&Path) -> io::Result<()>,
}

/// What stands between a caller and a layer.
#[derive(Debug)]
pub enum Begin {
    /// Nothing: it is there.
    Ready(Layer),
    /// Another process builds it, or removes it, now. Ask again.
    Busy,
    /// Its build, which is the caller's now.
    Build(Draft),
}

impl Store {
    /// Opens a store, making it if it is not there, and removes what dead builds and removals left.
    ///
    /// What cannot be removed now stays, does no harm, and is told by [`Store::gc`].
    ///
    /// # Errors
    ///
    /// [`StoreError::NotOurs`] if somebody else could write in it, [`StoreError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_with(path, remove_tree)
    }

    /// Opens a store as [`Store::open`] does; `remover` removes trees that this process may not, such as with [`remove_tree`] as root over the
    /// user's subordinate ids.
    ///
    /// # Errors
    ///
    /// As for [`Store::open`].
    pub fn open_with(
        path: impl Into<PathBuf>,
        remover: fn(&Path) -> io::Result<()>,
    ) -> Result<Self, StoreError> {
        let path = path.into();
        make_private(&path)?;
        for part in PARTS {
            make_private(&path.join(part))?;
        }
        let store = Self { path, remover };
        store.sweep_building(None, &mut Vec::new())?;
        Ok(store)
    }

    fn remove_tree(&self, path: &Path) -> Result<(), StoreError> {
        remove_tree(path)
            .or_else(|error| {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    (self.remover)(path)
                } else {
                    Err(error)
                }
            })
            .map_err(io_error("remove", path))
    }

    /// The layer by this key, if it is there. It may go at any time, unless it is held: see [`Store::hold`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`]; what is not whole is not there.
    pub fn find(&self, key: &LayerDigest) -> Result<Option<Layer>, StoreError> {
        Layer::read(key, self.layer_directory(key))
    }

    /// Every layer, in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<Layer>, StoreError> {
        let mut layers = Vec::new();
        for (name, _) in entries(&self.layers_directory())? {
            if let Some(key) = key_of(&name) {
                layers.extend(self.find(&key)?);
            }
        }
        layers.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(layers)
    }

    /// Begins the build of a layer, unless it is there or somebody builds it. Of all who begin one key at a time, one gets to build.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] or [`StoreError::InUse`] with the key of the layer below, if that is not there or is being removed;
    /// [`StoreError::Io`].
    pub fn begin(&self, inputs: LayerInputs) -> Result<Begin, StoreError> {
        let key = inputs.key();
        if let Some(layer) = self.find(&key)? {
            return Ok(Begin::Ready(layer));
        }
        let below = match &inputs.below {
            Below::Base(_) | Below::Nothing => Held::default(),
            Below::Layer(below) => self.hold(std::slice::from_ref(below))?,
        };
        let Some(lock) = lock::take(&self.lock_path(&key), Kind::Exclusive)? else {
            return Ok(Begin::Busy);
        };
        // Another build may have ended between the look and the lock.
        if let Some(layer) = self.find(&key)? {
            return Ok(Begin::Ready(layer));
        }
        self.discard(&key)?;
        let mut failed = Vec::new();
        self.sweep_building(Some(&key), &mut failed)?;
        Draft::new(self.clone(), inputs, key, lock, below).map(Begin::Build)
    }

    /// Holds layers, which then stay until the value is dropped, and notes that they are used now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if one is not there; [`StoreError::InUse`] if one is being removed and that takes long; [`StoreError::Io`].
    pub fn hold(&self, keys: &[LayerDigest]) -> Result<Held, StoreError> {
        Held::take(self, keys)
    }

    /// The log of a layer's build, or of the last build of it that failed; `None` if there is neither.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn log(&self, key: &LayerDigest) -> Result<Option<File>, StoreError> {
        for path in [self.layer_directory(key).join("log"), self.log_path(key)] {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let opened = rustix::fs::openat(CWD, &path, flags, Mode::empty());
            if let Some(file) = absent_is_none(opened).map_err(io_error("open", &path))? {
                return Ok(Some(file.into()));
            }
        }
        Ok(None)
    }

    /// When a layer was last used or built, in seconds since 1970; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn last_used(&self, key: &LayerDigest) -> Result<Option<i64>, StoreError> {
        let path = self.lock_path(key);
        let stat = absent_is_none(rustix::fs::lstat(&path)).map_err(io_error("read", &path))?;
        Ok(stat.map(|stat| stat.st_mtime))
    }

    /// Removes a layer that nobody uses and that no other stands on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], [`StoreError::InUse`], [`StoreError::StoodOn`]; [`StoreError::Io`], after which the layer may be gone and what is
    /// left of it is removed by the next [`Store::open`].
    pub fn remove(&self, key: &LayerDigest) -> Result<(), StoreError> {
        if self.find(key)?.is_none() {
            return Err(StoreError::Missing { key: key.clone() });
        }
        self.remove_unless(key, |_| false)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its layers are.
    pub fn layers_directory(&self) -> PathBuf {
        self.path.join(LAYERS)
    }

    /// Where mirrors of repositories are, for the projects of builds.
    pub fn repositories_directory(&self) -> PathBuf {
        self.path.join(REPOSITORIES)
    }

    /// Where it is remembered what identifies bases, and where snapshots of this machine are: see [`crate::host_base`]. Whoever uses it makes it.
    pub fn bases_directory(&self) -> PathBuf {
        self.path.join(BASES)
    }

    /// Removes the layer. `known` are the keys of layers that are known not to stand on it, and need not be read.
    fn remove_unless(
        &self,
        key: &LayerDigest,
        known: impl Fn(&LayerDigest) -> bool,
    ) -> Result<(), StoreError> {
        let path = self.lock_path(key);
        let in_use = || StoreError::InUse { key: key.clone() };
        let lock = lock::take(&path, Kind::Exclusive)?.ok_or_else(in_use)?;
        if let Some(above) = self.standing_on(key, known)? {
            let key = key.clone();
            return Err(StoreError::StoodOn { key, above });
        }
        self.discard(key)?;
        unlink(&path)?;
        drop(lock);
        Ok(())
    }

    /// One layer that stands on this one.
    fn standing_on(
        &self,
        key: &LayerDigest,
        known: impl Fn(&LayerDigest) -> bool,
    ) -> Result<Option<LayerDigest>, StoreError> {
        let below = Below::Layer(key.clone());
        for (name, _) in entries(&self.layers_directory())? {
            let Some(other) = key_of(&name).filter(|other| !known(other)) else {
                continue;
            };
            if let Some(layer) = self.find(&other)?
                && layer.record.inputs.below == below
            {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    fn layer_directory(&self, key: &LayerDigest) -> PathBuf {
        self.layers_directory().join(key.digits())
    }

    fn log_path(&self, key: &LayerDigest) -> PathBuf {
        self.path.join("logs").join(key.digits())
    }

    fn lock_path(&self, key: &LayerDigest) -> PathBuf {
        self.path.join("keys").join(key.digits())
    }
}

/// The key that a name stands for.
fn key_of(name: &str) -> Option<LayerDigest> {
    format!("sha256:{name}").parse().ok()
}

/// The entries of one of the store's own directories. A name that is not text is nobody's.
pub(crate) fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(io_error("read", directory))? {
        let entry = entry.map_err(io_error("read", directory))?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// 16 digits that nobody can know before.
fn random_name() -> io::Result<String> {
    let mut bits = [0; 8];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bits)))
}

pub(crate) fn make_private(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error("make", path))?;
    let metadata = fs::symlink_metadata(path).map_err(io_error("read", path))?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.mode() & 0o022 == 0
        && metadata.is_dir();
    ours.then_some(()).ok_or_else(|| StoreError::NotOurs {
        path: path.to_owned(),
        owner: metadata.uid(),
    })
}

/// Removes a file that may be gone.
pub(crate) fn unlink(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(io_error("remove", path)),
    }
}

/// Makes the names in a directory survive a power cut.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error("sync", path))
}
