//! What operators count, in the text form that Prometheus reads (OpenMetrics 1.0).
//!
//! Labels have few values: a route stands for its paths, methods and statuses that there are not are one, and nothing names an organization.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use bailiwick_control::ControlError;
use bailiwick_telemetry::Counters;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::failure::{self, Failure};

/// The form of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds: from what a read takes to what nobody waits for.
const BUCKETS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0,
];

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    /// `v1`, `api`, or `operator` for the rest.
    pub(crate) face: &'static str,
    pub(crate) method: &'static str,
    /// As it was declared, with the names of its parameters; `none` for a path that there is not.
    pub(crate) route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    face: &'static str,
    method: &'static str,
    route: String,
    /// `2xx` and so on.
    status: &'static str,
}

/// The numbers of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<AnswerLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    /// Keys that were none, and keys that were not even looked at closely any more.
    failed_authentications: Counter,
    /// Those of the failures that were answered with 429.
    limited_authentications: Counter,
    /// Open at the moment.
    pub(crate) connections: Gauge,
    /// Idle ones that made room for others.
    pub(crate) connections_pushed_out: Counter,
    /// Not taken, because all others were in use.
    pub(crate) connections_refused: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            failed_authentications: Counter::default(),
            limited_authentications: Counter::default(),
            connections: Gauge::default(),
            connections_pushed_out: Counter::default(),
            connections_refused: Counter::default(),
        };
        metrics.register();
        metrics
    }

    /// With those of telemetry besides.
    pub(crate) fn with_telemetry(counters: Counters) -> Self {
        let mut metrics = Self::new();
        let registry = &mut metrics.registry;
        registry.register(
            "bailiwick_telemetry_spans_sent",
            "Spans that the receiver of telemetry took",
            counters.sent,
        );
        registry.register(
            "bailiwick_telemetry_spans_dropped",
            "Spans that the receiver of telemetry did not get",
            counters.dropped,
        );
        registry.register(
            "bailiwick_telemetry_failures",
            "Requests to the receiver of telemetry that failed",
            counters.failures,
        );
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("bailiwick_build", "What runs", build);
        registry.register(
            "bailiwick_http_requests",
            "Requests that were answered",
            self.requests.clone(),
        );
        registry.register(
            "bailiwick_http_request_duration_seconds",
            "Until the head of the answer was there",
            self.durations.clone(),
        );
        registry.register(
            "bailiwick_authentication_failures",
            "Requests with keys that were none",
            self.failed_authentications.clone(),
        );
        registry.register(
            "bailiwick_authentication_limited",
            "Failures that were answered with 429",
            self.limited_authentications.clone(),
        );
        registry.register(
            "bailiwick_http_connections",
            "Open connections",
            self.connections.clone(),
        );
        registry.register(
            "bailiwick_http_connections_pushed_out",
            "Idle connections that made room for others",
            self.connections_pushed_out.clone(),
        );
        registry.register(
            "bailiwick_http_connections_refused",
            "Connections not taken because all others were in use",
            self.connections_refused.clone(),
        );
    }

    /// One request was answered.
    pub(crate) fn answered(&self, labels: RouteLabels, response: &Response, took: Duration) {
        self.count_authentication(response);
        let seconds = took.as_secs_f64();
        self.durations.get_or_create(&labels).observe(seconds);
        let RouteLabels {
            face,
            method,
            route,
        } = labels;
        let status = status_class(response.status());
        let labels = AnswerLabels {
            face,
            method,
            route,
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    fn count_authentication(&self, response: &Response) {
        match failure::of(response).map(Arc::as_ref) {
            Some(Failure::Control(
                ControlError::Unauthenticated | ControlError::SignInRefused(_),
            )) => {
                self.failed_authentications.inc();
            }
            Some(Failure::Control(ControlError::TooManyFailures { .. })) => {
                self.failed_authentications.inc();
                self.limited_authentications.inc();
            }
            Some(_) | None => {}
        }
    }

    /// All of them.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// A word for the methods that there are; clients can make up others.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
