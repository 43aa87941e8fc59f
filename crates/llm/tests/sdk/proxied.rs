//! The official SDKs, with a proxy between them and the scripted model.

use std::sync::Arc;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_llm::proxy::{Route, SettledAs, Target};
use bailiwick_llm::{Authentication, Client, OutputCap, Protocol, Timeouts, Upstream};
use bailiwick_outbound::{Outbound, Way};
use bailiwick_policy::HostFacts;
use bailiwick_testkit::{ModelScript, ModelServer, ModelStep, Sdk};
use tokio::sync::watch;

use super::{KEY, PYTHON};
use crate::front::Front;

const OPENAI: &str = "3.57.0";

fn server() -> ModelServer {
    ModelServer::start(ModelScript {
        keys: vec![KEY.to_owned()],
        ..ModelScript::of([ModelStep::text("Hello “naïve” \u{1f980}.").always()])
    })
}

fn routes(server: &ModelServer) -> Vec<Route> {
    let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
    let dialer = Arc::new(Dialer::new(DialOptions::new(host)));
    let outbound = Outbound::trusting_this_machine(dialer).unwrap();
    let client = Client::new(&outbound, Way::Operator, Timeouts::default());
    let route = |base: String, protocol, authentication| {
        let upstream = Upstream {
            base: base.parse().unwrap(),
            protocol,
            authentication,
        };
        Route {
            target: Target::new(&client, &upstream),
            model: None,
        }
    };
    let key = || KEY.parse().unwrap();
    vec![
        route(
            server.url(),
            Protocol::Messages,
            Authentication::ApiKey(key()),
        ),
        route(
            server.openai_url(),
            Protocol::Completions(OutputCap::MaxCompletionTokens),
            Authentication::Bearer(key()),
        ),
    ]
}

/// Runs a script against the proxy, and compares what was settled with what the model counted.
async fn drive(sdk: Sdk, script: &'static str, base: &str) {
    let server = server();
    let front = Front::start(routes(&server)).await;
    let url = format!("http://{}{base}", front.address);
    let running = tokio::task::spawn_blocking(move || sdk.run(script, &[&url, KEY]));
    let printed = running.await.unwrap();
    assert!(printed.starts_with("done"), "{printed}");
    let requests = server.requests();
    for request in &requests {
        let shown = format!("{:?}", request.headers);
        assert!(!shown.contains("virtual-key"), "{shown}");
    }
    let settlements = front.settled(requests.len());
    let told = settlements
        .iter()
        .filter(|settlement| settlement.kind == SettledAs::Told);
    let output: u64 = told.map(|settlement| settlement.usage.output_tokens).sum();
    assert_eq!(output, server.usage().output_tokens);
    let unknown = |kind| matches!(kind, SettledAs::Unknown | SettledAs::Streamed);
    assert!(
        !settlements
            .iter()
            .any(|settlement| unknown(settlement.kind))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_anthropic_sdk_sees_what_it_would_see_without_the_proxy() {
    for version in PYTHON {
        let script = include_str!("data/proxied_anthropic.py");
        drive(Sdk::python(version), script, "/anthropic").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_openai_sdk_sees_what_it_would_see_without_the_proxy() {
    let script = include_str!("data/proxied_openai.py");
    drive(Sdk::openai_python(OPENAI), script, "/openai/v1").await;
}
