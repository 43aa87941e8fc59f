//! What goes wrong on this side: tools that panic, sandboxes that are not there, sessions that cannot be read.

use bailiwick_model::{SessionEventType, SessionStatus, SessionThreadId};
use bailiwick_store::NewSessionEvent;
use bailiwick_testkit::{ModelFault, ModelPiece, ModelStep};
use serde_json::json;

use super::{PATIENCE, Place, of_kind, text};

#[tokio::test]
async fn a_call_that_panics_has_a_result_and_those_beside_it_have_theirs() {
    let calls =
        ["nap", "panic", "ls"].map(|command| ModelPiece::tool("bash", json!({"command": command})));
    let place = Place::new([ModelStep::reply(calls), ModelStep::text("I see.")]).await;
    let engine = place.start();
    let session = place.session("Go.").await;
    let events = place.rested(&session).await;
    let results = of_kind(&events, "agent.tool_result");
    let mut told: Vec<_> = results
        .iter()
        .map(|result| {
            (
                text(result).split(':').next().unwrap(),
                result["is_error"] == true,
            )
        })
        .collect();
    told.sort_unstable();
    let broken = told.iter().filter(|(_, is_error)| *is_error);
    assert_eq!(broken.count(), 1, "{told:?}");
    assert_eq!(
        told.iter().filter(|(word, _)| *word == "bash").count(),
        2,
        "{told:?}"
    );
    let texts: Vec<_> = results.iter().map(|result| text(result)).collect();
    assert!(
        texts.contains(&"bash: nap") && texts.contains(&"bash: ls"),
        "{texts:?}"
    );
    assert_eq!(place.workplace.calls().len(), 3, "none was run again");
    engine.stop().await;
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_not_made_and_is_told() {
    let cut = [
        r#"{"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"bash","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"command\":\"rm"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let frame = |data: &str| {
        let event: serde_json::Value = serde_json::from_str(data).unwrap();
        format!(
            "event: {}\ndata: {data}\n\n",
            event["type"].as_str().unwrap()
        )
    };
    let frames = cut.map(frame).concat();
    let step = ModelStep::text("x").with_fault(ModelFault::GarbageAfter(0, frames));
    let place = Place::new([step]).await;
    let engine = place.start();
    let session = place.session("Go.").await;
    let events = place.rested(&session).await;
    let errors = of_kind(&events, "session.error");
    assert_eq!(errors.len(), 1, "{events:?}");
    let message = errors[0]["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("bash") && !message.contains("rm"),
        "{message}"
    );
    assert!(of_kind(&events, "agent.tool_use").is_empty());
    assert!(place.workplace.calls().is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn what_failed_of_a_sandbox_is_told_beside_the_result() {
    let place = Place::new([
        ModelStep::tool("bash", json!({"command": "told"})),
        ModelStep::text("Then not."),
    ])
    .await;
    let engine = place.start();
    let session = place.session("Go.").await;
    let events = place.rested(&session).await;
    let errors = of_kind(&events, "session.error");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["error"]["type"], "repository_clone_error");
    assert_eq!(
        errors[0]["error"]["retry_status"],
        json!({"type": "retrying"})
    );
    let result = &of_kind(&events, "agent.tool_result")[0];
    assert!(text(result).contains("words"), "{result}");
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Then not.");
    engine.stop().await;
}

#[tokio::test]
async fn a_session_that_cannot_be_read_ends_and_says_so_and_others_go_on() {
    let place = Place::new([ModelStep::text("Here.")]).await;
    let broken = place.session("Hello?").await;
    let organization = place.caller.organization();
    let view = place.control.session(&place.caller, &broken).await.unwrap();
    let at = view.session.event_at;
    let turn = place.store.turn(organization, &broken, at).await.unwrap();
    let mut turn = turn.unwrap();
    let event = NewSessionEvent {
        id: bailiwick_control::Control::fresh_event_id(),
        thread: SessionThreadId::primary_of(&broken),
        in_session: true,
        kind: SessionEventType::UserMessage,
        body: "{\"content\": 7}".to_owned(),
        answers: None,
        is_processed: false,
        private: None,
    };
    let mut locked = turn.locked();
    locked.append(vec![event]).await.unwrap();
    locked.finish().await.unwrap();
    turn.commit().await.unwrap();
    let engine = place.start();
    let ends = async {
        loop {
            let view = place.control.session(&place.caller, &broken).await.unwrap();
            if view.session.status == SessionStatus::Terminated {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ends).await.expect("it ends");
    let events = place.events(&broken).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "unknown_error");
    assert_eq!(error["retry_status"], json!({"type": "terminal"}));
    assert_eq!(of_kind(&events, "session.status_terminated").len(), 1);
    let whole = place.session("Hello?").await;
    let events = place.rested(&whole).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Here.");
    engine.stop().await;
}
