//! Why a session has no sandbox.

use std::error::Error as _;

use bailiwick_images::{BuildError, OwnersProblem};
use bailiwick_model::limits::{
    SESSION_OUTPUT_BYTES, SESSION_OUTPUT_FILES, SESSION_OUTPUT_TIME, SESSION_SANDBOXES,
    SESSION_SANDBOXES_OF_ORGANIZATION,
};
use bailiwick_tools::Failure;
use bailiwick_wire::{RetryStatus, SessionError};

use super::base::BaseProblem;
use super::untold::unknown;
use crate::engine::{Called, NoWorkplace};
use crate::error::ControlError;

/// Why a session has no sandbox: the text is for the model, and for whoever reads the session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// See [`SESSION_SANDBOXES`].
    #[error(
        "this server has sandboxes of {SESSION_SANDBOXES} sessions, which is the most it may have; archive sessions that are done"
    )]
    Full,
    /// See [`SESSION_SANDBOXES_OF_ORGANIZATION`].
    #[error(
        "the organization has sandboxes of {SESSION_SANDBOXES_OF_ORGANIZATION} sessions on this server, which is the most it may have; archive sessions that are done"
    )]
    OrganizationFull,
    /// It was archived or deleted meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The session has no policy, as those in self-hosted environments.
    #[error("the session's environment is self-hosted: its workers run the tools")]
    SelfHosted,
    /// What the environment stands on.
    #[error("the environment's base cannot be used here: {0}")]
    Base(#[from] BaseProblem),
    /// Whose files its image would have.
    #[error("the image of the environment cannot be built by this server: {0}")]
    Owners(#[from] OwnersProblem),
    /// How the project is fetched.
    #[error(
        "the environment declares a project that is not fetched over https from a host of the network by its name, which is the only way for sessions; use such a URL, or a repository as a resource of the session"
    )]
    Project,
    /// The environment declares packages, a project or a base.
    #[error(
        "the environment declares packages, a project or a base, and this server cannot build images; its log says why"
    )]
    NoImages,
    /// The packages, the project, or the base.
    #[error("the image of the environment cannot be built: {0}")]
    Image(#[source] Box<BuildError>),
    /// See [`SESSION_OUTPUT_BYTES`].
    #[error(
        "what is in /mnt/session/outputs is more than {SESSION_OUTPUT_FILES} files or {} MiB, and none of it was handed over: leave less there",
        SESSION_OUTPUT_BYTES >> 20
    )]
    Outputs,
    /// See [`SESSION_OUTPUT_TIME`].
    #[error(
        "what is in /mnt/session/outputs could not be read in {} s, and none of it was handed over: leave less there, or fewer processes at work",
        SESSION_OUTPUT_TIME.as_secs()
    )]
    OutputsTooSlow,
    /// See [`ContentLimits`](crate::ContentLimits).
    #[error(
        "the session has handed over as much as it may in all, {files} files or {} MiB: what is new in /mnt/session/outputs is not handed over any more, unless files of the session are deleted",
        .bytes >> 20
    )]
    OutputsInAll {
        /// At most so many.
        files: u64,
        /// And so long together.
        bytes: u64,
    },
    /// See [`SESSION_FILES_FREE_BYTES`](bailiwick_model::limits::SESSION_FILES_FREE_BYTES).
    #[error("the server's disk has no room for the files of the session")]
    DiskFull,
    /// The files of the session on this machine.
    #[error("the files of the session cannot be placed")]
    Upload(#[from] std::io::Error),
    /// Whoever started it did not come to an end.
    #[error("starting it was cut off; the server's log says more")]
    CutOff,
    /// What the sandbox is made from could not be read.
    #[error("what the sandbox is made from cannot be read now: {0}")]
    Control(#[from] ControlError),
    /// The backend.
    #[error(transparent)]
    Runtime(#[from] bailiwick_runtime::Error),
}

impl SandboxError {
    /// What the session is told of it; nothing where it was told otherwise, or has ended.
    pub(super) fn failure(&self) -> Option<SessionError> {
        let retry_status = match self {
            Self::Ended | Self::Outputs | Self::OutputsTooSlow | Self::OutputsInAll { .. } => {
                return None;
            }
            // With the next call that needs a sandbox.
            Self::Full
            | Self::OrganizationFull
            | Self::Image(_)
            | Self::DiskFull
            | Self::Upload(_)
            | Self::CutOff
            | Self::Control(_)
            | Self::Runtime(_)
            | Self::Base(BaseProblem::Unreadable { .. }) => RetryStatus::Retrying,
            Self::SelfHosted
            | Self::Base(BaseProblem::RegistryHere | BaseProblem::HostPath(_))
            | Self::Owners(_)
            | Self::Project
            | Self::NoImages => RetryStatus::Terminal,
        };
        let message = format!("the session has no sandbox: {self}");
        Some(unknown(message, retry_status))
    }

    /// The answer to a call for which there is not even a place.
    pub(super) fn as_called(&self) -> Called {
        Called {
            outcome: Err(NoWorkplace::Failed(self.to_string())),
            failures: self.failure().into_iter().collect(),
        }
    }

    /// With its causes, which are not for outsiders.
    pub(crate) fn for_the_log(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sandbox(error) => Self::Runtime(error),
        }
    }
}
