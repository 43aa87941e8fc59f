//! Files and directories that stand in a work directory where something must not be made from inside.
//!
//! A bind mount can only cover what exists. So what is on the list and does not exist is made before the start, mounted read-only
//! inside, and removed after the last sandbox with this work directory has ended. Removing a mount point from outside would uncover it
//! inside, hence the shared lock that every such sandbox holds.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};

use crate::protected::{self, Kind, Protected};
use crate::state::{StateDirectory, StateError};

/// What was made in one work directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placeholders {
    work_directory: PathBuf,
    made: Vec<Protected>,
    /// All that must be there.
    #[serde(skip)]
    list: Vec<Protected>,
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
        let made = list.iter().filter(|item| is_missing(work_directory, item));
        Self {
            work_directory: work_directory.to_owned(),
            made: made.cloned().collect(),
            list: list.to_vec(),
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
    pub(crate) fn hold(mut self, state: &StateDirectory) -> Result<Held, StateError> {
        let mut lock = state.lock_work(&self.lock_name(), FlockOperation::LockShared)?;
        self.add_what_went();
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

    /// What another sandbox had made when the list was made, and removed since: with the lock nobody removes any.
    fn add_what_went(&mut self) {
        let Self {
            work_directory,
            made,
            list,
        } = self;
        let went = list
            .iter()
            .filter(|item| !made.contains(item) && is_missing(work_directory, item));
        let went: Vec<_> = went.cloned().collect();
        made.extend(went);
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
            match self.make_one(item) {
                // Another sandbox's, since the list was made.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(|error| {
                    self.failed("make", &self.work_directory.join(&item.path), error)
                })?,
            }
        }
        Ok(())
    }

    fn make_one(&self, item: &Protected) -> io::Result<()> {
        let (parent, name) = self.place(item)?;
        match item.kind {
            Kind::Nothing => Ok(()),
            Kind::Directory => Ok(rustix::fs::mkdirat(
                &parent,
                name,
                Mode::from_raw_mode(0o755),
            )?),
            Kind::File => {
                let flags = OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::WRONLY
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
                File::from(file).write_all(item.content.as_bytes())
            }
        }
    }

    /// The directory that an item lies in, opened through no symbolic link, and its name there. A sandbox that has a directory above as its work
    /// directory can put links in the way at any moment.
    fn place<'a>(&self, item: &'a Protected) -> io::Result<(OwnedFd, &'a Path)> {
        let parent = self
            .work_directory
            .join(item.path.parent().unwrap_or(Path::new("")));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::openat2(
            CWD,
            &parent,
            flags,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS,
        )?;
        let name = item
            .path
            .file_name()
            .map(Path::new)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok((parent, name))
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
        // What cannot be found or removed stays: it is empty.
        let _ = self.remove_one(item);
    }

    fn remove_one(&self, item: &Protected) -> io::Result<()> {
        let (parent, name) = self.place(item)?;
        match item.kind {
            Kind::Nothing => {}
            Kind::Directory => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?,
            Kind::File => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let mut content = Vec::new();
                let file = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
                File::from(file).take(16).read_to_end(&mut content)?;
                if content == item.content.as_bytes() {
                    rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                }
            }
        }
        Ok(())
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

fn is_missing(work_directory: &Path, item: &Protected) -> bool {
    let path = work_directory.join(&item.path);
    let parent_is_there = path.parent().is_some_and(Path::is_dir);
    item.kind != Kind::Nothing
        && parent_is_there
        && matches!(fs::symlink_metadata(&path), Err(e) if e.kind() == io::ErrorKind::NotFound)
}

impl Drop for Held {
    fn drop(&mut self) {
        // The own shared lock must go before the exclusive one can be had.
        drop(self.lock.take());
        let _ = self.placeholders.remove_unless_used(&self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_sandbox_removes_before_this_one_holds_it_is_made_again() {
        let place = tempfile::tempdir().unwrap();
        let work_directory = place.path().join("work");
        fs::create_dir(&work_directory).unwrap();
        let state = StateDirectory::open(place.path().join("state")).unwrap();
        let list = protected::for_work_directory(&work_directory);
        let there = || {
            list.iter()
                .filter(|item| is_missing(&work_directory, item))
                .count()
                == 0
        };

        let one = Placeholders::missing(&work_directory, &list);
        let one = one.hold(&state).unwrap();
        let other = Placeholders::missing(&work_directory, &list);
        assert!(there() && other.made.is_empty(), "control");
        drop(one);
        assert!(!there(), "control");
        let other = other.hold(&state).unwrap();
        assert!(there());
        drop(other);
        assert_eq!(fs::read_dir(&work_directory).unwrap().count(), 0);
    }
}
