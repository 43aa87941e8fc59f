//! The wire's error body.

use std::collections::BTreeSet;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::ControlError;
use bailiwick_model::limits::WORK_LEASE_MOST_SECONDS;
use bailiwick_model::{RequestId, WorkState};
use bailiwick_store::Work;
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{self, Failure, Obstacles};

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    error: Error<'a>,
    request_id: &'a RequestId,
}

#[derive(Serialize)]
struct Error<'a> {
    r#type: &'static str,
    message: String,
    details: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    error_code: &'a str,
    #[serde(flatten)]
    obstacles: Obstacles<'a>,
    /// Of a heartbeat that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_state: Option<LeaseState>,
}

/// The lease of a work item, as it is.
#[derive(Serialize)]
pub(crate) struct LeaseState {
    last_heartbeat: Option<Timestamp>,
    lease_extended: bool,
    state: WorkState,
    ttl_seconds: i64,
}

impl LeaseState {
    /// How it looks; a heartbeat that was taken is answered with the same fields.
    pub(crate) fn schema() -> Schema {
        Schema::answer()
            .has("last_heartbeat", Schema::moment().or_null())
            .has("lease_extended", Schema::boolean())
            .has(
                "state",
                Schema::words(WorkState::ALL.map(WorkState::as_str)),
            )
            .has("ttl_seconds", Schema::number(1..=WORK_LEASE_MOST_SECONDS))
    }
}

impl<'a> Details<'a> {
    fn of(failure: &'a Failure) -> Self {
        let mut current_state = None;
        if let Failure::Control(ControlError::LeaseLost(work)) = failure {
            current_state = Some(LeaseState::of(work));
        }
        Self {
            error_code: failure.code(),
            obstacles: Obstacles::of(failure),
            current_state,
        }
    }
}

impl LeaseState {
    fn of(work: &Work) -> Self {
        Self {
            last_heartbeat: work.latest_heartbeat_at,
            lease_extended: false,
            state: work.state,
            ttl_seconds: work.lease_seconds,
        }
    }
}

/// What failed, written. SDKs send a request again after 409 and after 5xx unless they are told not to.
pub(crate) fn written(failure: &Failure, id: &RequestId) -> Response {
    let body = Body {
        r#type: "error",
        error: Error {
            r#type: error_type(failure.status()),
            message: failure.to_string(),
            details: Details::of(failure),
        },
        request_id: id,
    };
    let retry = if failure.may_be_retried() {
        "true"
    } else {
        "false"
    };
    let mut written = (failure.status(), Json(body)).into_response();
    written
        .headers_mut()
        .insert("x-should-retry", HeaderValue::from_static(retry));
    written
}

/// What a stream ends with that cannot go on. Its status was sent long ago.
pub(super) fn streamed_error(error: &ControlError) -> Value {
    let kind = error_type(failure::status_of(error));
    json!({"type": "error", "error": {"type": kind, "message": error.to_string()}})
}

/// The words for the kinds of failures.
pub(crate) fn error_types() -> BTreeSet<&'static str> {
    let failures = (400..600).filter_map(|number| StatusCode::from_u16(number).ok());
    failures.map(error_type).collect()
}

fn error_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::CONFLICT => "conflict_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::REQUEST_TIMEOUT => "timeout_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    }
}
