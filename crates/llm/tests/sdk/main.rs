//! That the scripted model is like the real one: the official SDKs stream from it. And TLS, with certificates of a test's own authority.

#[path = "../front/front.rs"]
mod front;
mod proxied;
mod tls;

use bailiwick_testkit::{
    ModelAnswer, ModelFailure, ModelFault, ModelPiece, ModelScript, ModelServer, ModelStep, Pace,
    Sdk,
};
use serde_json::json;

const PYTHON: [&str; 2] = ["2.12.0", "0.125.0"];
const NODE: &str = "1.12.0";
const KEY: &str = "sk-ant-test-0123456789";

/// What the scripts of `data/` expect.
fn server() -> ModelServer {
    let limited = ModelFailure {
        retry_after: Some("0.05".to_owned()),
        ..ModelFailure::of(429)
    };
    let pace = Pace {
        ping_every: 3,
        event_ms: 2,
        ..Pace::default()
    };
    ModelServer::start(ModelScript {
        keys: vec![KEY.to_owned()],
        models: vec!["claude-test-1".to_owned()],
        ..ModelScript::of([
            ModelStep::reply([
                ModelPiece::Thinking("The weather, then.".to_owned()),
                ModelPiece::Text("I look it up: “naïve” \u{1f980}.".to_owned()),
                ModelPiece::tool("weather", json!({"city": "Bern", "days": 2})),
            ])
            .at(pace),
            ModelStep::text("Sunny."),
            ModelStep::text("Not streamed."),
            ModelStep::answer(ModelAnswer::Failure(limited)),
            ModelStep::failure(529),
            ModelStep::text("After two retries."),
            ModelStep::failure(400),
            ModelStep::text("Cut off after a while.").with_fault(ModelFault::CutAfter(5)),
            ModelStep::text("An error inside.")
                .with_fault(ModelFault::ErrorAfter(4, ModelFailure::of(529))),
        ])
    })
}

fn drive(sdk: &Sdk, script: &str) {
    let server = server();
    let printed = sdk.run(script, &[&server.url(), KEY]);
    assert!(printed.starts_with("done"), "{printed}");
    assert_eq!(server.unscripted(), 0);
}

#[test]
fn python_streams_calls_tools_and_sees_errors_as_from_the_real_one() {
    for version in PYTHON {
        drive(&Sdk::python(version), include_str!("data/messages.py"));
    }
}

#[test]
fn node_streams_calls_tools_and_sees_errors_as_from_the_real_one() {
    drive(&Sdk::node(NODE), include_str!("data/messages.mjs"));
}
