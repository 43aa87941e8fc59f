//! Problem details (RFC 9457).

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::ControlError;
use bailiwick_model::RequestId;
use bailiwick_wire::FieldProblem;
use serde::Serialize;

use crate::failure::{Failure, Obstacles};

#[derive(Serialize)]
struct Problem<'a> {
    /// There is no page about a problem: its code says which it is (section 4.2.1).
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// A stable word for a program.
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Field<'a>>,
    #[serde(flatten)]
    obstacles: Obstacles<'a>,
    request_id: &'a RequestId,
}

#[derive(Serialize)]
struct Field<'a> {
    field: &'a str,
    code: &'a str,
    message: &'a str,
    help: &'a str,
}

/// What failed, written.
pub(crate) fn written(failure: &Failure, id: &RequestId) -> Response {
    let status = failure.status();
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: failure.to_string(),
        code: failure.code(),
        errors: fields(failure),
        obstacles: Obstacles::of(failure),
        request_id: id,
    };
    let mut written = (status, Json(problem)).into_response();
    let form = HeaderValue::from_static("application/problem+json");
    written.headers_mut().insert(CONTENT_TYPE, form);
    written
}

fn fields<'a>(failure: &'a Failure) -> Vec<Field<'a>> {
    let Failure::Control(ControlError::Invalid(problems)) = failure else {
        return Vec::new();
    };
    let field = |problem: &'a FieldProblem| Field {
        field: &problem.field,
        code: problem.code,
        message: &problem.message,
        help: &problem.help,
    };
    problems.iter().map(field).collect()
}
