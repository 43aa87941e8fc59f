//! What can go wrong, as far as a worker or its operator can do something about it.

use std::path::PathBuf;
use std::time::Duration;

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It will not, and would not if it were asked again.
    #[error("the service refused: {message} (status {status})")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it said, without control characters.
        message: String,
    },
    /// Something else has happened already.
    #[error("the service says that this is not so any more: {0}")]
    Conflict(String),
    /// The item is somebody else's now, or nobody's.
    #[error("the lease of the item is lost")]
    LeaseLost,
    /// It cannot now.
    #[error("the service cannot now: {message} (status {status})")]
    Later {
        /// The status of HTTP.
        status: u16,
        /// What it said, without control characters.
        message: String,
    },
    /// It did not answer, or not to the end.
    #[error("the service cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It was silent for too long.
    #[error("the service was silent for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// What it answered is not of the wire API.
    #[error("the service's answer is none of the wire API: {0}")]
    NotUnderstood(&'static str),
    /// What it answered is more than a worker takes.
    #[error("the service's answer is too large: {0}")]
    TooLarge(&'static str),
}

impl ServiceError {
    /// Whether it may help to ask again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Later { .. } | Self::Unreachable(_) | Self::Silent(_) => true,
            Self::Refused { .. }
            | Self::Conflict(_)
            | Self::LeaseLost
            | Self::NotUnderstood(_)
            | Self::TooLarge(_) => false,
        }
    }
}

/// Why what is written down cannot be.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another worker writes there.
    #[error(
        "another worker of this name runs on this machine: {} is locked; give this one another --name",
        .0.display()
    )]
    Locked(PathBuf),
    /// The file system does not do it.
    #[error("cannot use {}", path.display())]
    Unusable {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else has written there.
    #[error("{} is damaged: remove it, and the calls that it tells of may run again", .0.display())]
    Damaged(PathBuf),
}

/// Why a worker ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The service takes neither this key nor this environment.
    #[error("cannot take work of {environment}")]
    Poll {
        /// The environment.
        environment: String,
        /// What the service said.
        source: ServiceError,
    },
    /// No sandbox starts on this machine.
    #[error("no sandbox can be started, and without one no call is run")]
    NoSandbox(#[source] bailiwick_runtime::Error),
}
