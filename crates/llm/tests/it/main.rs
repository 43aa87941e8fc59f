//! The client against a scripted model that behaves like the real one.

mod answers;
mod chunks;
mod connections;
mod faults;
#[path = "../front/front.rs"]
mod front;
mod mutations;
mod proxy;
mod reading;
mod refusals;
mod translated;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_llm::{
    Authentication, BaseUrl, Client, OutputCap, Protocol, Request, Timeouts, Turn, Upstream,
};
use bailiwick_outbound::{Outbound, Way};
use bailiwick_policy::{HostFacts, Pins};
use bailiwick_testkit::{ModelScript, ModelServer, ModelStep};
use tokio::sync::watch;

const KEY: &str = "sk-ant-test-0123456789";

/// Short enough for a test, long enough for a busy machine.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    first_byte: Duration::from_secs(20),
    between_chunks: Duration::from_secs(20),
    whole: Duration::from_secs(120),
};

fn dialer(pins: &[String]) -> Arc<Dialer> {
    let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
    let pins: Pins = pins.iter().map(|pin| pin.parse().unwrap()).collect();
    Arc::new(Dialer::new(DialOptions {
        pins,
        ..DialOptions::new(host)
    }))
}

fn client_with(way: Way, pins: &[String], timeouts: Timeouts) -> Client {
    let outbound = Outbound::trusting_this_machine(dialer(pins)).unwrap();
    Client::new(&outbound, way, timeouts)
}

/// Of the operator's own configuration.
fn client() -> Client {
    client_with(Way::Operator, &[], TIMEOUTS)
}

fn upstream_at(base: &str) -> Upstream {
    Upstream {
        base: BaseUrl::accepting_plain_http(base).unwrap(),
        protocol: Protocol::Messages,
        authentication: Authentication::ApiKey(KEY.parse().unwrap()),
    }
}

fn upstream(server: &ModelServer) -> Upstream {
    upstream_at(&server.url())
}

fn openai(server: &ModelServer) -> Upstream {
    Upstream {
        base: server.openai_url().parse().unwrap(),
        protocol: Protocol::Completions(OutputCap::MaxTokens),
        authentication: Authentication::Bearer(KEY.parse().unwrap()),
    }
}

/// Takes the key, and nobody else's.
fn serve(steps: impl IntoIterator<Item = ModelStep>) -> ModelServer {
    ModelServer::start(ModelScript {
        keys: vec![KEY.to_owned()],
        ..ModelScript::of(steps)
    })
}

fn request() -> Request {
    Request::new("claude-test-1", 1000, vec![Turn::user("Say something.")])
}
