//! The lock of a command: the file beside the environment's, or the one of `--lock`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_images::Lock;
use bailiwick_images::lock::NotALock;
use bailiwick_model::Packages;
use bailiwick_model::limits::LOCK_FILE_BYTES;

use crate::bad_input::{BadInput, read_text};

/// What becomes of a lock.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Lock")]
pub(crate) struct LockArguments {
    /// Install exactly what this lock says [default: the lock beside the environment file, such as environment.lock, if there is one].
    #[arg(long, value_name = "FILE", conflicts_with = "no_lock")]
    pub(crate) lock: Option<PathBuf>,
    /// Refuse to go on without a lock.
    #[arg(long, conflicts_with = "no_lock")]
    pub(crate) locked: bool,
    /// Leave the lock beside the environment file alone.
    #[arg(long)]
    pub(crate) no_lock: bool,
}

/// A lock and where it was read.
#[derive(Debug, Clone)]
pub(crate) struct LockFile {
    pub(crate) lock: Arc<Lock>,
    pub(crate) path: PathBuf,
}

/// Where the lock of an environment file lies: `environment.lock` of `environment.yaml`.
pub(crate) fn beside(environment: &Path) -> PathBuf {
    environment.with_extension("lock")
}

/// Reads a lock; `None` if there is none.
///
/// # Errors
///
/// [`BadInput`], if it cannot be read or is none.
pub(crate) fn read(path: &Path) -> Result<Option<LockFile>, BadInput> {
    // A link that leads nowhere is a mistake, and no lock that is not there.
    if path
        .symlink_metadata()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        return Ok(None);
    }
    // A fifo would be waited for, and a program inside may leave one where there is no lock yet.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(BadInput::NotAFile(path.to_owned()));
    }
    let text = read_text(path, LOCK_FILE_BYTES)?;
    let path = path.to_owned();
    match Lock::parse(&text) {
        Ok(lock) => Ok(Some(LockFile {
            lock: Arc::new(lock),
            path,
        })),
        Err(source) => Err(BadInput::Lock { path, source }),
    }
}

/// Reads a lock that is about to be written anew: one of another format counts as none, and what is no lock is not written over.
///
/// # Errors
///
/// [`BadInput`], if it cannot be read or is none.
pub(crate) fn read_to_replace(path: &Path) -> Result<Option<LockFile>, BadInput> {
    match read(path) {
        Err(BadInput::Lock {
            source: NotALock::Version(_),
            ..
        }) => Ok(None),
        other => other,
    }
}

/// The lock that an environment is built from, which fits what it declares.
///
/// # Errors
///
/// [`BadInput`], if it is none, does not fit, or is missing where one is wanted.
pub(crate) fn load(
    arguments: &LockArguments,
    environment: Option<&Path>,
    declared: &Packages,
) -> Result<Option<LockFile>, BadInput> {
    let path = match (&arguments.lock, environment) {
        (Some(path), _) => path.clone(),
        (None, Some(environment)) if !arguments.no_lock => beside(environment),
        (None, _) => return Ok(None),
    };
    let is_wanted = arguments.locked || arguments.lock.is_some();
    let Some(found) = read(&path)? else {
        return if is_wanted {
            Err(BadInput::NoLock(path))
        } else {
            Ok(None)
        };
    };
    match found.lock.fits(declared, std::env::consts::ARCH) {
        Ok(()) => Ok(Some(found)),
        Err(source) => Err(BadInput::LockMismatch { path, source }),
    }
}
