//! Errors of the port, on their way from a host to its server.

use std::ffi::OsString;
use std::path::PathBuf;

use bailiwick_model::SandboxId;
use bailiwick_runtime::{Checkpoint, Error, PathProblem, SpecProblem, Verb, bytes};
use serde::{Deserialize, Serialize};

/// The variants of [`Error`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Refused {
        feature: Box<str>,
        remedy: Option<Box<str>>,
    },
    InvalidSpec {
        field: Box<str>,
        problem: SpecProblem,
    },
    Exists(SandboxId),
    NotFound(SandboxId),
    Gone(SandboxId),
    CheckpointNotFound(Checkpoint),
    Unsupported(Verb),
    CommandNotFound(#[serde(with = "bytes::os_string")] OsString),
    CommandNotExecutable(#[serde(with = "bytes::os_string")] OsString),
    Path {
        #[serde(with = "bytes::os_string")]
        path: PathBuf,
        problem: PathProblem,
    },
    Full,
    Backend(Reported),
}

/// The cause of a failure in a host, in words: its type stays there.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub(super) struct Reported(Box<str>);

impl Reported {
    /// An error with its causes.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let words: Vec<_> = causes.map(ToString::to_string).collect();
        Self(words.join(": ").into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused { feature, remedy } => Self::Refused { feature, remedy },
            Error::InvalidSpec { field, problem } => Self::InvalidSpec { field, problem },
            Error::Exists(id) => Self::Exists(id),
            Error::NotFound(id) => Self::NotFound(id),
            Error::Gone(id) => Self::Gone(id),
            Error::CheckpointNotFound(checkpoint) => Self::CheckpointNotFound(checkpoint),
            Error::Unsupported(verb) => Self::Unsupported(verb),
            Error::CommandNotFound(program) => Self::CommandNotFound(program),
            Error::CommandNotExecutable(program) => Self::CommandNotExecutable(program),
            Error::Path { path, problem } => Self::Path { path, problem },
            Error::Full => Self::Full,
            Error::Backend(cause) => Self::Backend(Reported::of(&*cause)),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { feature, remedy } => Self::Refused { feature, remedy },
            Failure::InvalidSpec { field, problem } => Self::InvalidSpec { field, problem },
            Failure::Exists(id) => Self::Exists(id),
            Failure::NotFound(id) => Self::NotFound(id),
            Failure::Gone(id) => Self::Gone(id),
            Failure::CheckpointNotFound(checkpoint) => Self::CheckpointNotFound(checkpoint),
            Failure::Unsupported(verb) => Self::Unsupported(verb),
            Failure::CommandNotFound(program) => Self::CommandNotFound(program),
            Failure::CommandNotExecutable(program) => Self::CommandNotExecutable(program),
            Failure::Path { path, problem } => Self::Path { path, problem },
            Failure::Full => Self::Full,
            Failure::Backend(reported) => Self::Backend(Box::new(reported)),
        }
    }
}
