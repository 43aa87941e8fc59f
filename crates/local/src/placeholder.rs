//! Files and directories that stand in a work directory where something must not be made from inside.
//!
//! A bind mount can only cover what exists. So what is on the list and does not exist is made before the start, mounted read-only
//! inside, and removed after the last sandbox with this work directory has ended. Removing a mount point from outside would uncover it
//! inside, hence the shared lock that every such sandbox holds.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::protected::{Kind, Protected};
use crate::state::{StateDirectory, StateError};

/// What was made in one work directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placeholders {
    work_directory: PathBuf,
    made: Vec<Protected>,
}

/// Placeholders in use; the last user removes them.
#[derive(Debug)]
pub(crate) struct Held {
    placeholders: Placeholders,
    state: StateDirectory,
    lock: Option<File>,
}

impl Placeholders {
    /// What would have to be made.
    pub(crate) fn missing(work_directory: &Path, list: &[Protected]) -> Self {
        let missing = |item: &&Protected| {
            let path = work_directory.join(&item.path);
            let parent_is_there = path.parent().is_some_and(Path::is_dir);
            item.kind != Kind::Nothing && parent_is_there && matches!(fs::symlink_metadata(&path), Err(e) if e.kind() == io::ErrorKind::NotFound)
        };
        Self { work_directory: work_directory.to_owned(), made: list.iter().filter(missing).cloned().collect() }
    }

    /// Makes them and holds them.
    pub(crate) fn hold(self, state: &StateDirectory) -> Result<Held, StateError> {
        let lock = state.lock_work(&self.lock_name(), FlockOperation::LockShared)?;
        let held = Held { placeholders: self, state: state.clone(), lock };
        for item in &held.placeholders.made {
            let path = held.placeholders.work_directory.join(&item.path);
            let made = match item.kind {
                Kind::Nothing => Ok(()),
                Kind::Directory => fs::create_dir(&path),
                Kind::File => File::create_new(&path).and_then(|mut file| file.write_all(item.content.as_bytes())),
            };
            match made {
                // Another sandbox's, since the list was made.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(|error| StateError::Io { action: "make", path, error })?,
            }
        }
        Ok(held)
    }

    /// Removes those that are still as they were made, unless a sandbox with this work directory runs.
    pub(crate) fn remove_unless_used(&self, state: &StateDirectory) -> Result<(), StateError> {
        if state.lock_work(&self.lock_name(), FlockOperation::NonBlockingLockExclusive)?.is_some() {
            self.remove();
        }
        Ok(())
    }

    fn remove(&self) {
        for item in self.made.iter().rev() {
            let path = self.work_directory.join(&item.path);
            // Only what is as it was made: somebody on the host may have put something there meanwhile.
            let _ = match item.kind {
                Kind::Nothing => Ok(()),
                Kind::Directory => fs::remove_dir(&path),
                Kind::File if fs::read(&path).is_ok_and(|content| content == item.content.as_bytes()) => fs::remove_file(&path),
                Kind::File => Ok(()),
            };
        }
    }

    fn lock_name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.work_directory.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The own shared lock must go before the exclusive one can be had.
        drop(self.lock.take());
        let _ = self.placeholders.remove_unless_used(&self.state);
    }
}
