//! What a server tells of itself to a receiver of OpenTelemetry (OTLP 1.x over HTTP, protobuf): a trace of each request, and its numbers.
//!
//! Spans are those of `tracing` with the target [`TARGET`]; where nobody asked for telemetry they are never made. What a receiver does not
//! take in time is dropped and counted: a request never waits for it. Nothing that is sent holds a secret, a body, or a path as a client
//! wrote it.
//!
//! The receiver is the operator's choice, from the server's own configuration.
//!
//! Entry points: [`Settings`], [`Telemetry`], [`continue_trace`], [`rename`].

mod counters;
mod numbers;
mod pipeline;
mod queue;
mod settings;
mod span;

use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_export::{ExportError, Receiver};
use bailiwick_model::limits::TELEMETRY_END;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, Registry};

pub use counters::{Counters, DropLabels, Reason};
pub use settings::{InvalidSettings, Options, Settings, Variables};
pub use span::{continue_trace, rename};

use pipeline::Pipeline;

/// The target of the spans that are sent.
pub const TARGET: &str = "telemetry";

/// What is sent, before a server runs.
pub struct Telemetry {
    settings: Settings,
    resource: Resource,
    provider: SdkTracerProvider,
    spans: mpsc::Receiver<SpanData>,
    counters: Counters,
}

/// Sending, until [`Self::stop`].
pub struct Sending {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Telemetry {
    /// Nothing is sent yet; spans are kept from here on.
    pub fn new(settings: Settings) -> Self {
        let resource = Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let counters = Counters::default();
        let (queue, spans) = queue::queue(counters.clone());
        let provider = SdkTracerProvider::builder()
            .with_sampler(settings.sampler.clone())
            .with_resource(resource.clone())
            .with_span_processor(queue)
            .build();
        Self {
            settings,
            resource,
            provider,
            spans,
            counters,
        }
    }

    /// What makes spans of those of `tracing`.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let tracer = self.provider.tracer("bailiwick");
        let only = Targets::new().with_target(TARGET, LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false)
            .with_filter(only)
            .boxed()
    }

    /// What was sent, and what was not.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Sends spans as they come, and every while the numbers, as `numbers` writes them (OpenMetrics 1.0).
    ///
    /// # Errors
    ///
    /// [`ExportError::Trust`].
    pub fn start(
        self,
        dialer: &Arc<Dialer>,
        numbers: impl Fn() -> String + Send + Sync + 'static,
    ) -> Result<Sending, ExportError> {
        let (stop, stopped) = watch::channel(false);
        let receiver = |path| Receiver::new(self.settings.endpoint.below(path), Arc::clone(dialer));
        let pipeline = |path| {
            Ok::<_, ExportError>(Pipeline {
                receiver: receiver(path)?,
                headers: self.settings.headers(),
                counters: self.counters.clone(),
                stopped: stopped.clone(),
            })
        };
        let (traces, metrics) = (pipeline("v1/traces")?, pipeline("v1/metrics")?);
        let mut tasks = JoinSet::new();
        let (provider, resource) = (self.provider, self.resource.clone());
        tasks.spawn(async move {
            traces.send_spans(self.spans, &resource).await;
            drop(provider);
        });
        let (interval, resource) = (self.settings.interval, self.resource);
        tasks.spawn(async move { metrics.send_numbers(numbers, interval, &resource).await });
        Ok(Sending { stop, tasks })
    }
}

impl Sending {
    /// Sends what is there, for five seconds at most.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(TELEMETRY_END, ending).await.is_err() {
            tracing::warn!("some telemetry was not sent: its receiver took too long");
        }
    }
}
