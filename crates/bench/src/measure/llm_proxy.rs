//! LLM proxies: requests to a model that answers at once, beside what else stands between clients and models; and the ledger alone.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::turns::{Contestant, Rates, line_up, take, take_rates};
use super::wire::{ask, made};
use crate::peers::Stage;
use crate::peers::control_plane::{Place, Server};
use crate::peers::model_proxies::{crabllm, haproxy, litellm, portkey};
use crate::peers::proxies::Proxy;
use crate::protocol::{HttpLoad, HttpRequest, Timed};
use crate::report::{BAILIWICK, Better, Report, Row};
use crate::worker::Worker;

/// At once.
const CONNECTIONS: [usize; 3] = [1, 10, 50];
/// Bytes of a request's body.
const BODY_BYTES: usize = 1024;
/// What gateways that need a key of their own are asked with.
const KEY: &str = "sk-bench-0123456789";
/// A model with a price.
const MODEL: &str = "gpt-5";
/// Reservations that are made and settled for one sample.
const RESERVATIONS: usize = 20_000;

/// Somebody who passes requests on, or answers them.
struct Passer {
    client: Worker,
    address: SocketAddr,
    path: String,
    key: String,
    headers: Vec<(String, String)>,
    _proxy: Option<Proxy>,
    _server: Option<Server>,
}

impl Passer {
    fn new(stage: &Stage, address: SocketAddr, key: &str) -> Result<Self> {
        Ok(Self {
            client: Worker::start("the client", stage.role("http-load"))?,
            address,
            path: "/v1/chat/completions".to_owned(),
            key: key.to_owned(),
            headers: vec![("authorization".to_owned(), format!("Bearer {key}"))],
            _proxy: None,
            _server: None,
        })
    }

    fn through(stage: &Stage, proxy: Proxy) -> Result<Self> {
        let this = Self::new(stage, proxy.address, KEY)?;
        Ok(Self {
            _proxy: Some(proxy),
            ..this
        })
    }

    /// Portkey's gateway is told with each request whom to ask.
    fn told_whom(mut self, model: SocketAddr) -> Self {
        let header = |name: &str, value: String| (name.to_owned(), value);
        self.headers.extend([
            header("x-portkey-provider", "openai".to_owned()),
            header("x-portkey-custom-host", format!("http://{model}/v1")),
        ]);
        self
    }

    /// Bailiwick's server: a proxy of the Default environment, a virtual key, and three limits that hold for it.
    fn bailiwick(stage: &Stage, place: &Place, model: SocketAddr) -> Result<Self> {
        let name = format!("model.test:{}", model.port());
        let pin = format!("model.test={model}");
        let server = Server::with_options(stage, place, &["--resolve", &pin])?;
        let address = server.address;
        let upstream = json!({
            "name": "bench", "protocol": "openai", "base_url": format!("http://{name}/v1"), "allow_plain_http": true,
            "models": [{"model": "*"}], "api_key": "sk-test",
        });
        made(address, "/api/model-upstreams", &upstream)?;
        let environments = ask(address, "GET", "/api/environments", "")?;
        let environment = &environments["data"][0]["id"];
        let proxy = made(
            address,
            "/api/llm-proxies",
            &json!({"name": "bench", "environment_id": environment}),
        )?;
        let keys = format!("/api/llm-proxies/{proxy}/keys");
        let key = ask(
            address,
            "POST",
            &keys,
            &json!({"name": "bench"}).to_string(),
        )?;
        let key = key["key"].as_str().context("no key")?.to_owned();
        let of = |kind: &str, id: &Value| json!({"type": kind, "id": id});
        for limit in [
            json!({"entity": {"type": "organization"}, "max_cost_usd": "1000000", "window": "24h"}),
            json!({"entity": of("environment", environment), "max_cost_usd": "1000000", "window": "month"}),
            json!({"entity": of("llm_proxy", &json!(proxy)), "max_tokens": 1_000_000_000_000_i64, "window": "day"}),
        ] {
            made(address, "/api/limits", &limit)?;
        }
        let this = Self::new(stage, address, &key)?;
        Ok(Self {
            path: format!("/llm/{proxy}/openai/v1/chat/completions"),
            _server: Some(server),
            ..this
        })
    }

    /// Requests a second, and their latencies, or those of their first events.
    fn measure(&mut self, connections: usize, millis: u64, timed: Timed) -> Result<Vec<f64>> {
        self.client.measure(&HttpLoad {
            address: self.address,
            key: self.key.clone(),
            headers: self.headers.clone(),
            connections,
            millis,
            timed,
            requests: vec![HttpRequest {
                method: "POST".to_owned(),
                path: self.path.clone(),
                body: body(timed),
            }],
        })
    }
}

fn body(timed: Timed) -> String {
    let of = |text: &str| {
        let mut body = json!({"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": text}]});
        if timed == Timed::FirstEvent {
            body["stream"] = true.into();
        }
        body.to_string()
    };
    let rest = of("").len();
    of(&"b".repeat(BODY_BYTES - rest))
}

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    ledger(stage, report)?;
    let mut serving = Worker::start("the model", stage.role("model"))?;
    let model: SocketAddr = serving.hear()?;
    let place = Place::sqlite(stage, "llm-proxy")?;
    let all = vec![
        ("direct", Passer::new(stage, model, KEY)),
        (
            "haproxy",
            haproxy(stage, model).and_then(|proxy| Passer::through(stage, proxy)),
        ),
        (
            "crabllm",
            crabllm(stage, model, KEY).and_then(|proxy| Passer::through(stage, proxy)),
        ),
        (
            "Portkey",
            portkey().and_then(|proxy| Ok(Passer::through(stage, proxy)?.told_whom(model))),
        ),
        (
            "LiteLLM",
            litellm(stage, model, KEY).and_then(|proxy| Passer::through(stage, proxy)),
        ),
        (BAILIWICK, Passer::bailiwick(stage, &place, model)),
    ];
    let mut passers = line_up("llm-proxy", all, report);
    for connections in CONNECTIONS {
        compare(stage, &mut passers, (connections, Timed::Whole), report);
    }
    compare(stage, &mut passers, (1, Timed::FirstEvent), report);
    Ok(())
}

fn compare(
    stage: &Stage,
    passers: &mut [Contestant<Passer>],
    (connections, timed): (usize, Timed),
    report: &mut Report,
) {
    let what = match timed {
        Timed::Whole => "request",
        Timed::FirstEvent => "first event of a stream",
    };
    let aims = match (timed, connections) {
        (Timed::Whole, 1) => [None, Some("under 70"), None],
        (Timed::Whole, 50) => [Some("over 15 000"), None, None],
        (Timed::Whole | Timed::FirstEvent, _) => [None; 3],
    };
    let name = format!("{what} of 1 KiB to a model, {connections} connections");
    let rates = Rates {
        group: "llm-proxy",
        name: &name,
        aims,
    };
    let (rounds, millis) = (stage.pick(7, 1), stage.pick(1000, 300));
    take_rates(rates, passers, rounds, report, |passer, _| {
        passer.measure(connections, millis, timed)
    });
}

/// What a request costs that reaches no network: reserving on three limits and settling, with the journal.
fn ledger(stage: &Stage, report: &mut Report) -> Result<()> {
    let directory = stage.path("ledger");
    std::fs::create_dir(&directory)?;
    let mut command = stage.role("ledger");
    command.arg(&directory);
    let all = vec![(BAILIWICK, Worker::start("the ledger", command))];
    let mut contestants = line_up("ledger", all, report);
    let name = "reserve and settle on three limits, median";
    let row = Row::new("llm-proxy", name, "us", Better::Lower);
    let rounds = stage.pick(7, 1);
    take(row, &mut contestants, rounds, report, |worker| {
        worker.measure(&RESERVATIONS)
    });
    Ok(())
}
