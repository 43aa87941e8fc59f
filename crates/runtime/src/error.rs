//! Why a verb failed: one variant for each cause that a caller can act on.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;

use bailiwick_model::SandboxId;
use serde::{Deserialize, Serialize};

use crate::Checkpoint;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine lacks what isolation needs. Nothing was started.
    #[error("refused: this needs {feature}{}", remedy.as_deref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Refused {
        /// The feature, by the name that `bailiwick doctor` uses.
        feature: Box<str>,
        /// How to get it, where there is a way.
        remedy: Option<Box<str>>,
    },
    /// The spec cannot be carried out anywhere.
    #[error("{field}: {problem}")]
    InvalidSpec {
        /// The field, as a path (`mounts[1].target`).
        field: Box<str>,
        /// What is wrong with it.
        problem: SpecProblem,
    },
    /// A sandbox of that id runs.
    #[error("a sandbox {0} runs already")]
    Exists(SandboxId),
    /// No sandbox of that id runs.
    #[error("no sandbox {0} runs")]
    NotFound(SandboxId),
    /// The sandbox has stopped.
    #[error("the sandbox {0} has stopped")]
    Gone(SandboxId),
    /// There is no such checkpoint, or it is used up.
    #[error("there is no checkpoint {0}")]
    CheckpointNotFound(Checkpoint),
    /// The checkpoint is not what was written: trying again does not help.
    #[error("the checkpoint {0} is damaged")]
    CheckpointDamaged(Checkpoint),
    /// The backend does not have this verb here.
    #[error("{0} is not supported by this backend")]
    Unsupported(Verb),
    /// The program does not exist inside.
    #[error("{}: no such program in the sandbox", .0.display())]
    CommandNotFound(OsString),
    /// The program exists and may not be executed.
    #[error("{}: may not be executed in the sandbox", .0.display())]
    CommandNotExecutable(OsString),
    /// No program listens there, or it takes no connection in time.
    #[error("nothing in the sandbox takes connections on port {0}")]
    NotListening(NonZeroU16),
    /// A path inside.
    #[error("{}: {problem}", path.display())]
    Path {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// The backend has no room: too many sandboxes, or the machine is full.
    #[error("no room for another sandbox")]
    Full,
    /// The backend itself failed. The cause is for the log.
    #[error("the runtime failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The verbs that a backend may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verb {
    /// [`Runtime::adopt`](crate::Runtime::adopt).
    Adopt,
    /// [`Sandbox::apply_policy`](crate::Sandbox::apply_policy).
    ApplyPolicy,
    /// [`Sandbox::checkpoint`](crate::Sandbox::checkpoint) and [`Runtime::restore`](crate::Runtime::restore).
    Checkpoint,
    /// [`Sandbox::connect`](crate::Sandbox::connect).
    Connect,
    /// A command with a terminal.
    Terminal,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adopt => "adopting a running sandbox",
            Self::ApplyPolicy => "changing the policy of a running sandbox",
            Self::Checkpoint => "checkpointing",
            Self::Connect => "connecting to a program inside",
            Self::Terminal => "a terminal",
        })
    }
}

/// What is wrong with a field of a spec or a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SpecProblem {
    /// Nothing where something is needed.
    #[error("is empty")]
    Empty,
    /// A path inside that does not begin with `/`, or holds `..`.
    #[error("is not an absolute path without `..`")]
    NotAbsolute,
    /// A NUL byte, or `=` in the name of a variable.
    #[error("holds a byte that is not allowed there")]
    Byte,
    /// Two of the same.
    #[error("is given twice")]
    Duplicate,
    /// A limit of zero, which nothing can keep.
    #[error("is zero")]
    Zero,
    /// More than the backend's own bound.
    #[error("is more than the machine allows")]
    TooMuch,
}

/// What is wrong with a path inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PathProblem {
    /// It does not exist.
    #[error("no such file or directory")]
    NotFound,
    /// It is not an absolute path, or holds a NUL byte.
    #[error("is not an absolute path")]
    NotAbsolute,
    /// A directory where a file is needed, or another kind of thing.
    #[error("is not a regular file")]
    NotAFile,
    /// Something else where a directory is needed.
    #[error("is not a directory")]
    NotADirectory,
    /// The sandbox's identity may not.
    #[error("permission denied")]
    PermissionDenied,
    /// Above the limit that was given.
    #[error("is above the limit")]
    TooLarge,
    /// Not done within the time that was given.
    #[error("takes longer than the limit")]
    TooSlow,
    /// The sandbox's disk limit.
    #[error("no space left in the sandbox")]
    NoSpace,
}
