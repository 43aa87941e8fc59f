//! What happens in a turn.

use bailiwick_testkit::{ModelPiece, ModelStep, Pace};
use serde_json::json;

use super::{Place, kinds, message, of_kind, stop_reason, text};

#[tokio::test]
async fn a_turn_runs_tools_until_the_model_has_said_all() {
    let place = Place::new([
        ModelStep::reply([
            ModelPiece::Text("I look.".to_owned()),
            ModelPiece::tool("bash", json!({"command": "ls"})),
        ]),
        ModelStep::text("Done."),
    ])
    .await;
    let engine = place.start();
    let session = place.session("What is there?").await;
    let events = place.rested(&session).await;
    assert_eq!(
        kinds(&events),
        [
            "user.message",
            "session.thread_status_running",
            "session.status_running",
            "span.model_request_start",
            "agent.message",
            "agent.tool_use",
            "span.model_request_end",
            "agent.tool_result",
            "span.model_request_start",
            "agent.message",
            "span.model_request_end",
            "session.thread_status_idle",
            "session.usage",
            "session.status_idle",
        ]
    );
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    assert_eq!(text(of_kind(&events, "agent.tool_result")[0]), "bash: ls");
    let asked = place.model.asked();
    assert_eq!(asked[0]["system"][1]["text"], "Be brief.");
    assert_eq!(
        asked[0]["messages"][0]["content"][0]["text"],
        "What is there?"
    );
    // The call has the id of its event, and so has its result.
    let call = of_kind(&events, "agent.tool_use")[0];
    assert_eq!(asked[1]["messages"][1]["content"][1]["id"], call["id"]);
    assert_eq!(
        asked[1]["messages"][2]["content"][0]["tool_use_id"],
        call["id"]
    );
    let view = place
        .control
        .session(&place.caller, &session)
        .await
        .unwrap();
    assert!(view.session.usage.output_tokens > 0);
    assert!(view.session.usage.list_cost_nanos > 0);
    engine.stop().await;
}

#[tokio::test]
async fn calls_of_one_answer_run_side_by_side() {
    let steps = [
        ModelStep::reply((0..3).map(|_| ModelPiece::tool("bash", json!({"command": "sleep"})))),
        ModelStep::text("never"),
    ];
    let place = Place::new(steps).await;
    let engine = place.start();
    let session = place.session("Wait.").await;
    while place.workplace.calls().len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    place
        .send(&session, json!([{"type": "user.interrupt"}]))
        .await;
    let events = place.rested(&session).await;
    assert_eq!(place.workplace.interrupted(), 3);
    assert_eq!(of_kind(&events, "agent.tool_result").len(), 3);
    assert_eq!(place.model.asked().len(), 1);
    engine.stop().await;
}

#[tokio::test]
async fn an_interrupt_stops_what_runs_and_what_was_said_since_follows() {
    let place = Place::new([
        ModelStep::tool("bash", json!({"command": "sleep"})),
        ModelStep::text("Something else."),
    ])
    .await;
    let engine = place.start();
    let session = place.session("Wait.").await;
    place.happened(&session, "agent.tool_use", 1).await;
    place
        .send(
            &session,
            json!([{"type": "user.interrupt"}, message("Do something else.")]),
        )
        .await;
    let events = place.happened(&session, "session.status_idle", 2).await;
    let events = if events.is_empty() {
        events
    } else {
        place.rested(&session).await
    };
    let result = of_kind(&events, "agent.tool_result")[0];
    assert_eq!(
        text(of_kind(&events, "agent.message")[0]),
        "Something else."
    );
    let asked = place.model.asked();
    let last = asked[1]["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["content"][0]["type"], "tool_result");
    assert_eq!(last["content"][1]["text"], "Do something else.");
    assert!(result["is_error"].is_boolean());
    engine.stop().await;
}

/// Whoever goes on with the session later reads what happened from what was stored.
#[tokio::test]
async fn a_turn_that_was_interrupted_is_over_also_for_whoever_reads_it_later() {
    let place = Place::new([
        ModelStep::tool("bash", json!({"command": "sleep"})),
        ModelStep::text("Something else."),
    ])
    .await;
    let engine = place.start();
    let session = place.session("Wait.").await;
    place.happened(&session, "agent.tool_use", 1).await;
    // One more than is needed: people are impatient.
    let twice = json!([{"type": "user.interrupt"}, {"type": "user.interrupt"}]);
    place.send(&session, twice).await;
    let events = place.rested(&session).await;
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    assert_eq!(place.model.asked().len(), 1);
    let said = json!([message("Do something else.")]);
    place.send(&session, said).await;
    let events = place.rested(&session).await;
    let said = text(of_kind(&events, "agent.message")[0]);
    assert_eq!(said, "Something else.");
    let asked = place.model.asked();
    assert_eq!(asked.len(), 2);
    let last = asked[1]["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["content"][1]["text"], "Do something else.");
    engine.stop().await;
}

#[tokio::test]
async fn what_an_interrupted_answer_has_used_is_paid_for() {
    let slow = Pace {
        event_ms: 200,
        delta_chars: 1,
        ..Pace::default()
    };
    let place = Place::new([ModelStep::text("x".repeat(1000)).at(slow)]).await;
    let engine = place.start();
    let session = place.session("Talk.").await;
    place.model_answers().await;
    // The first event says what the question took.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    place
        .send(&session, json!([{"type": "user.interrupt"}]))
        .await;
    place.rested(&session).await;
    let view = place.control.session(&place.caller, &session).await;
    let used = view.unwrap().session.usage;
    assert!(used.input_tokens + used.cache_5m_tokens > 0, "{used:?}");
    assert!(used.list_cost_nanos > 0);
    engine.stop().await;
}

#[tokio::test]
async fn an_interrupt_stops_an_answer_on_its_way() {
    let slow = Pace {
        event_ms: 200,
        delta_chars: 1,
        ..Pace::default()
    };
    let place = Place::new([ModelStep::text("x".repeat(1000)).at(slow)]).await;
    let engine = place.start();
    let session = place.session("Talk.").await;
    place.model_answers().await;
    place
        .send(&session, json!([{"type": "user.interrupt"}]))
        .await;
    let events = place.rested(&session).await;
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    assert_eq!(
        of_kind(&events, "span.model_request_end")[0]["is_error"],
        true
    );
    assert!(of_kind(&events, "agent.message").is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn a_call_that_needs_a_person_waits_for_one() {
    let asks = json!({"tools": [{
        "type": "agent_toolset_20260401",
        "default_config": {"permission_policy": {"type": "always_ask"}},
    }]});
    let steps = [
        ModelStep::reply([
            ModelPiece::tool("bash", json!({"command": "good"})),
            ModelPiece::tool("bash", json!({"command": "bad"})),
        ]),
        ModelStep::text("Well."),
    ];
    let place = Place::with_agent(steps, asks).await;
    let engine = place.start();
    let session = place.session("Do both.").await;
    let events = place.rested(&session).await;
    let calls = of_kind(&events, "agent.tool_use");
    assert_eq!(calls[0]["evaluated_permission"], "ask");
    let ids = [calls[0]["id"].clone(), calls[1]["id"].clone()];
    assert_eq!(stop_reason(&events)["type"], "requires_action");
    let awaited = stop_reason(&events)["event_ids"].as_array().unwrap();
    assert_eq!(awaited.len(), 2);
    assert!(ids.iter().all(|id| awaited.contains(id)));
    assert!(place.workplace.calls().is_empty());
    place
        .send(&session, json!([
            {"type": "user.tool_confirmation", "tool_use_id": ids[0], "result": "allow"},
            {"type": "user.tool_confirmation", "tool_use_id": ids[1], "result": "deny", "deny_message": "Too bad."},
        ]))
        .await;
    let events = place.rested(&session).await;
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    let calls = place.workplace.calls();
    assert_eq!(calls, [("bash".to_owned(), json!({"command": "good"}))]);
    let results = of_kind(&events, "agent.tool_result");
    let denied = results
        .iter()
        .find(|event| event["is_error"] == true)
        .unwrap();
    assert_eq!(text(denied), "Too bad.");
    engine.stop().await;
}

#[tokio::test]
async fn a_tool_of_the_client_waits_for_the_client() {
    let custom = json!({"tools": [{
        "type": "custom",
        "name": "weather",
        "description": "The weather.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }]});
    let steps = [
        ModelStep::tool("weather", json!({"city": "Bern"})),
        ModelStep::text("It rains."),
    ];
    let place = Place::with_agent(steps, custom).await;
    let engine = place.start();
    let session = place.session("How is it?").await;
    let events = place.rested(&session).await;
    let call = of_kind(&events, "agent.custom_tool_use")[0];
    assert_eq!(call["input"], json!({"city": "Bern"}));
    assert_eq!(stop_reason(&events)["event_ids"], json!([call["id"]]));
    place
        .send(
            &session,
            json!([{
                "type": "user.custom_tool_result",
                "custom_tool_use_id": call["id"],
                "content": [{"type": "text", "text": "rain"}],
            }]),
        )
        .await;
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "It rains.");
    assert_eq!(
        place.model.asked()[1]["messages"][2]["content"][0]["content"][0]["text"],
        "rain"
    );
    engine.stop().await;
}

#[tokio::test]
async fn a_tool_that_the_agent_does_not_have_is_not_run() {
    let few = json!({"tools": [{
        "type": "agent_toolset_20260401",
        "configs": [{"name": "bash", "enabled": false}],
    }]});
    let steps = [
        ModelStep::reply([
            ModelPiece::tool("bash", json!({"command": "ls"})),
            ModelPiece::tool("launch", json!({})),
            ModelPiece::tool("read", json!({"file_path": "/x"})),
        ]),
        ModelStep::text("So be it."),
    ];
    let place = Place::with_agent(steps, few).await;
    let engine = place.start();
    let session = place.session("Do it.").await;
    let events = place.rested(&session).await;
    // The positive control is the one that it has.
    let called: Vec<_> = place
        .workplace
        .calls()
        .into_iter()
        .map(|(tool, _)| tool)
        .collect();
    assert_eq!(called, ["read"]);
    assert_eq!(
        of_kind(&events, "agent.tool_use")[0]["evaluated_permission"],
        "deny"
    );
    let names: Vec<_> = place.model.asked()[0]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].clone())
        .collect();
    assert!(!names.contains(&json!("bash")) && names.contains(&json!("read")));
    engine.stop().await;
}

#[tokio::test]
async fn a_session_that_costs_what_it_may_asks_no_model_any_more() {
    let budget =
        json!({"budget": {"type": "limit", "max_list_cost": {"amount": "1", "currency": "USD"}}});
    let place = Place::new([
        ModelStep::tool("bash", json!({"command": "x".repeat(20_000)})),
        ModelStep::text("never"),
    ])
    .await;
    let engine = place.start();
    let session = place.session_with("Spend.", budget).await;
    let events = place.rested(&session).await;
    assert_eq!(*stop_reason(&events), json!({"type": "budget_reached"}));
    assert_eq!(place.model.asked().len(), 1);
    assert_eq!(place.workplace.calls().len(), 1);
    engine.stop().await;
}
