//! What was sent, and what was not.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Why spans were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// As many as may were waiting.
    QueueFull,
    /// The receiver did not take them.
    Refused,
    /// The receiver could not be reached, or took too long, several times.
    Unreachable,
}

/// The label of spans that were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DropLabels {
    /// Why.
    pub reason: Reason,
}

/// The numbers of telemetry itself; they are shared by their copies.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Spans that the receiver took.
    pub sent: Counter,
    /// Spans that it did not get.
    pub dropped: Family<DropLabels, Counter>,
    /// Requests to the receiver that failed, of traces and of numbers.
    pub failures: Counter,
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

impl Counters {
    pub(crate) fn drop_spans(&self, reason: Reason, count: usize) {
        let labels = DropLabels { reason };
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.dropped.get_or_create(&labels).inc_by(count);
    }
}
