//! What a server sends to a receiver of OpenTelemetry: a real one, a dead one, a slow one.

use std::time::{Duration, Instant};

use bailiwick_testkit::{Bailiwick, Child, FreePort, OtlpManner, OtlpReceiver, User, eventually};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A server that sends, and whoever asks it.
struct Up {
    process: Child,
    url: String,
    key: String,
    client: Client,
    runtime: Runtime,
    _machine: Bailiwick,
}

impl Up {
    fn start(options: &[&str], variables: &[(&str, &str)]) -> Self {
        let machine = Bailiwick::new(env!("CARGO_BIN_EXE_bailiwick"), User::current());
        let mut command = machine.command(["up", "--listen", "127.0.0.1:0", "--data", "data"]);
        command.args(options).envs(variables.iter().copied());
        let process = Child::start(&mut command);
        let url = process.wait_for("where it listens", |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let key = |line: &str| Some(line.split_once("shown this once: ")?.1.to_owned());
        let key = process.printed().lines().find_map(key).expect("a key");
        Self {
            process,
            url,
            key,
            client: Client::new(),
            runtime: Runtime::new().expect("a runtime"),
            _machine: machine,
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.header("x-api-key", &self.key)
    }

    fn get(&self, path: &str) -> String {
        self.runtime.block_on(async {
            let answer = self
                .request(Method::GET, path)
                .send()
                .await
                .expect("an answer");
            answer.text().await.expect("a text")
        })
    }

    /// Reads so many times, some at once; every answer must be right. How long each took.
    fn load(&self, requests: usize) -> Vec<Duration> {
        self.runtime.block_on(async {
            let mut times = Vec::new();
            for _ in 0..requests / 4 {
                let one = || async {
                    let begun = Instant::now();
                    let answer = self.request(Method::GET, "/v1/environments").send().await;
                    assert_eq!(answer.expect("an answer").status(), 200);
                    begun.elapsed()
                };
                let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
                times.extend([a, b, c, d]);
            }
            times.sort_unstable();
            times
        })
    }

    /// A number of `/metrics`.
    fn number(&self, line: &str) -> Option<u64> {
        let all = self.get("/metrics");
        let found = all.lines().find_map(|there| there.strip_prefix(line));
        found?.trim().parse().ok()
    }

    fn stop(mut self) -> Duration {
        let begun = Instant::now();
        self.process.signal(rustix::process::Signal::TERM);
        assert_eq!(self.process.wait(PATIENCE), 0);
        begun.elapsed()
    }
}

fn named<'a>(spans: &'a [Value], name: &str) -> Option<&'a Value> {
    spans.iter().find(|span| span["name"] == name)
}

/// And nothing besides.
#[track_caller]
fn has_what_a_request_has(attributes: &Value) {
    assert_eq!(attributes["http.request.method"], "POST");
    assert_eq!(attributes["http.route"], "/v1/environments");
    assert_eq!(attributes["http.response.status_code"], 200);
    assert!(
        attributes["bailiwick.organization.id"]
            .as_str()
            .unwrap()
            .starts_with("org_")
    );
    assert!(
        attributes["bailiwick.request.id"]
            .as_str()
            .unwrap()
            .starts_with("req_")
    );
    let names: Vec<_> = attributes
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "bailiwick.organization.id",
            "bailiwick.request.id",
            "http.request.method",
            "http.response.status_code",
            "http.route",
            "url.scheme"
        ]
    );
}

#[test]
fn a_request_is_a_span_in_the_trace_of_whoever_asked_with_its_statements_below() {
    let receiver = OtlpReceiver::start(OtlpManner::Takes);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url()[..]),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20collector-secret",
        ),
        ("OTEL_SERVICE_NAME", "control-plane"),
    ];
    let up = Up::start(&[], &variables);
    let status = up.runtime.block_on(async {
        let request = up
            .request(Method::POST, "/v1/environments?very-secret-query=1")
            .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
            .header("tracestate", "vendor=1")
            .json(&json!({"name": "very-secret-name"}));
        request.send().await.expect("an answer").status()
    });
    assert_eq!(status, 200);
    up.get("/v1/very-secret-path");
    let spans = eventually("spans", PATIENCE, || {
        let spans = receiver.spans();
        named(&spans, "GET none").is_some().then_some(spans)
    });
    let span = named(&spans, "POST /v1/environments").expect("a span");
    assert_eq!(
        (&span["trace"], &span["parent"]),
        (&json!(TRACE), &json!(PARENT))
    );
    assert_eq!(
        (&span["kind"], &span["state"]),
        (&json!(2), &json!("vendor=1"))
    );
    assert_eq!(span["resource"]["service.name"], "control-plane");
    assert!(span["nanoseconds"].as_u64().unwrap() > 0);
    has_what_a_request_has(&span["attributes"]);
    let below: Vec<_> = spans
        .iter()
        .filter(|one| one["parent"] == span["id"])
        .collect();
    for name in ["read", "begin", "change", "commit"] {
        let statement = below.iter().find(|one| one["name"] == name);
        let statement = statement.unwrap_or_else(|| panic!("no {name} in {spans:?}"));
        assert_eq!(statement["trace"], TRACE);
        assert_eq!(statement["attributes"], json!({"db.system.name": "sqlite"}));
        assert!(statement["nanoseconds"].as_u64() <= span["nanoseconds"].as_u64());
    }
    let lost = named(&spans, "GET none").expect("a span");
    assert_eq!(lost["attributes"]["error.type"], "no_route");
    assert_ne!(lost["trace"], TRACE);
    assert_eq!(lost["parent"], "");
    let sent = &receiver.requests()[0];
    assert_eq!(sent["path"], "/v1/traces");
    assert_eq!(sent["headers"]["authorization"], "Bearer collector-secret");
    let all = receiver.printed();
    for secret in [&up.key[..], "very-secret"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert!(!up.process.complained().contains("collector-secret"));
}

#[test]
fn numbers_are_those_of_metrics() {
    let receiver = OtlpReceiver::start(OtlpManner::Takes);
    let interval = [("OTEL_METRIC_EXPORT_INTERVAL", "200")];
    let up = Up::start(&["--otlp-endpoint", &receiver.url()], &interval);
    up.load(32);
    let all = eventually("numbers", PATIENCE, || {
        let numbers = receiver.numbers().pop()?;
        let numbers = numbers.as_array()?.clone();
        let requests = numbers.iter().find(|number| {
            number["name"] == "bailiwick_http_requests"
                && number["attributes"]["route"] == "/v1/environments"
        });
        (requests?["value"] == 32).then_some(numbers)
    });
    let shown = up.get("/metrics");
    let shown: Vec<_> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for name in &shown {
        let is_there = |number: &Value| {
            number["name"]
                .as_str()
                .is_some_and(|sent| sent.trim_end_matches("_info") == *name)
        };
        // What has no values yet is not sent.
        let is_empty = *name == "bailiwick_telemetry_spans_dropped";
        assert!(
            is_empty || all.iter().any(is_there),
            "{name} is not in {all:?}"
        );
    }
    let times = all
        .iter()
        .find(|number| {
            number["kind"] == "histogram" && number["attributes"]["route"] == "/v1/environments"
        })
        .expect("times");
    assert_eq!(times["count"], 32);
    let buckets = times["buckets"].as_array().unwrap().iter();
    assert_eq!(buckets.filter_map(Value::as_u64).sum::<u64>(), 32);
    assert!(times["sum"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_waits_is_sent_at_the_end() {
    let receiver = OtlpReceiver::start(OtlpManner::Takes);
    let up = Up::start(&["--otlp-endpoint", &receiver.url()], &[]);
    up.load(100);
    up.stop();
    let spans = receiver.spans();
    let requests = spans
        .iter()
        .filter(|span| span["name"] == "GET /v1/environments");
    assert_eq!(requests.count(), 100);
    assert_eq!(receiver.numbers().len(), 1);
}

#[test]
fn a_receiver_that_cannot_now_gets_it_later() {
    let receiver = OtlpReceiver::start(OtlpManner::Later);
    let up = Up::start(&["--otlp-endpoint", &receiver.url()], &[]);
    up.load(12);
    eventually("spans", PATIENCE, || {
        up.number("bailiwick_telemetry_spans_sent_total ")
            .filter(|count| *count >= 20)
    });
    assert!(up.number("bailiwick_telemetry_failures_total ").unwrap() >= 1);
}

#[test]
fn what_a_receiver_refuses_is_dropped_and_counted() {
    let receiver = OtlpReceiver::start(OtlpManner::Refuses);
    let up = Up::start(&["--otlp-endpoint", &receiver.url()], &[]);
    up.load(12);
    let dropped = r#"bailiwick_telemetry_spans_dropped_total{reason="refused"} "#;
    eventually("dropped spans", PATIENCE, || up.number(dropped));
    let told = up.process.complained();
    assert_eq!(told.matches("traces do not arrive").count(), 1, "{told}");
    up.stop();
}

#[test]
fn the_sampler_decides_which_traces_are_sent() {
    let receiver = OtlpReceiver::start(OtlpManner::Takes);
    let endpoint = receiver.url();
    let sampled = |sampler: &str| {
        let before = receiver.spans().len();
        let up = Up::start(
            &["--otlp-endpoint", &endpoint, "--otlp-sampler", sampler],
            &[],
        );
        up.runtime.block_on(async {
            let request = up.request(Method::GET, "/v1/environments");
            let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
            request.send().await.expect("an answer");
        });
        up.load(200);
        up.stop();
        let spans = receiver.spans().split_off(before);
        let of_requests = spans.iter().filter(|span| span["kind"] == 2);
        (
            spans.iter().any(|span| span["trace"] == TRACE),
            of_requests.count(),
        )
    };
    assert_eq!(sampled("always_off"), (false, 0));
    assert_eq!(sampled("parentbased_always_off"), (true, 1));
    let (_, some) = sampled("traceidratio=0.5");
    assert!((50..150).contains(&some), "{some}");
}

#[test]
fn a_dead_receiver_costs_no_request() {
    let nobody = FreePort::find();
    let endpoint = format!("http://127.0.0.1:{}", nobody.number());
    let up = Up::start(&["--otlp-endpoint", &endpoint], &[]);
    let times = up.load(4000);
    assert!(
        times[times.len() * 99 / 100] < Duration::from_secs(1),
        "{:?}",
        times.last()
    );
    let full = r#"bailiwick_telemetry_spans_dropped_total{reason="queue_full"} "#;
    assert!(up.number(full).unwrap() > 0);
    let unreachable = r#"bailiwick_telemetry_spans_dropped_total{reason="unreachable"} "#;
    eventually("dropped spans", PATIENCE, || up.number(unreachable));
    assert!(up.stop() < Duration::from_secs(15));
}

#[test]
fn a_slow_receiver_costs_no_request_and_no_memory_without_end() {
    let receiver = OtlpReceiver::start(OtlpManner::Slow);
    let up = Up::start(&["--otlp-endpoint", &receiver.url()], &[]);
    up.load(4000);
    let before = resident_kib(&up.process);
    let times = up.load(4000);
    let after = resident_kib(&up.process);
    assert!(
        times[times.len() * 99 / 100] < Duration::from_secs(1),
        "{:?}",
        times.last()
    );
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    let full = r#"bailiwick_telemetry_spans_dropped_total{reason="queue_full"} "#;
    assert!(up.number(full).unwrap() > 4000);
    assert!(up.stop() < Duration::from_secs(15));
}

#[test]
fn without_a_receiver_there_is_no_telemetry() {
    let variables = [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let up = Up::start(&[], &variables);
    up.load(12);
    assert!(!up.get("/metrics").contains("telemetry"));
}

#[test]
fn settings_that_cannot_be_meant_stop_the_start() {
    for (options, variables) in [
        (&["--otlp-endpoint", "grpc://x"][..], &[][..]),
        (
            &["--otlp-endpoint", "http://x", "--otlp-sampler", "sometimes"],
            &[],
        ),
        (
            &["--otlp-endpoint", "http://x"],
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        ),
        (
            &["--otlp-endpoint", "http://x"],
            &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret-token")],
        ),
    ] {
        let machine = Bailiwick::new(env!("CARGO_BIN_EXE_bailiwick"), User::current());
        let mut command = machine.command(["up", "--listen", "127.0.0.1:0", "--data", "data"]);
        command.args(options).envs(variables.iter().copied());
        let mut child = Child::start(&mut command);
        assert_eq!(child.wait(PATIENCE), 2, "{options:?} {variables:?}");
        assert!(!child.complained().contains("secret-token"));
    }
}

fn resident_kib(process: &Child) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a number")
}
