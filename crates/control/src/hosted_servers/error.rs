//! Why a self-hosted server is not there.

use std::sync::Arc;

use bailiwick_mcp::McpError;
use bailiwick_model::limits::{HOSTED_SERVERS, HOSTED_SERVERS_OF_ORGANIZATION};

use super::server::HostedProblem;
use crate::error::ControlError;
use crate::sandboxes::error::SandboxError;

/// Why a self-hosted server is not there: the text is for whoever asked it, and for whoever looks after the catalog.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HostedError {
    /// What the entry says.
    #[error("the server cannot be run: {0}")]
    Invalid(#[from] HostedProblem),
    /// See [`HOSTED_SERVERS`].
    #[error(
        "this server runs {HOSTED_SERVERS} MCP servers, which is the most it may; ask again once some are idle"
    )]
    Full,
    /// See [`HOSTED_SERVERS_OF_ORGANIZATION`].
    #[error(
        "the organization runs {HOSTED_SERVERS_OF_ORGANIZATION} MCP servers here, which is the most it may; ask again once some are idle"
    )]
    OrganizationFull,
    /// It takes its time, with images to be built above all.
    #[error("the server is still being started: ask again in a while")]
    Starting,
    /// It was not started, or did not come to answer.
    #[error("the server did not start: {0}")]
    NotStarted(Arc<str>),
    /// It failed a moment ago.
    #[error(
        "the server has failed {failures} times and is started again in {seconds} s; the last time: {problem}"
    )]
    Pausing {
        /// How often in a row.
        failures: u32,
        /// When.
        seconds: u64,
        /// Why.
        problem: Arc<str>,
    },
    /// Nothing runs there any more.
    #[error("the environment of the server is archived or deleted")]
    EnvironmentGone,
    /// Nothing runs there but what its own workers run.
    #[error(
        "the environment of the server is self-hosted, where this server runs nothing; move the entry to another environment"
    )]
    SelfHosted,
    /// It was taken away, or this server goes down.
    #[error("the server is being ended")]
    Ending,
}

impl From<HostedError> for McpError {
    fn from(error: HostedError) -> Self {
        Self::NotRunning(error.to_string().into())
    }
}

impl HostedError {
    /// Of a sandbox.
    pub(super) fn of(error: SandboxError) -> Self {
        match error {
            SandboxError::SelfHosted => Self::SelfHosted,
            SandboxError::Runtime(error) => Self::runtime(&error),
            error @ (SandboxError::Full
            | SandboxError::OrganizationFull
            | SandboxError::Ended
            | SandboxError::Base(_)
            | SandboxError::Owners(_)
            | SandboxError::Project
            | SandboxError::NoImages
            | SandboxError::Image(_)
            | SandboxError::Outputs
            | SandboxError::OutputsTooSlow
            | SandboxError::OutputsInAll { .. }
            | SandboxError::DiskFull
            | SandboxError::Upload(_)
            | SandboxError::CutOff
            | SandboxError::Control(_)) => {
                tracing::warn!(error = %error.for_the_log(), "a self-hosted server cannot be started");
                Self::NotStarted(error.to_string().into())
            }
        }
    }

    /// What the backend says of its own is for its log; that a program is missing is not.
    pub(super) fn runtime(error: &bailiwick_runtime::Error) -> Self {
        if let bailiwick_runtime::Error::Backend(cause) = error {
            tracing::warn!(error = %cause, "a self-hosted server cannot be started");
        }
        Self::NotStarted(error.to_string().into())
    }

    /// The same with the last of a log, where it is about a start.
    pub(super) fn with(self, log: &str) -> Self {
        match self {
            Self::NotStarted(problem) => {
                Self::NotStarted(format!("{problem}; the last of its log: {log}").into())
            }
            error @ (Self::Invalid(_)
            | Self::Full
            | Self::OrganizationFull
            | Self::Starting
            | Self::Pausing { .. }
            | Self::EnvironmentGone
            | Self::SelfHosted
            | Self::Ending) => error,
        }
    }

    /// Whether nothing helps but that somebody changes something.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::EnvironmentGone | Self::SelfHosted => true,
            Self::Invalid(_)
            | Self::Full
            | Self::OrganizationFull
            | Self::Starting
            | Self::NotStarted(_)
            | Self::Pausing { .. }
            | Self::Ending => false,
        }
    }
}

impl From<ControlError> for HostedError {
    fn from(error: ControlError) -> Self {
        Self::of(SandboxError::Control(error))
    }
}
