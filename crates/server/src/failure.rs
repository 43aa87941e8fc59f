//! What went wrong with a request, on its way to the edge that writes it down.

mod code;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use bailiwick_control::{Conflict, ControlError, SignInRefusal};
use bailiwick_model::SessionRefusal;
use serde::Serialize;

use crate::api::references::ReferencesJson;

pub(crate) use code::Code;

/// Why a request was not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The use case refused.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// There is no such route.
    #[error("there is nothing at this path")]
    NoRoute,
    /// The route takes other methods.
    #[error("this path does not take this method")]
    Method,
    /// The body has more bytes than the route takes.
    #[error("the body is larger than this path takes")]
    TooLarge,
    /// The body is not JSON, or not an object.
    #[error("the body is not a JSON object: {0}")]
    NotJson(String),
    /// The body is not a form of files.
    #[error("the body is not a form that can be read (multipart/form-data, RFC 7578): {0}")]
    NotForm(String),
    /// A parameter of the query or the path cannot be used.
    #[error("{field}: {message}")]
    Parameter {
        /// Its name.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The client took too long to send its request.
    #[error("the request did not arrive in time")]
    Slow,
}

impl Failure {
    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Control(error) => status_of(error),
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson(_) | Self::NotForm(_) | Self::Parameter { .. } => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// A stable word for a program.
    pub(crate) fn code(&self) -> &'static str {
        let code = match self {
            Self::Control(error) => match error {
                ControlError::Unauthenticated => Code::Unauthenticated,
                ControlError::TooManyFailures { .. } => Code::TooManyFailures,
                ControlError::TooManyPasswords { .. } => Code::TooManyPasswords,
                ControlError::SignInRefused(refusal) => sign_in_code(refusal),
                ControlError::IdentityProvider(_) => Code::IdentityProviderUnavailable,
                ControlError::Forbidden(_) | ControlError::NeedsKey => Code::Forbidden,
                ControlError::NotFound(_) => Code::NotFound,
                ControlError::Invalid(problems) => match problems.as_slice() {
                    [only] => return only.code,
                    _ => Code::Invalid,
                },
                ControlError::NameTaken("skill") => Code::SkillNameTaken,
                ControlError::NameTaken(_) => Code::NameTaken,
                ControlError::Stale(_) => Code::Stale,
                ControlError::Archived(kind) => archived(kind),
                ControlError::TargetTaken => Code::CredentialExists,
                ControlError::Full { .. } => Code::Full,
                ControlError::Unseal(_) => Code::Sealed,
                ControlError::HasNoWorkers => Code::NotSelfHosted,
                ControlError::IsDefault => Code::DefaultEnvironment,
                ControlError::Predefined => Code::PredefinedRole,
                ControlError::LastAdministrator => Code::LastAdministrator,
                ControlError::Referred(_) | ControlError::InUse { .. } => Code::Referred,
                ControlError::AtWork | ControlError::Refused(SessionRefusal::AtWork) => {
                    Code::SessionRunning
                }
                ControlError::Refused(SessionRefusal::Ended) => Code::SessionTerminated,
                ControlError::Refused(SessionRefusal::IsPrimary) => Code::PrimaryThread,
                ControlError::Refused(
                    SessionRefusal::NoSuchThread
                    | SessionRefusal::ThreadExists
                    | SessionRefusal::NotAtWork
                    | SessionRefusal::InputWaits
                    | SessionRefusal::NothingQueued
                    | SessionRefusal::NothingAwaited,
                )
                | ControlError::RunLost => Code::Stale,
                ControlError::AlreadyAnswered => Code::AlreadyAnswered,
                ControlError::SelfHosted(_) => Code::SelfHosted,
                ControlError::TooManyStreams => Code::TooManyStreams,
                ControlError::WorkStopped => Code::WorkStopped,
                ControlError::LeaseLost(_) => Code::HeartbeatPreconditionFailed,
                ControlError::AcrossEnvironments { .. } => Code::AcrossEnvironments,
                ControlError::Expired(_) => Code::FileExpired,
                ControlError::TooLarge { .. } => Code::RequestTooLarge,
                ControlError::GivenUp(_) => Code::RequestBodyTimeout,
                ControlError::QuotaExceeded { .. } => Code::StorageQuotaExceeded,
                ControlError::NotDownloadable => Code::FileNotDownloadable,
                ControlError::HasVersions => Code::SkillHasVersions,
                ControlError::OnlyVersion => Code::OnlySkillVersion,
                ControlError::McpServer(_) => Code::McpServerUnavailable,
                ControlError::Store(_) => Code::Unavailable,
            },
            Self::NoRoute => Code::NoRoute,
            Self::Method => Code::MethodNotAllowed,
            Self::TooLarge => Code::RequestTooLarge,
            Self::NotJson(_) => Code::NotJson,
            Self::NotForm(_) => Code::NotAForm,
            Self::Parameter { .. } => Code::InvalidParameter,
            Self::Slow => Code::RequestBodyTimeout,
        };
        code.as_str()
    }

    /// Whether the same request may succeed if it is sent again as it is.
    pub(crate) fn may_be_retried(&self) -> bool {
        matches!(
            self,
            Self::Control(
                ControlError::Store(_)
                    | ControlError::GivenUp(_)
                    | ControlError::TooManyPasswords { .. }
                    | ControlError::TooManyStreams
            ) | Self::Slow
        )
    }

    /// After how many seconds it makes sense to send another request (RFC 9110, section 10.2.3).
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Control(
                ControlError::TooManyFailures { retry_after }
                | ControlError::TooManyPasswords { retry_after },
            ) => Some(retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0)),
            Self::Control(_)
            | Self::NoRoute
            | Self::Method
            | Self::TooLarge
            | Self::NotJson(_)
            | Self::NotForm(_)
            | Self::Parameter { .. }
            | Self::Slow => None,
        }
    }
}

fn sign_in_code(refusal: &SignInRefusal) -> Code {
    match refusal {
        SignInRefusal::NotBegunHere => Code::SignInNotBegun,
        SignInRefusal::Spent => Code::SignInSpent,
        SignInRefusal::NotProven(_) => Code::SignInNotProven,
        SignInRefusal::NoVerifiedEmail
        | SignInRefusal::Domain
        | SignInRefusal::Claim
        | SignInRefusal::NotAMember
        | SignInRefusal::Removed
        | SignInRefusal::SomebodyElse
        | SignInRefusal::Disabled
        | SignInRefusal::NoRole => Code::SignInNotAllowed,
    }
}

fn archived(kind: &str) -> Code {
    match kind {
        "environment" => Code::EnvironmentArchived,
        "vault" => Code::VaultArchived,
        "credential" => Code::CredentialArchived,
        "session" => Code::SessionArchived,
        _ => Code::Archived,
    }
}

/// The status of the answer to what a use case refused.
pub(crate) fn status_of(error: &ControlError) -> StatusCode {
    match error {
        ControlError::Unauthenticated => StatusCode::UNAUTHORIZED,
        ControlError::TooManyFailures { .. }
        | ControlError::TooManyPasswords { .. }
        | ControlError::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
        ControlError::SignInRefused(refusal) if refusal.is_known() => StatusCode::FORBIDDEN,
        ControlError::SignInRefused(_) => StatusCode::UNAUTHORIZED,
        ControlError::IdentityProvider(_) | ControlError::McpServer(_) => StatusCode::BAD_GATEWAY,
        ControlError::Forbidden(_) | ControlError::NeedsKey => StatusCode::FORBIDDEN,
        ControlError::NotFound(_) | ControlError::Expired(_) => StatusCode::NOT_FOUND,
        ControlError::Invalid(_)
        | ControlError::Archived(_)
        | ControlError::SelfHosted(_)
        | ControlError::Full { .. }
        | ControlError::QuotaExceeded { .. }
        | ControlError::NotDownloadable
        | ControlError::HasVersions
        | ControlError::OnlyVersion
        | ControlError::Refused(SessionRefusal::Ended) => StatusCode::BAD_REQUEST,
        ControlError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ControlError::GivenUp(_) => StatusCode::REQUEST_TIMEOUT,
        ControlError::NameTaken(_)
        | ControlError::TargetTaken
        | ControlError::Stale(_)
        | ControlError::HasNoWorkers
        | ControlError::IsDefault
        | ControlError::Predefined
        | ControlError::LastAdministrator
        | ControlError::Referred(_)
        | ControlError::InUse { .. }
        | ControlError::AtWork
        | ControlError::Refused(_)
        | ControlError::RunLost
        | ControlError::AlreadyAnswered
        | ControlError::WorkStopped
        | ControlError::AcrossEnvironments { .. } => StatusCode::CONFLICT,
        ControlError::LeaseLost(_) => StatusCode::PRECONDITION_FAILED,
        ControlError::Unseal(_) | ControlError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Why a request failed.
pub(crate) fn of(response: &Response) -> Option<&Arc<Failure>> {
    response.extensions().get()
}

/// What a face has written of a failure still says which it was: for `retry-after`, the log and the numbers.
pub(crate) fn pass_on(failure: &Arc<Failure>, written: &mut Response) {
    if let Some(seconds) = failure.retry_after() {
        written.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    written.extensions_mut().insert(Arc::clone(failure));
}

/// What stands in the way of what was asked for, for programs.
#[derive(Default, Serialize)]
pub(crate) struct Obstacles<'a> {
    /// What would stop matching in another environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicts: Option<&'a [Conflict]>,
    /// What refers to what was to be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    references: Option<ReferencesJson<'a>>,
}

impl<'a> Obstacles<'a> {
    pub(crate) fn of(failure: &'a Failure) -> Self {
        let mut obstacles = Self::default();
        if let Failure::Control(ControlError::AcrossEnvironments { conflicts, .. }) = failure {
            obstacles.conflicts = Some(conflicts);
        }
        if let Failure::Control(ControlError::InUse { references, .. }) = failure {
            obstacles.references = Some(references.as_ref().into());
        }
        obstacles
    }
}

/// What is stored cannot be read.
pub(crate) fn corrupt(column: &'static str) -> Failure {
    ControlError::Store(bailiwick_store::StoreError::Corrupt { column }).into()
}

/// Without a body: the edge writes it.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
