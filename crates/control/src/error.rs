//! Why something was not done.

use std::time::Duration;

use bailiwick_model::Permission;
use bailiwick_store::StoreError;
use bailiwick_wire::FieldProblem;

/// Why something was not done. What its text says may be told to whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No credentials, or none that are taken.
    #[error("no credentials that are valid were given")]
    Unauthenticated,
    /// Too many credentials from one address were none; that these are none either is all that is told.
    #[error("too many requests from this address had no credentials that are valid")]
    TooManyFailures {
        /// When one more would be told apart again.
        retry_after: Duration,
    },
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
    /// It must stay.
    #[error("the Default environment cannot be archived or deleted")]
    IsDefault,
    /// Something refers to it.
    #[error("something still refers to the {0}")]
    Referred(&'static str),
    /// The database did not do what it should.
    #[error("the database did not answer as it should")]
    Store(#[source] StoreError),
}

fn told(problems: &[FieldProblem]) -> String {
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    all.join("; ")
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
            | StoreError::Migration(_)
            | StoreError::Refused(_) => Self::Store(error),
        }
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Vec<FieldProblem>> for ControlError {
    fn from(problems: Vec<FieldProblem>) -> Self {
        Self::Invalid(problems)
    }
}
