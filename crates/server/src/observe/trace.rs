//! The span of a request, by OpenTelemetry's semantic conventions for HTTP. Without telemetry none is made.
//!
//! As a line of the log it holds no key, no body and no path as a client wrote it.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use bailiwick_model::{RequestId, ResourceId as _};
use bailiwick_telemetry::{TARGET, continue_trace, rename};
use tracing::Span;
use tracing::field::Empty;

use crate::failure;
use crate::front::{Asked, NO_ROUTE};

/// Begins when it is entered; the child of the span that the request names.
pub(crate) fn span(request: &Request, id: &RequestId, method: &'static str) -> Span {
    let method = method_of(method);
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        url.scheme = "http",
        error.type = Empty,
        bailiwick.request.id = id.as_str(),
        bailiwick.organization.id = Empty,
    );
    if !span.is_disabled() {
        let headers = request.headers();
        continue_trace(
            &span,
            header(headers, "traceparent"),
            header(headers, "tracestate"),
        );
    }
    span
}

fn method_of(method: &'static str) -> &'static str {
    match method {
        "other" => "_OTHER",
        method => method,
    }
}

/// The route is known.
pub(crate) fn matched(asked: &Asked, route: &str) {
    let span = asked.span();
    if span.is_disabled() {
        return;
    }
    rename(span, format!("{} {route}", method_of(asked.method())));
    span.record("http.route", route);
}

/// What is known once there is an answer.
pub(crate) fn answered(asked: &Asked, response: &Response) {
    let span = asked.span();
    if span.is_disabled() {
        return;
    }
    if asked.path().is_none() {
        matched(asked, NO_ROUTE);
    }
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    span.record("bailiwick.organization.id", asked.organization());
    if let Some(code) = failure::of(response).map(|failure| failure.code()) {
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
