//! Files of sandboxes that were kept, each in one file of the state directory, which nobody else can read.
//!
//! ```text
//! STATE/checkpoints/NAME        the archive; its restore holds it (flock), and removes it when the sandbox is whole
//!                   .NAME.PID   one that is being written by PID
//! ```
//!
//! The init of a sandbox writes and reads it (`sandbox/src/archive.rs`); here it is a file that is never looked into.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bailiwick_model::limits;
use bailiwick_runtime::{Checkpoint, Error};
use bailiwick_sandbox::ArchiveLimits;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::keeper::FileError;
use crate::state::StateDirectory;

const DIRECTORY: &str = "checkpoints";
/// Digits of a name.
const NAME_DIGITS: usize = 32;

/// Why files could not be kept or brought back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// The state directory.
    #[error("cannot {action} the checkpoint {}: {error}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// It is not what was written.
    #[error("the checkpoint is damaged")]
    Damaged,
    /// More than the limit of the sandbox's private files allows.
    #[error("the files of the sandbox are more than the {limit_bytes} bytes that are kept")]
    TooLarge { limit_bytes: u64 },
    /// Nearly nothing else is left of the disk.
    #[error("a checkpoint leaves {free_bytes} bytes of its disk free, which it could not")]
    NoRoom { free_bytes: u64 },
    /// One that could not be brought back.
    #[error("a file of the sandbox has more extended attributes than are kept")]
    Attributes,
    /// A tree that is too deep, or changed while it was read.
    #[error("the files of the sandbox cannot be read: {0}")]
    Unreadable(Errno),
    /// The files do not fit the sandbox that is to have them.
    #[error("the files cannot be made in this sandbox: {0}")]
    Unmakeable(Errno),
    /// This is one already.
    #[error("the sandbox is being checkpointed")]
    Twice,
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::NoRoom { .. } => Self::Full,
            error @ (CheckpointError::Io { .. }
            | CheckpointError::Damaged
            | CheckpointError::TooLarge { .. }
            | CheckpointError::Attributes
            | CheckpointError::Unreadable(_)
            | CheckpointError::Unmakeable(_)
            | CheckpointError::Twice) => Self::Backend(Box::new(error)),
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |error| CheckpointError::Io {
        action,
        path,
        error,
    }
}

/// The checkpoints of a state directory.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    directory: PathBuf,
    /// Bytes of its disk that stay free.
    free_bytes: u64,
}

/// One that is being written. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Draft {
    name: String,
    path: PathBuf,
    finished: PathBuf,
    file: File,
}

/// One that is held for a restore.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    file: File,
}

/// How many bytes an archive may have, with what it says of each file.
pub(crate) fn limit_bytes(disk_bytes: Option<u64>) -> u64 {
    let contents = disk_bytes.unwrap_or(limits::CHECKPOINT_BYTES);
    contents.saturating_add(limits::CHECKPOINT_RECORD_BYTES)
}

impl Checkpoints {
    pub(crate) fn of(state: &StateDirectory) -> Self {
        Self::at(None, state)
    }

    /// Those of a directory, if one is named.
    pub(crate) fn at(directory: Option<PathBuf>, state: &StateDirectory) -> Self {
        Self {
            directory: directory.unwrap_or_else(|| state.path().join(DIRECTORY)),
            free_bytes: limits::CHECKPOINT_FREE_BYTES,
        }
    }

    /// What an archive here may take that has at most so many bytes.
    pub(crate) fn limits(&self, bytes: u64) -> ArchiveLimits {
        ArchiveLimits {
            bytes,
            free_bytes: self.free_bytes,
        }
    }

    /// Of a disk that is all but full nothing is taken.
    pub(crate) fn draft(&self) -> Result<Draft, CheckpointError> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.directory);
        made.map_err(io_error("make", &self.directory))?;
        let (free_bytes, disk) = (self.free_bytes, rustix::fs::statvfs(&self.directory));
        // One that does not say what is free is not full.
        if disk.is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < free_bytes) {
            return Err(CheckpointError::NoRoom { free_bytes });
        }
        let mut bits = [0; 16];
        rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| io_error("name", &self.directory)(errno.into()))?;
        let name = format!("{:032x}", u128::from_ne_bytes(bits));
        let path = self
            .directory
            .join(format!(".{name}.{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(io_error("make", &path))?;
        Ok(Draft {
            finished: self.directory.join(&name),
            name,
            path,
            file,
        })
    }

    /// The file of a name; whatever is no name has none.
    fn path(&self, checkpoint: &Checkpoint) -> Option<PathBuf> {
        let name = &*checkpoint.0;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_name = name.len() == NAME_DIGITS && name.bytes().all(is_digit);
        is_name.then(|| self.directory.join(name))
    }

    /// What one takes of the disk.
    pub(crate) fn bytes(&self, checkpoint: &Checkpoint) -> Result<u64, Error> {
        let missing = || Error::CheckpointNotFound(checkpoint.clone());
        let path = self.path(checkpoint).ok_or_else(missing)?;
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(io_error("read", &path)(error).into()),
        }
    }

    /// Of two that want one at the same time, one gets it.
    pub(crate) fn hold(&self, checkpoint: &Checkpoint) -> Result<Held, Error> {
        let missing = || Error::CheckpointNotFound(checkpoint.clone());
        let path = self.path(checkpoint).ok_or_else(missing)?;
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            other => other.map_err(io_error("open", &path))?,
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(missing());
        }
        // Whoever had it until now may have used it up.
        let metadata = file.metadata().map_err(io_error("read", &path))?;
        if metadata.nlink() == 0 {
            return Err(missing());
        }
        Ok(Held { path, file })
    }

    /// Removes one that nobody will restore. One that is not there is no error.
    pub(crate) fn discard(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        match self.hold(checkpoint) {
            Ok(held) => Ok(held.use_up()?),
            Err(Error::CheckpointNotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes what those were writing that are gone.
    pub(crate) fn clean_up(&self) {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        for path in entries.map(|entry| entry.path()) {
            if crate::state::is_draft(&path) && crate::state::is_orphaned(&path) {
                // Another clean-up may be faster.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn copy_of(file: &File, path: &Path) -> Result<OwnedFd, CheckpointError> {
    let copy = file.try_clone().map_err(io_error("open", path))?;
    Ok(copy.into())
}

impl Draft {
    /// The file to write to.
    pub(crate) fn archive(&self) -> Result<OwnedFd, CheckpointError> {
        copy_of(&self.file, &self.path)
    }

    /// The archive is whole. Its directory is not synced, which would hold up every sandbox of the process: whoever knows its name ends
    /// with the machine.
    pub(crate) fn finish(self) -> Result<Checkpoint, CheckpointError> {
        fs::rename(&self.path, &self.finished).map_err(io_error("keep", &self.finished))?;
        Ok(Checkpoint(self.name.as_str().into()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that was finished has another name by now.
        let _ = fs::remove_file(&self.path);
    }
}

impl Held {
    /// The file to read from.
    pub(crate) fn archive(&self) -> Result<OwnedFd, CheckpointError> {
        copy_of(&self.file, &self.path)
    }

    /// Its files are in a sandbox again.
    pub(crate) fn use_up(self) -> Result<(), CheckpointError> {
        fs::remove_file(&self.path).map_err(io_error("remove", &self.path))
    }
}

/// What an init says that could not write an archive. `None` if it is gone.
pub(crate) fn not_kept(error: &FileError, limits: ArchiveLimits) -> Option<CheckpointError> {
    let FileError::Refused(errno) = error else {
        return None;
    };
    let ArchiveLimits { bytes, free_bytes } = limits;
    Some(match Errno::from_raw_os_error(*errno) {
        Errno::FBIG => CheckpointError::TooLarge { limit_bytes: bytes },
        Errno::NOSPC | Errno::DQUOT => CheckpointError::NoRoom { free_bytes },
        Errno::TOOBIG => CheckpointError::Attributes,
        errno => CheckpointError::Unreadable(errno),
    })
}

/// What an init says that could not make the files. `None` if it is gone.
pub(crate) fn not_made(error: &FileError) -> Option<CheckpointError> {
    let FileError::Refused(errno) = error else {
        return None;
    };
    Some(match Errno::from_raw_os_error(*errno) {
        Errno::BADMSG => CheckpointError::Damaged,
        errno => CheckpointError::Unmakeable(errno),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoints() -> (tempfile::TempDir, Checkpoints) {
        let place = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(place.path().join("state")).unwrap();
        (place, Checkpoints::of(&state))
    }

    #[test]
    fn a_name_is_no_path() {
        let (place, checkpoints) = checkpoints();
        fs::write(place.path().join("x"), "x").unwrap();
        let long = format!("{}/../../x", "0".repeat(22));
        for name in ["", "..", "../../x", "/etc/passwd", &long, &"A".repeat(32)] {
            let held = checkpoints.hold(&Checkpoint(name.into()));
            assert!(matches!(held, Err(Error::CheckpointNotFound(_))), "{name}");
        }
    }

    #[test]
    fn one_checkpoint_has_one_restore_and_nobody_else_reads_it() {
        let (_place, checkpoints) = checkpoints();
        let draft = checkpoints.draft().unwrap();
        let checkpoint = draft.finish().unwrap();
        let held = checkpoints.hold(&checkpoint).unwrap();
        let second = checkpoints.hold(&checkpoint);
        assert!(matches!(second, Err(Error::CheckpointNotFound(_))));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(
            (mode(&checkpoints.directory), mode(&held.path)),
            (0o700, 0o600)
        );
        drop(held);
        let again = checkpoints.hold(&checkpoint).unwrap();
        again.use_up().unwrap();
        assert!(checkpoints.hold(&checkpoint).is_err());
    }

    #[test]
    fn a_draft_is_refused_where_too_little_of_the_disk_is_free() {
        let (_place, checkpoints) = checkpoints();
        let all_but_full = Checkpoints {
            free_bytes: u64::MAX,
            ..checkpoints.clone()
        };
        let refused = all_but_full.draft();
        assert!(
            matches!(refused, Err(CheckpointError::NoRoom { .. })),
            "{refused:?}"
        );
        let left = fs::read_dir(&checkpoints.directory).unwrap();
        assert_eq!(left.count(), 0);
        checkpoints.draft().expect("control");
        let limits = all_but_full.limits(7);
        let full = not_kept(&FileError::Refused(Errno::NOSPC.raw_os_error()), limits);
        assert!(matches!(full.map(Error::from), Some(Error::Full)));
    }

    #[test]
    fn a_draft_whose_maker_died_is_removed_and_no_other() {
        let (_place, checkpoints) = checkpoints();
        let own = checkpoints.draft().unwrap();
        let kept = checkpoints.draft().unwrap().finish().unwrap();
        // No process has a number above 2^22.
        let dead = checkpoints
            .directory
            .join(format!(".{}.4194305", "0".repeat(32)));
        fs::write(&dead, "x").unwrap();
        checkpoints.clean_up();
        assert!(!dead.exists() && own.path.exists());
        assert!(checkpoints.hold(&kept).is_ok());
        let path = own.path.clone();
        drop(own);
        assert!(!path.exists());
    }
}
