//! Why there is no layer.

use bailiwick_runtime::{ExitStatus, LayerDigest};

use super::limit::{self, BuildLimit};
use crate::lock::{Difference, LockMismatch, list};
use crate::recipe;
use crate::store::StoreError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// What was asked for cannot be had: a package manager, a set-up or an archive failed by itself. Trying again does not help.
    #[error(
        "{what} could not be built: {reason} (the whole log: `bailiwick image log {}`)",
        short(key)
    )]
    Failed {
        /// What was built: a package manager's name, a base, a project.
        what: String,
        /// The line of its output that says most.
        reason: String,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
    /// The network or a registry failed, again and again.
    #[error(
        "{what} could not reach what it needs: {reason} (the whole log: `bailiwick image log {}`)",
        short(key)
    )]
    Network {
        /// What was built.
        what: String,
        /// The line of its output that says most.
        reason: String,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
    /// The base has no such package manager, and none can be installed: it has no apt, or the builder is not root.
    #[error(
        "this base has no {0}, and it cannot be installed on it here: install it on the base first"
    )]
    NoManager(String),
    /// The build ran out of something.
    #[error(
        "{what} ran into {limit} (the whole log: `bailiwick image log {}`)",
        short(key)
    )]
    Limit {
        /// What was built.
        what: String,
        /// Out of what.
        limit: BuildLimit,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
    /// A registry did not say what an image's name stands for.
    #[error("cannot look up {image}: {reason}")]
    Unresolved {
        /// The image.
        image: String,
        /// What was said.
        reason: String,
    },
    /// What came is not what the lock says.
    #[error(
        "{what} did not come to what the lock says: {differences} (the whole log: `bailiwick image log {}`); `bailiwick image refresh` resolves anew and writes another lock",
        short(key)
    )]
    NotAsLocked {
        /// What was built.
        what: String,
        /// How it differs.
        differences: String,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
    /// The lock was made for something else.
    #[error(transparent)]
    Lock(#[from] LockMismatch),
    /// A repository is there and does not have what was asked for, or refuses, or cannot be asked at all.
    #[error("the repository {repository} could not be fetched: {reason}")]
    Fetch {
        /// Its URL.
        repository: String,
        /// The line of git's output that says most.
        reason: String,
    },
    /// Nobody answered for a repository.
    #[error("the repository {repository} could not be reached: {reason}")]
    Unreachable {
        /// Its URL.
        repository: String,
        /// The line of git's output that says most.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox of a build.
    #[error("cannot build in a sandbox: {0}")]
    Runtime(#[from] bailiwick_runtime::Error),
    /// The log cannot be written.
    #[error("cannot write the log of a build: {0}")]
    Log(std::io::Error),
}

/// Enough of a key's digits to find it.
fn short(key: &LayerDigest) -> &str {
    &key.digits()[..12]
}

/// A build that used something up.
pub(super) fn of_limit(what: &str, limit: BuildLimit, key: LayerDigest) -> BuildError {
    BuildError::Limit {
        what: what.to_owned(),
        limit,
        key,
    }
}

pub(super) fn not_as_locked(
    what: &str,
    differences: &[Difference],
    key: LayerDigest,
) -> BuildError {
    BuildError::NotAsLocked {
        what: what.to_owned(),
        differences: list(differences),
        key,
    }
}

/// What the end of a build that failed says: `tail` is the end of its output.
pub(super) fn of_failure(
    what: &str,
    status: ExitStatus,
    tail: &str,
    key: LayerDigest,
) -> BuildError {
    if let Some(limit) = limit::named_in(tail) {
        return of_limit(what, limit, key);
    }
    let (what, reason) = (what.to_owned(), reason(tail));
    match status {
        ExitStatus::Exited(recipe::NO_MANAGER) => BuildError::NoManager(what),
        ExitStatus::OutOfMemory => of_limit(&what, BuildLimit::Memory(None), key),
        _ if recipe::is_transient(tail) => BuildError::Network { what, reason, key },
        ExitStatus::Exited(_) | ExitStatus::Signaled(_) | ExitStatus::TimedOut => {
            BuildError::Failed { what, reason, key }
        }
    }
}

/// The first line that looks like the reason of a failure, else the last line.
pub(super) fn reason(tail: &str) -> String {
    let says_why = |line: &&str| {
        let line = line.to_ascii_lowercase();
        // npm begins with a code alone, and says in the next line what it is about.
        let is_code = line.starts_with("npm error code ") || line.starts_with("npm err! code ");
        !is_code
            && (line.starts_with("error")
                || line.starts_with("fatal: ")
                || line.starts_with("e: ")
                || line.starts_with("npm error ")
                || line.contains("error:")
                || line.contains("err!"))
    };
    let lines = || tail.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .find(says_why)
        .or_else(|| lines().next_back())
        .unwrap_or("it printed nothing")
        .to_owned()
}
