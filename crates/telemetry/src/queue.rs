//! Where spans wait: so many at most, and nobody waits to put one in.

use std::time::Duration;

use bailiwick_model::limits::TELEMETRY_SPANS;
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc;

use crate::counters::{Counters, Reason};

/// The end at which spans are put in.
#[derive(Debug)]
pub(crate) struct Queue {
    spans: mpsc::Sender<SpanData>,
    counters: Counters,
}

/// Both ends.
pub(crate) fn queue(counters: Counters) -> (Queue, mpsc::Receiver<SpanData>) {
    let (spans, waiting) = mpsc::channel(TELEMETRY_SPANS);
    (Queue { spans, counters }, waiting)
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.counters.drop_spans(Reason::QueueFull, 1);
        }
    }

    /// Whoever holds the other end sends what is there.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn set_resource(&mut self, _: &Resource) {}
}
