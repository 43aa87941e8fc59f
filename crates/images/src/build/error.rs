//! Why there is no layer.

use bailiwick_runtime::{ExitStatus, LayerDigest};

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
        "{what} ran into the limit of builds on {limit} (the whole log: `bailiwick image log {}`)",
        short(key)
    )]
    Limit {
        /// What was built.
        what: String,
        /// On what.
        limit: &'static str,
        /// The key of the layer that there is none of.
        key: LayerDigest,
    },
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

/// What the end of a build that failed says: `tail` is the end of its output.
pub(super) fn of_failure(
    what: &str,
    status: ExitStatus,
    tail: &str,
    key: LayerDigest,
) -> BuildError {
    let (what, reason) = (what.to_owned(), reason(tail));
    let limit = |limit| BuildError::Limit {
        what: what.clone(),
        limit,
        key: key.clone(),
    };
    match status {
        ExitStatus::Exited(recipe::NO_MANAGER) => BuildError::NoManager(what),
        ExitStatus::OutOfMemory => limit("memory"),
        _ if tail.contains("No space left on device") => limit("disk space"),
        _ if recipe::is_transient(tail) => BuildError::Network { what, reason, key },
        ExitStatus::Exited(_) | ExitStatus::Signaled(_) | ExitStatus::TimedOut => {
            BuildError::Failed { what, reason, key }
        }
    }
}

/// The last line that looks like the reason of a failure, else the last line.
pub(super) fn reason(tail: &str) -> String {
    let says_why = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("error")
            || line.starts_with("fatal: ")
            || line.starts_with("e: ")
            || line.contains("error:")
            || line.contains("err!")
    };
    let lines = || tail.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .find(says_why)
        .or_else(|| lines().next_back())
        .unwrap_or("it printed nothing")
        .to_owned()
}
