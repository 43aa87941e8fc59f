//! Why something was not done.

use std::time::Duration;

use bailiwick_model::{Permission, SessionRefusal};
use bailiwick_oidc::ProviderError;
use bailiwick_store::{StoreError, Work};
use bailiwick_wire::FieldProblem;

use crate::conflicts::Conflict;
use crate::references::References;
use crate::sealing::UnsealError;
use crate::sign_in_refusal::SignInRefusal;

/// Why something was not done. What its text says may be told to whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No credentials, or none that are taken.
    #[error("no credentials that are valid were given")]
    Unauthenticated,
    /// Too many credentials from one address, or for one account, were none; that is all that is told.
    #[error("too many credentials from this address, or for this account, were not valid: wait")]
    TooManyFailures {
        /// When one more would be told apart again.
        retry_after: Duration,
    },
    /// More passwords wait to be hashed than may.
    #[error("too many passwords are being checked: come again in a moment")]
    TooManyPasswords {
        /// When there may be a place.
        retry_after: Duration,
    },
    /// An identity provider sent somebody who is not let in.
    #[error(transparent)]
    SignInRefused(#[from] SignInRefusal),
    /// An identity provider did not do its part.
    #[error("the identity provider does not answer as it should: try again later")]
    IdentityProvider(#[from] ProviderError),
    /// The permission is missing.
    #[error("the permission {0} is needed")]
    Forbidden(Permission),
    /// There is none, or it is another organization's.
    #[error("there is no {0} with this id")]
    NotFound(&'static str),
    /// What was sent cannot be used.
    #[error("{}", told(.0))]
    Invalid(Vec<FieldProblem>),
    /// Something else has this name.
    #[error("another {0} has this name")]
    NameTaken(&'static str),
    /// It was changed since the version that was named.
    #[error("the {0} was changed by somebody else: read it again")]
    Stale(&'static str),
    /// It is archived, and so read-only.
    #[error("the {0} is archived")]
    Archived(&'static str),
    /// Its agent is at work.
    #[error("the session's agent is at work: interrupt it, or wait until it is idle")]
    AtWork,
    /// That cannot happen to the session now.
    #[error("the session cannot do that: {0}")]
    Refused(SessionRefusal),
    /// Workers of its owner decide what is reached there.
    #[error("the {0} is self-hosted: what is reached there is its workers' business")]
    SelfHosted(&'static str),
    /// As many streams are open as may be.
    #[error("too many streams are open on this server: close some, or try again later")]
    TooManyStreams,
    /// Somebody else runs the session by now.
    #[error("the session is run by somebody else")]
    RunLost,
    /// Something else was said to this call of a tool.
    #[error("something else was said to this call of a tool already")]
    AlreadyAnswered,
    /// What is handed out hangs on the key that asked for it.
    #[error(
        "work is handed out to who shows a key, and not to a browser: ask with a key of the environment"
    )]
    NeedsKey,
    /// It has ended.
    #[error("the work has ended")]
    WorkStopped,
    /// The heartbeat came from somebody whose item it is not any more.
    #[error("the work is not leased to whoever sent this heartbeat")]
    LeaseLost(Box<Work>),
    /// Bailiwick runs what happens in it.
    #[error(
        "the environment is of type cloud, so that no workers serve it and none gets a key: make one of type self_hosted"
    )]
    HasNoWorkers,
    /// It must stay.
    #[error("the Default environment cannot be archived or deleted")]
    IsDefault,
    /// It comes with every organization.
    #[error("a predefined role stays as it is")]
    Predefined,
    /// Nobody would administer the organization any more.
    #[error("this is the last administrator: make another one first")]
    LastAdministrator,
    /// Something refers to it.
    #[error("something still refers to the {0}")]
    Referred(&'static str),
    /// Something refers to it, and this is what.
    #[error("something still refers to the {kind}: {}", counted(.references))]
    InUse {
        /// What it is.
        kind: &'static str,
        /// What refers to it.
        references: Box<References>,
    },
    /// It would work together with something in another environment.
    #[error("the {kind} works together with {} in another environment", ids(.conflicts))]
    AcrossEnvironments {
        /// What it is.
        kind: &'static str,
        /// What it works together with.
        conflicts: Vec<Conflict>,
    },
    /// An active credential of the vault is for the same thing.
    #[error(
        "another credential of the vault is for the same MCP server or the same variable: archive it first"
    )]
    TargetTaken,
    /// No more fit in.
    #[error("the {kind} has {limit} {what} already, the most that it can have")]
    Full {
        /// What is full.
        kind: &'static str,
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// A secret cannot be opened: a key is missing, or the database was tampered with.
    #[error("a secret cannot be unsealed")]
    Unseal(#[source] UnsealError),
    /// It was there, and its time is over.
    #[error("the {0} has expired")]
    Expired(&'static str),
    /// It has more bytes than such a thing may have.
    #[error("the {kind} is larger than {most_bytes} bytes")]
    TooLarge {
        /// What.
        kind: &'static str,
        /// How many it may have.
        most_bytes: u64,
    },
    /// Its upload was silent for so long that it was given up.
    #[error("the upload of the {0} took too long and was given up")]
    GivenUp(&'static str),
    /// The organization has as many bytes of files and skills as it may.
    #[error("the organization's files and skills may have {most_bytes} bytes: delete some first")]
    QuotaExceeded {
        /// How many.
        most_bytes: u64,
    },
    /// Its bytes are not for clients.
    #[error("the file cannot be downloaded")]
    NotDownloadable,
    /// A skill of versions is deleted version by version, for clients of before 2026.
    #[error("the skill has versions: delete them first")]
    HasVersions,
    /// A skill has at least one version.
    #[error("this is the only version of the skill: delete the skill")]
    OnlyVersion,
    /// An MCP server cannot be asked, or does not answer: in words for whoever wants to use it.
    #[error("the MCP server: {0}")]
    McpServer(String),
    /// The database did not do what it should.
    #[error("the database did not answer as it should")]
    Store(#[source] StoreError),
}

fn told(problems: &[FieldProblem]) -> String {
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    all.join("; ")
}

fn counted(references: &References) -> String {
    let counts = references.counts.iter();
    let all: Vec<_> = counts
        .map(|(kind, count)| format!("{count} of the kind {}", kind.as_str()))
        .collect();
    all.join(", ")
}

fn ids(conflicts: &[Conflict]) -> String {
    let all: Vec<_> = conflicts
        .iter()
        .map(|conflict| conflict.id.as_str())
        .collect();
    all.join(", ")
}

impl ControlError {
    /// What a failure of the store means for a thing of this kind.
    pub(crate) fn of(kind: &'static str) -> impl Fn(StoreError) -> Self {
        move |error| match error {
            StoreError::Taken => Self::NameTaken(kind),
            StoreError::Stale => Self::Stale(kind),
            StoreError::Referred => Self::Referred(kind),
            StoreError::Unavailable(_)
            | StoreError::Corrupt { .. }
            | StoreError::NotACopy(_)
            | StoreError::OpenFile { .. }
            | StoreError::Migration(_)
            | StoreError::Refused(_) => Self::Store(error),
        }
    }
}

impl ControlError {
    /// What a failure of the store means for something that belongs to a thing of this kind: it may have gone between two looks.
    pub(crate) fn without(kind: &'static str) -> impl Fn(StoreError) -> Self {
        move |error| {
            if matches!(error, StoreError::Referred) {
                Self::NotFound(kind)
            } else {
                Self::Store(error)
            }
        }
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<UnsealError> for ControlError {
    fn from(error: UnsealError) -> Self {
        Self::Unseal(error)
    }
}

impl From<Vec<FieldProblem>> for ControlError {
    fn from(problems: Vec<FieldProblem>) -> Self {
        Self::Invalid(problems)
    }
}
