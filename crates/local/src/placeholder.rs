//! Files and directories that stand in a work directory where something must not be made from inside.
//!
//! A bind mount can only cover what exists. So what is on the list and does not exist is made before the start, mounted read-only
//! inside, and removed after the last sandbox with this work directory has ended. Removing a mount point from outside would uncover it
//! inside, hence the shared lock that every such sandbox holds.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::protected::{self, Kind, Protected};
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
            item.kind != Kind::Nothing
                && parent_is_there
                && matches!(fs::symlink_metadata(&path), Err(e) if e.kind() == io::ErrorKind::NotFound)
        };
        Self {
            work_directory: work_directory.to_owned(),
            made: list.iter().filter(missing).cloned().collect(),
        }
    }

    /// Patterns that match them and nothing else.
    pub(crate) fn git_excludes(&self) -> String {
        self.made
            .iter()
            .map(|item| format!("/{}\n", item.path.display()))
            .collect()
    }

    /// Makes them and holds them.
    pub(crate) fn hold(self, state: &StateDirectory) -> Result<Held, StateError> {
        let mut lock = state.lock_work(&self.lock_name(), FlockOperation::LockShared)?;
        if let Some(register) = &mut lock {
            self.enter(register)
                .map_err(|error| self.failed("register", &self.work_directory, error))?;
        }
        let held = Held {
            placeholders: self,
            state: state.clone(),
            lock,
        };
        held.placeholders.make()?;
        Ok(held)
    }

    /// Whoever ends last removes what all of them made, so the lock's file says what that is: a path a line, appended in one write.
    fn enter(&self, register: &mut File) -> io::Result<()> {
        let lines: String = self
            .made
            .iter()
            .map(|item| format!("{}\n", item.path.display()))
            .collect();
        register.write_all(lines.as_bytes())
    }

    fn make(&self) -> Result<(), StateError> {
        for item in &self.made {
            let path = self.work_directory.join(&item.path);
            let made = match item.kind {
                Kind::Nothing => Ok(()),
                Kind::Directory => fs::create_dir(&path),
                Kind::File => File::create_new(&path)
                    .and_then(|mut file| file.write_all(item.content.as_bytes())),
            };
            match made {
                // Another sandbox's, since the list was made.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(|error| self.failed("make", &path, error))?,
            }
        }
        Ok(())
    }

    /// Removes what is still as it was made, unless a sandbox with this work directory runs.
    pub(crate) fn remove_unless_used(&self, state: &StateDirectory) -> Result<(), StateError> {
        let lock = state.lock_work(&self.lock_name(), FlockOperation::NonBlockingLockExclusive)?;
        let Some(mut register) = lock else {
            return Ok(());
        };
        let mut lines = String::new();
        // A register that cannot be read leaves what others made; what this one made is known all the same.
        let _ = register.read_to_string(&mut lines);
        let entered: Vec<&Path> = lines.lines().map(Path::new).collect();
        let list = protected::every_possible();
        let made = list
            .iter()
            .filter(|item| self.made.contains(item) || entered.contains(&item.path.as_path()));
        made.rev().for_each(|item| self.remove(item));
        let _ = register.set_len(0);
        Ok(())
    }

    /// Only what is as it was made: somebody on the host may have put something there meanwhile.
    fn remove(&self, item: &Protected) {
        let path = self.work_directory.join(&item.path);
        let _ = match item.kind {
            Kind::Nothing => Ok(()),
            Kind::Directory => fs::remove_dir(&path),
            Kind::File
                if fs::read(&path).is_ok_and(|content| content == item.content.as_bytes()) =>
            {
                fs::remove_file(&path)
            }
            Kind::File => Ok(()),
        };
    }

    fn failed(&self, action: &'static str, path: &Path, error: io::Error) -> StateError {
        StateError::Io {
            action,
            path: path.to_owned(),
            error,
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
