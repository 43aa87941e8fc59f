//! What went wrong with a request, on its way to the edge that writes it down.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use bailiwick_control::ControlError;

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
            Self::Control(error) => match error {
                ControlError::Unauthenticated => StatusCode::UNAUTHORIZED,
                ControlError::TooManyFailures { .. } => StatusCode::TOO_MANY_REQUESTS,
                ControlError::Forbidden(_) => StatusCode::FORBIDDEN,
                ControlError::NotFound(_) | ControlError::Expired(_) => StatusCode::NOT_FOUND,
                ControlError::Invalid(_)
                | ControlError::Archived(_)
                | ControlError::Full { .. }
                | ControlError::QuotaExceeded { .. }
                | ControlError::NotDownloadable
                | ControlError::HasVersions
                | ControlError::OnlyVersion => StatusCode::BAD_REQUEST,
                ControlError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                ControlError::GivenUp(_) => StatusCode::REQUEST_TIMEOUT,
                ControlError::NameTaken(_)
                | ControlError::TargetTaken
                | ControlError::Stale(_)
                | ControlError::IsDefault
                | ControlError::Predefined
                | ControlError::LastAdministrator
                | ControlError::Referred(_)
                | ControlError::AtWork
                | ControlError::WorkStopped
                | ControlError::AcrossEnvironments { .. } => StatusCode::CONFLICT,
                ControlError::LeaseLost(_) => StatusCode::PRECONDITION_FAILED,
                ControlError::Unseal(_) | ControlError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson(_) | Self::NotForm(_) | Self::Parameter { .. } => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// A stable word for a program.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Control(error) => match error {
                ControlError::Unauthenticated => "unauthenticated",
                ControlError::TooManyFailures { .. } => "too_many_failures",
                ControlError::Forbidden(_) => "forbidden",
                ControlError::NotFound(_) => "not_found",
                ControlError::Invalid(problems) => match problems.as_slice() {
                    [only] => only.code,
                    _ => "invalid",
                },
                ControlError::NameTaken("skill") => "skill_name_taken",
                ControlError::NameTaken(_) => "name_taken",
                ControlError::Stale(_) => "stale",
                ControlError::Archived("environment") => "environment_archived",
                ControlError::Archived("vault") => "vault_archived",
                ControlError::Archived("credential") => "credential_archived",
                ControlError::Archived("session") => "session_archived",
                ControlError::Archived(_) => "archived",
                ControlError::TargetTaken => "credential_exists",
                ControlError::Full { .. } => "full",
                ControlError::Unseal(_) => "sealed",
                ControlError::IsDefault => "default_environment",
                ControlError::Predefined => "predefined_role",
                ControlError::LastAdministrator => "last_administrator",
                ControlError::Referred(_) => "referred",
                ControlError::AtWork => "session_running",
                ControlError::WorkStopped => "work_stopped",
                ControlError::LeaseLost(_) => "heartbeat_precondition_failed",
                ControlError::AcrossEnvironments { .. } => "across_environments",
                ControlError::Expired(_) => "file_expired",
                ControlError::TooLarge { .. } => "request_too_large",
                ControlError::GivenUp(_) => "request_body_timeout",
                ControlError::QuotaExceeded { .. } => "storage_quota_exceeded",
                ControlError::NotDownloadable => "file_not_downloadable",
                ControlError::HasVersions => "skill_has_versions",
                ControlError::OnlyVersion => "only_skill_version",
                ControlError::Store(_) => "unavailable",
            },
            Self::NoRoute => "no_route",
            Self::Method => "method_not_allowed",
            Self::TooLarge => "request_too_large",
            Self::NotJson(_) => "not_json",
            Self::NotForm(_) => "not_a_form",
            Self::Parameter { .. } => "invalid_parameter",
            Self::Slow => "request_body_timeout",
        }
    }

    /// Whether the same request may succeed if it is sent again as it is.
    pub(crate) fn may_be_retried(&self) -> bool {
        matches!(
            self,
            Self::Control(ControlError::Store(_) | ControlError::GivenUp(_)) | Self::Slow
        )
    }

    /// After how many seconds it makes sense to send another request (RFC 9110, section 10.2.3).
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Control(ControlError::TooManyFailures { retry_after }) => {
                Some(retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0))
            }
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

/// What an edge has written of a failure still says which it was: for `retry-after`, the log and the numbers.
pub(crate) fn pass_on(failure: &Arc<Failure>, written: &mut Response) {
    if let Some(seconds) = failure.retry_after() {
        written.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    written.extensions_mut().insert(Arc::clone(failure));
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
