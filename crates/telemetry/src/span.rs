//! What a span of `tracing` does not say itself: the trace that a request is part of (W3C Trace Context), and a name that is known late.

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Characters of `tracestate` that are handed on (W3C Trace Context, section 3.3.1.5); a longer one is as none.
const STATE_CHARS: usize = 512;

/// The two headers.
struct Headers<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state.filter(|state| state.len() <= STATE_CHARS),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// Makes a span that has not begun the child of the one that these headers name. What they cannot name leaves it the first of its trace.
pub fn continue_trace(span: &Span, traceparent: Option<&str>, tracestate: Option<&str>) {
    let Some(parent) = traceparent.filter(|_| !span.is_disabled()) else {
        return;
    };
    let headers = Headers {
        parent,
        state: tracestate,
    };
    let context = TraceContextPropagator::new().extract(&headers);
    if context.span().span_context().is_valid() {
        // A span that has begun stays where it is.
        let _ = span.set_parent(context);
    }
}

/// Calls a span that has begun otherwise.
pub fn rename(span: &Span, name: String) {
    if !span.is_disabled() {
        span.context().span().update_name(name);
    }
}
