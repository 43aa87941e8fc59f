//! The span of a request, by OpenTelemetry's semantic conventions for HTTP. Without telemetry none is made.
//!
//! As a line of the log it holds no key, no body and no path as a client wrote it.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use bailiwick_model::{RequestId, ResourceId as _};
use bailiwick_telemetry::{TARGET, continue_trace};
use tracing::Span;
use tracing::field::Empty;

use super::{Whose, failure};
use crate::failure::Failure;
use crate::metrics::RouteLabels;

/// Begins when it is entered; the child of the span that the request names.
pub(super) fn span(request: &Request, id: &RequestId, labels: &RouteLabels) -> Span {
    let method = match labels.method {
        "other" => "_OTHER",
        method => method,
    };
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.name = %format_args!("{method} {}", labels.route),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = labels.route,
        http.response.status_code = Empty,
        url.scheme = "http",
        error.type = Empty,
        bailiwick.request.id = id.as_str(),
        bailiwick.organization.id = Empty,
    );
    let headers = request.headers();
    continue_trace(
        &span,
        header(headers, "traceparent"),
        header(headers, "tracestate"),
    );
    span
}

/// What is known once there is an answer.
pub(super) fn answered(span: &Span, whose: &Whose, response: &Response) {
    if span.is_disabled() {
        return;
    }
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    span.record("bailiwick.organization.id", whose.get());
    if let Some(code) = failure(response).map(Failure::code) {
        span.record("error.type", code);
    }
    // What a client did wrong is no error of the server's.
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
