//! Errors of the port, on their way from a host to its server.

use std::ffi::OsString;
use std::num::NonZeroU16;
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
    CheckpointDamaged(Checkpoint),
    Unsupported(Verb),
    CommandNotFound(#[serde(with = "bytes::os_string")] OsString),
    CommandNotExecutable(#[serde(with = "bytes::os_string")] OsString),
    NotListening(NonZeroU16),
    Path {
        #[serde(with = "bytes::os_string")]
        path: PathBuf,
        problem: PathProblem,
    },
    Full,
    /// The sandbox has stopped, and the host has forgotten it.
    Forgotten,
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
            Error::CheckpointDamaged(checkpoint) => Self::CheckpointDamaged(checkpoint),
            Error::Unsupported(verb) => Self::Unsupported(verb),
            Error::CommandNotFound(program) => Self::CommandNotFound(program),
            Error::CommandNotExecutable(program) => Self::CommandNotExecutable(program),
            Error::NotListening(port) => Self::NotListening(port),
            Error::Path { path, problem } => Self::Path { path, problem },
            Error::Full => Self::Full,
            Error::Backend(cause) => Self::Backend(Reported::of(&*cause)),
        }
    }
}

impl Failure {
    /// The error of a question about the sandbox `id`.
    pub(super) fn about(self, id: &SandboxId) -> Error {
        match self {
            Self::Refused { feature, remedy } => Error::Refused { feature, remedy },
            Self::InvalidSpec { field, problem } => Error::InvalidSpec { field, problem },
            Self::Exists(id) => Error::Exists(id),
            Self::NotFound(id) => Error::NotFound(id),
            Self::Gone(id) => Error::Gone(id),
            Self::CheckpointNotFound(checkpoint) => Error::CheckpointNotFound(checkpoint),
            Self::CheckpointDamaged(checkpoint) => Error::CheckpointDamaged(checkpoint),
            Self::Unsupported(verb) => Error::Unsupported(verb),
            Self::CommandNotFound(program) => Error::CommandNotFound(program),
            Self::CommandNotExecutable(program) => Error::CommandNotExecutable(program),
            Self::NotListening(port) => Error::NotListening(port),
            Self::Path { path, problem } => Error::Path { path, problem },
            Self::Full => Error::Full,
            Self::Forgotten => Error::Gone(id.clone()),
            Self::Backend(reported) => reported.into(),
        }
    }
}

impl From<Reported> for Error {
    fn from(reported: Reported) -> Self {
        Self::Backend(Box::new(reported))
    }
}
