//! The state directory: which sandboxes run, how to reach them, and what to remove if their holder died.
//!
//! ```text
//! STATE/sandboxes/ID/record.json   what the sandbox is and what it made outside itself
//!                    lock          held (flock) as long as the holder lives
//!                    control.sock  for `exec`, `kill`
//! STATE/checkpoints               files of sandboxes that were kept (checkpoint.rs)
//! STATE/servers                   what belongs to one server (share.rs)
//! STATE/id-ranges                  its N-th byte is locked as long as a sandbox uses the N-th range of host ids
//! STATE/work/HASH                  held, shared, by every sandbox that has the work directory
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bailiwick_model::{EnvironmentName, SandboxId, limits};
use bailiwick_sandbox::cgroup::{self, CgroupPlan};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoints;
use crate::placeholder::Placeholders;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It or something in it cannot be made, read or written.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Somebody else owns it, or may write in it.
    #[error("{} belongs to uid {owner} or others may write in it; Bailiwick keeps its state only where nobody else can", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
}

/// The state directory of one user of one machine.
#[derive(Debug, Clone)]
pub struct StateDirectory(PathBuf);

/// What is known of a sandbox from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: SandboxId,
    /// Its environment, where that has a name.
    pub environment: Option<EnvironmentName>,
    /// The process that holds it.
    pub holder: u32,
    /// The host's ids of the user inside, where they are not the caller's own.
    pub outside: Option<(u32, u32)>,
    /// When it was started, in seconds since 1970.
    pub started_at: i64,
    /// The command, for people.
    pub command: String,
    /// The work directory on the host.
    pub workspace: Option<PathBuf>,
    /// The control groups to remove.
    pub cgroup: Option<CgroupPlan>,
    /// What stands in the work directory for it.
    pub placeholders: Option<Placeholders>,
}

/// The entry of a running sandbox; removed when it is dropped.
#[derive(Debug)]
pub struct Entry {
    directory: PathBuf,
    _lock: File,
}

impl StateDirectory {
    /// Opens it, making it if it is not there, and checks that nobody else can write in it.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn open(path: PathBuf) -> Result<Self, StateError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(io_error("make", &path))?;
        let metadata = fs::symlink_metadata(&path).map_err(io_error("read", &path))?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o022 == 0
            && metadata.is_dir();
        if !ours {
            return Err(StateError::NotOurs {
                path,
                owner: metadata.uid(),
            });
        }
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Enters a sandbox that is about to start.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn enter(&self, record: &Record) -> Result<Entry, StateError> {
        let sandboxes = self.0.join("sandboxes");
        // Made under a name that nobody takes for an entry, so that one is seen whole and locked or not at all.
        // Its maker stands in the name, for the moment before there is a lock.
        let draft = sandboxes.join(format!(".{}.{}", record.id, record.holder));
        make_directory(&draft)?;
        let lock = lock_file(
            &draft.join("lock"),
            FlockOperation::NonBlockingLockExclusive,
        )?
        .ok_or_else(|| io_error("lock", &draft)(io::ErrorKind::WouldBlock.into()))?;
        // Written before anything that it names is made: what a crash leaves behind is always on record.
        let file = draft.join("record.json");
        let text = serde_json::to_vec(record).map_err(|e| io_error("write", &file)(e.into()))?;
        fs::write(&file, text).map_err(io_error("write", &file))?;
        let directory = sandboxes.join(record.id.as_str());
        fs::rename(&draft, &directory).map_err(io_error("enter", &directory))?;
        Ok(Entry {
            directory,
            _lock: lock,
        })
    }

    /// The sandboxes that run, oldest first.
    ///
    /// # Errors
    ///
    /// See [`StateError`]; an entry that cannot be read is left out.
    pub fn running(&self) -> Result<Vec<Record>, StateError> {
        let mut records: Vec<_> = self
            .entries()?
            .into_iter()
            .filter(|(directory, _)| is_held(directory))
            .map(|(_, r)| r)
            .collect();
        records.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        Ok(records)
    }

    /// Where the control socket of a sandbox is.
    pub fn control_socket(&self, id: &SandboxId) -> PathBuf {
        self.0
            .join("sandboxes")
            .join(id.as_str())
            .join("control.sock")
    }

    /// As whose a pipe can be opened again inside a sandbox; `None` if that is the caller anyway, or the sandbox is not there.
    pub fn owner_of_pipes(&self, id: &SandboxId) -> Option<(u32, u32)> {
        let text = fs::read(
            self.0
                .join("sandboxes")
                .join(id.as_str())
                .join("record.json"),
        )
        .ok()?;
        serde_json::from_slice::<Record>(&text).ok()?.outside
    }

    /// Removes what sandboxes left behind whose holder died. Their processes are gone: they die with the holder.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn clean_up(&self) -> Result<(), StateError> {
        self.remove_remains()?;
        self.clean_up_shares()?;
        Checkpoints::of(self).clean_up();
        for (directory, record) in self.entries()? {
            let Some(_lock) = lock_existing(
                &directory.join("lock"),
                FlockOperation::NonBlockingLockExclusive,
            )?
            else {
                continue;
            };
            if let Some(plan) = &record.cgroup {
                cgroup::remove(plan);
            }
            if let Some(placeholders) = &record.placeholders {
                placeholders.remove_unless_used(self)?;
            }
            match fs::remove_dir_all(&directory) {
                // Another clean-up was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(io_error("remove", &directory))?,
            }
        }
        Ok(())
    }

    /// Removes directories that are no entries: a start or a removal that died on its way. An entry loses its lock last, and a draft has one
    /// a moment after it was made.
    fn remove_remains(&self) -> Result<(), StateError> {
        let sandboxes = self.0.join("sandboxes");
        for directory in directories(&sandboxes)? {
            let is_draft = is_draft(&directory);
            let path = directory.join("lock");
            // Never the lock of a maker that lives: it has yet to take it.
            let is_dead = if is_draft {
                is_orphaned(&directory) || is_old(&directory)
            } else {
                // An entry is entered with its record, and loses that before its lock.
                !path.exists() || !directory.join("record.json").exists()
            };
            if !is_dead {
                continue;
            }
            let lock = lock_existing(&path, FlockOperation::NonBlockingLockExclusive)?;
            if lock.is_some() || !path.exists() {
                // Another clean-up may be faster.
                let _ = fs::remove_dir_all(&directory);
            }
        }
        Ok(())
    }

    /// The file whose bytes stand for ranges of host ids; see [`bailiwick_sandbox::lock_byte`].
    pub(crate) fn id_ranges(&self) -> Result<File, StateError> {
        open_for_locks(&self.0.join("id-ranges"))
    }

    /// Takes a lock on a work directory's entry; `None` if it cannot be had now.
    pub(crate) fn lock_work(
        &self,
        name: &str,
        operation: FlockOperation,
    ) -> Result<Option<File>, StateError> {
        let directory = self.0.join("work");
        make_directory(&directory)?;
        lock_file(&directory.join(name), operation)
    }

    fn entries(&self) -> Result<Vec<(PathBuf, Record)>, StateError> {
        let record = |directory: PathBuf| {
            let text = fs::read(directory.join("record.json")).ok()?;
            Some((directory, serde_json::from_slice(&text).ok()?))
        };
        let directories = directories(&self.0.join("sandboxes"))?;
        Ok(directories.into_iter().filter_map(record).collect())
    }
}

pub(crate) fn directories(path: &Path) -> Result<Vec<PathBuf>, StateError> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

pub(crate) fn is_draft(path: &Path) -> bool {
    let name = path.file_name();
    name.is_some_and(|name| name.as_bytes().starts_with(b"."))
}

/// A draft whose maker, the process in its name, is gone.
pub(crate) fn is_orphaned(draft: &Path) -> bool {
    let maker = draft.extension().and_then(|pid| pid.to_str());
    maker.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}

/// Older than the moment between the making of a directory and of its lock could be.
fn is_old(directory: &Path) -> bool {
    let age = fs::metadata(directory)
        .and_then(|metadata| metadata.modified())
        .map(|time| time.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age > limits::STATE_REMAINS)
}

impl Entry {
    /// Where the control socket goes.
    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // The lock last: what has none is taken for dead. What cannot be removed now is removed by the next start's clean-up.
        for name in ["control.sock", "record.json"] {
            let _ = fs::remove_file(self.directory.join(name));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn is_held(directory: &Path) -> bool {
    let lock = directory.join("lock");
    match OpenOptions::new().read(true).open(&lock) {
        Ok(file) => rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(_) => false,
    }
}

/// Locks a file that may be gone by now: `None` then, and if somebody else holds it.
pub(crate) fn lock_existing(
    path: &Path,
    operation: FlockOperation,
) -> Result<Option<File>, StateError> {
    match OpenOptions::new().read(true).open(path) {
        Ok(file) => Ok(rustix::fs::flock(&file, operation).is_ok().then_some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("open", path)(error)),
    }
}

/// Opens and locks a file; `None` if somebody else holds it.
pub(crate) fn lock_file(
    path: &Path,
    operation: FlockOperation,
) -> Result<Option<File>, StateError> {
    let file = open_for_locks(path)?;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(io_error("lock", path)(errno.into())),
    }
}

fn open_for_locks(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("open", path))
}

pub(crate) fn make_directory(path: &Path) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error("make", path))
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |error| StateError::Io {
        action,
        path,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_removal_left_goes_with_the_next_clean_up() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("state");
        let state = StateDirectory::open(root.clone()).unwrap();
        let [dead, removed] = ["dead", "removed"].map(|name| {
            let directory = root.join("sandboxes").join(name);
            fs::create_dir_all(&directory).unwrap();
            directory
        });
        let lock = |directory: &Path| {
            let operation = FlockOperation::NonBlockingLockExclusive;
            let lock = lock_file(&directory.join("lock"), operation);
            lock.unwrap().unwrap()
        };
        drop(lock(&dead));
        let removing = lock(&removed);
        state.clean_up().unwrap();
        assert!(!dead.exists(), "its record is gone, and its lock is free");
        assert!(removed.exists(), "who removes it lives");
        drop(removing);
        state.clean_up().unwrap();
        assert!(!removed.exists());
    }
}
