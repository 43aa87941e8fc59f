//! Models that fail.

use bailiwick_testkit::{ModelFault, ModelStep};
use serde_json::json;

use super::{Place, kinds, message, of_kind, stop_reason, text};

#[tokio::test]
async fn what_fails_for_a_moment_is_tried_again_and_told() {
    let place = Place::new([
        ModelStep::failure(529),
        ModelStep::text("cut off").with_fault(ModelFault::CutAfter(3)),
        ModelStep::text("At last."),
    ])
    .await;
    let engine = place.start();
    let session = place.session("Hello?").await;
    let events = place.rested(&session).await;
    let errors = of_kind(&events, "session.error");
    assert_eq!(errors[0]["error"]["type"], "model_overloaded_error");
    assert_eq!(errors[0]["error"]["retry_status"]["type"], "retrying");
    assert_eq!(errors[1]["error"]["type"], "model_request_failed_error");
    assert_eq!(of_kind(&events, "session.status_rescheduled").len(), 2);
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "At last.");
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    engine.stop().await;
}

#[tokio::test]
async fn what_cannot_succeed_is_not_tried_again_until_somebody_says_something() {
    let place = Place::new([ModelStep::failure(401), ModelStep::text("Now it works.")]).await;
    let engine = place.start();
    let session = place.session("Hello?").await;
    let events = place.rested(&session).await;
    assert_eq!(*stop_reason(&events), json!({"type": "retries_exhausted"}));
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["retry_status"]["type"], "terminal");
    assert!(!error.to_string().contains("sk-test"));
    place.send(&session, json!([message("Again.")])).await;
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Now it works.");
    let last = place.model.asked().pop().unwrap();
    let said = last["messages"][0]["content"].as_array().unwrap();
    let said: Vec<_> = said
        .iter()
        .map(|block| block["text"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["Hello?", "Again."]);
    engine.stop().await;
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_summed_up() {
    let too_long = ModelStep::answer(bailiwick_testkit::ModelAnswer::Failure(
        bailiwick_testkit::ModelFailure {
            status: 400,
            kind: None,
            message: Some("prompt is too long: 200001 tokens > 200000 maximum".to_owned()),
            retry_after: None,
        },
    ));
    let place = Place::new([
        too_long,
        ModelStep::text("They said hello."),
        ModelStep::text("Hello again."),
    ])
    .await;
    let engine = place.start();
    let session = place.session("Hello!").await;
    let events = place.rested(&session).await;
    assert!(kinds(&events).contains(&"agent.thread_context_compacted"));
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Hello again.");
    let last = place.model.asked().pop().unwrap();
    let said = last["messages"][0]["content"][0]["text"].as_str().unwrap();
    assert!(said.ends_with("They said hello."), "{said}");
    engine.stop().await;
}

#[tokio::test]
async fn a_session_without_a_sandbox_goes_on_without() {
    let place = Place::new([
        ModelStep::tool("bash", json!({"command": "no sandbox"})),
        ModelStep::text("Then not."),
    ])
    .await;
    let engine = place.start();
    let session = place.session("Try.").await;
    let events = place.rested(&session).await;
    let result = of_kind(&events, "agent.tool_result")[0];
    assert_eq!(result["is_error"], true);
    assert_eq!(text(result), "this server runs no sandboxes");
    engine.stop().await;
}
