//! From the queue to the receiver, in batches.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_export::{ExportError, Receiver};
use bailiwick_model::limits::{
    TELEMETRY_ATTEMPTS, TELEMETRY_BACK_OFF, TELEMETRY_BATCH_SPANS, TELEMETRY_DELAY, TELEMETRY_TIME,
};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::counters::{Counters, Reason};
use crate::numbers;
use crate::settings::SentHeaders;

/// The way of one signal.
pub(crate) struct Pipeline {
    pub(crate) receiver: Receiver,
    pub(crate) headers: SentHeaders,
    pub(crate) counters: Counters,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Why a batch did not arrive.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("the receiver answered {0}")]
    Refused(u16),
    #[error("the receiver answered {0}, and may be asked again")]
    Later(u16),
    #[error(transparent)]
    Unreachable(#[from] ExportError),
}

impl NotSent {
    /// Whether the same may be sent again (OTLP 1.5, failures).
    fn is_final(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Later(_) | Self::Unreachable(_) => false,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Refused(_) => Reason::Refused,
            Self::Later(_) | Self::Unreachable(_) => Reason::Unreachable,
        }
    }
}

impl Pipeline {
    /// Until it is stopped, and then what is left.
    pub(crate) async fn send_spans(
        mut self,
        mut waiting: mpsc::Receiver<SpanData>,
        resource: &Resource,
    ) {
        let resource = ResourceAttributesWithSchema::from(resource);
        let mut failing = false;
        loop {
            let batch = self.batch(&mut waiting).await;
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            let request = ExportTraceServiceRequest {
                resource_spans: group_spans_by_resource_and_scope(batch, &resource),
            };
            let sent = self.send(&request.encode_to_vec()).await;
            match &sent {
                Ok(()) => {
                    self.counters.sent.inc_by(u64::try_from(count).unwrap_or(0));
                }
                Err(error) => self.counters.drop_spans(error.reason(), count),
            }
            tell("traces", &sent, &mut failing);
        }
    }

    /// The next spans; none once it was stopped and nothing is left.
    async fn batch(&mut self, waiting: &mut mpsc::Receiver<SpanData>) -> Vec<SpanData> {
        let mut batch = Vec::new();
        let gathering = async {
            if waiting.recv_many(&mut batch, TELEMETRY_BATCH_SPANS).await == 0 {
                return;
            }
            let delay = tokio::time::sleep(TELEMETRY_DELAY);
            tokio::pin!(delay);
            while batch.len() < TELEMETRY_BATCH_SPANS {
                let room = TELEMETRY_BATCH_SPANS - batch.len();
                tokio::select! {
                    count = waiting.recv_many(&mut batch, room) => if count == 0 { return },
                    () = &mut delay => return,
                }
            }
        };
        tokio::select! {
            () = gathering => {}
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
        while batch.len() < TELEMETRY_BATCH_SPANS {
            let Ok(span) = waiting.try_recv() else { break };
            batch.push(span);
        }
        batch
    }

    /// Every `interval`, and once more when it is stopped.
    pub(crate) async fn send_numbers(
        mut self,
        text: impl Fn() -> String,
        interval: Duration,
        resource: &Resource,
    ) {
        let resource = ResourceAttributesWithSchema::from(resource);
        let began = now();
        let mut failing = false;
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                _ = self.stopped.wait_for(|stopped| *stopped) => true,
            };
            let metrics = numbers::metrics(&text(), began, now());
            let request = ExportMetricsServiceRequest {
                resource_metrics: vec![numbers::of_resource(metrics, &resource)],
            };
            let sent = self.send(&request.encode_to_vec()).await;
            tell("numbers", &sent, &mut failing);
            if is_last {
                return;
            }
        }
    }

    /// Sends a message, several times if need be; once if it was stopped.
    async fn send(&self, message: &[u8]) -> Result<(), NotSent> {
        let mut pause = TELEMETRY_BACK_OFF;
        let mut attempts = 1;
        loop {
            let sent = self.send_once(message).await;
            let Err(error) = sent else { return Ok(()) };
            self.counters.failures.inc();
            if error.is_final() || attempts >= TELEMETRY_ATTEMPTS || *self.stopped.borrow() {
                return Err(error);
            }
            let mut stopped = self.stopped.clone();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            pause *= 2;
            attempts += 1;
        }
    }

    async fn send_once(&self, message: &[u8]) -> Result<(), NotSent> {
        let body = message.to_vec().into();
        let headers = self.headers.to_map();
        let posted = self.receiver.post(headers, body, TELEMETRY_TIME).await;
        let status = posted?.as_u16();
        match status {
            200..=299 => Ok(()),
            429 | 502 | 503 | 504 => Err(NotSent::Later(status)),
            _ => Err(NotSent::Refused(status)),
        }
    }
}

/// Says once that nothing arrives, and once that it does again.
fn tell(what: &str, sent: &Result<(), NotSent>, failing: &mut bool) {
    match sent {
        Ok(()) if *failing => tracing::info!("{what} arrive at the receiver of telemetry again"),
        Ok(()) => {}
        Err(_) if *failing => {}
        Err(error) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "{what} do not arrive at the receiver of telemetry");
        }
    }
    *failing = sent.is_err();
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
