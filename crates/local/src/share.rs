//! What one server has of a state directory that others may use too: it goes with the server, and what a killed one left goes with the next
//! clean-up.
//!
//! ```text
//! STATE/servers/NAME/lock         held (flock) as long as the server lives
//!                   /uploads      files of its sessions, mounted read-only
//!                   /checkpoints  files of its sandboxes that were kept: nobody else knows their names
//!              .NAME.PID          one that is being made by PID
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::state::{
    StateDirectory, StateError, directories, io_error, is_draft, is_orphaned, lock_existing,
    lock_file, make_directory,
};

const SERVERS: &str = "servers";
const LOCK: &str = "lock";

/// A server's own part of a state directory. It is removed when this is dropped.
#[derive(Debug)]
pub struct ServerShare {
    directory: PathBuf,
    _lock: File,
}

impl StateDirectory {
    /// Makes a part of it for one server.
    ///
    /// # Errors
    ///
    /// See [`StateError`].
    pub fn share(&self) -> Result<ServerShare, StateError> {
        let servers = self.path().join(SERVERS);
        let mut bits = [0; 8];
        rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| io_error("name", &servers)(errno.into()))?;
        let name = format!("{:016x}", u64::from_ne_bytes(bits));
        // Others see it whole and locked, or not at all.
        let draft = servers.join(format!(".{name}.{}", std::process::id()));
        make_directory(&draft)?;
        let lock = lock_file(&draft.join(LOCK), FlockOperation::NonBlockingLockExclusive)?
            .ok_or_else(|| io_error("lock", &draft)(std::io::ErrorKind::WouldBlock.into()))?;
        let directory = servers.join(name);
        fs::rename(&draft, &directory).map_err(io_error("make", &directory))?;
        Ok(ServerShare {
            directory,
            _lock: lock,
        })
    }

    /// Whether a path, without links in it, is the directory of one session's files.
    pub(crate) fn is_upload(&self, canonical: &Path) -> bool {
        let servers = fs::canonicalize(self.path().join(SERVERS));
        let uploads = canonical.parent().filter(|it| it.ends_with(UPLOADS));
        let server = uploads.and_then(Path::parent);
        server
            .and_then(Path::parent)
            .is_some_and(|above| servers.is_ok_and(|servers| servers == above))
    }

    /// Whether it is what git shows to a repository's server, which this program wrote for one fetch (a canonical path).
    pub(crate) fn is_git_credentials(&self, canonical: &Path) -> bool {
        let servers = fs::canonicalize(self.path().join(SERVERS));
        let own = canonical
            .parent()
            .filter(|_| canonical.ends_with("git-credentials"));
        let checkouts = own
            .and_then(Path::parent)
            .filter(|it| it.ends_with(CHECKOUTS));
        let above = checkouts.and_then(Path::parent).and_then(Path::parent);
        above.is_some_and(|above| servers.is_ok_and(|servers| servers == above))
    }

    /// Removes what servers left that were killed.
    pub(crate) fn clean_up_shares(&self) -> Result<(), StateError> {
        for directory in directories(&self.path().join(SERVERS))? {
            let lock = directory.join(LOCK);
            let is_dead = if is_draft(&directory) {
                is_orphaned(&directory)
            } else {
                // One that is being removed loses its lock's file before it is gone.
                !lock.exists() || is_free(&lock)?
            };
            if is_dead {
                // Another clean-up may be faster.
                let _ = fs::remove_dir_all(&directory);
            }
        }
        Ok(())
    }
}

const UPLOADS: &str = "uploads";
/// Where repositories are brought to be read.
const CHECKOUTS: &str = "checkouts";

fn is_free(lock: &Path) -> Result<bool, StateError> {
    let held = lock_existing(lock, FlockOperation::NonBlockingLockExclusive)?;
    Ok(held.is_some())
}

impl ServerShare {
    /// Where files of its sessions are: a sandbox can have a directory of it mounted read-only, although it is Bailiwick's own state.
    pub fn uploads(&self) -> PathBuf {
        self.directory.join(UPLOADS)
    }

    /// Where repositories are checked out that it reads itself. Whoever uses it makes it.
    pub fn checkouts(&self) -> PathBuf {
        self.directory.join(CHECKOUTS)
    }

    /// Where its checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.directory.join("checkpoints")
    }
}

impl Drop for ServerShare {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next clean-up.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_server_kept_goes_and_what_a_living_one_has_stays() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(place.path().join("state")).unwrap();
        let [mut killed, living] = [state.share().unwrap(), state.share().unwrap()];
        for share in [&killed, &living] {
            for directory in [share.uploads(), share.checkpoints()] {
                make_directory(&directory).unwrap();
                fs::write(directory.join("kept"), "secret").unwrap();
            }
        }
        state.clean_up().unwrap();
        assert!(killed.uploads().join("kept").exists(), "control: it lives");
        // As the kernel does it.
        killed._lock = File::open("/dev/null").unwrap();
        state.clean_up().unwrap();
        assert!(!killed.directory.exists());
        assert!(living.checkpoints().join("kept").exists());
        let directory = living.directory.clone();
        drop(living);
        assert!(!directory.exists());
    }

    #[test]
    fn only_a_session_s_own_directory_is_taken_for_one() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        let state = StateDirectory::open(root.join("state")).unwrap();
        let share = state.share().unwrap();
        let own = share.uploads().join("session");
        assert!(state.is_upload(&own), "control");
        for other in [
            share.uploads(),
            own.join("below"),
            share.checkpoints().join("session"),
            root.join("state/uploads/session"),
            root.join("elsewhere/servers/name/uploads/session"),
        ] {
            assert!(!state.is_upload(&other), "{}", other.display());
        }
    }
}
