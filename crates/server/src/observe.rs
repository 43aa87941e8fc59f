//! What is told of each request: its line in the log, and its span.
//!
//! A line never holds a key, a body, or a path: what people name their things is theirs.

mod trace;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bailiwick_model::ResourceId as _;

use crate::failure::{self, Failure};
use crate::front::Asked;
use crate::metrics::RouteLabels;

pub(crate) use trace::{answered, matched, span};

/// A line of the log.
pub(crate) fn tell(asked: &Asked, labels: &RouteLabels, response: &Response, took: Duration) {
    let failure = failure::of(response).map(Arc::as_ref);
    let error = failure.filter(|_| response.status().is_server_error());
    let error = error.map(|failure| chain(failure)).unwrap_or_default();
    let code = failure.map_or("", Failure::code);
    let client = asked.client().to_string();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                request_id = asked.id().as_str(),
                method = labels.method,
                route = labels.route,
                status = response.status().as_u16(),
                code,
                duration_ms = took.as_secs_f64() * 1000.0,
                organization = asked.organization(),
                client,
                error,
                "request"
            )
        };
    }
    if response.status().is_server_error() {
        line!(error);
    } else {
        line!(info);
    }
}

/// An error with all its causes, which are for operators and for nobody else.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
