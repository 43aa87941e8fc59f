//! What becomes of sessions while they are run, and who runs them.

use bailiwick_control::{ControlError, ThreadStep, TurnReport};
use bailiwick_model::{SessionRefusal, SessionUsage, StopReason};
use bailiwick_wire::PermissionEvaluation as P;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::session_engine::{call, claim, custom_call, new, requires, result, text, types};
use crate::session_events::{events, said, send, session};
use crate::sessions::{body, code, create, with};
use crate::{Server, on_both};

on_both!(
    a_call_waits_until_it_is_confirmed,
    a_result_is_taken_once_and_repeated_as_it_was,
    what_was_answered_meanwhile_is_not_waited_for,
    nobody_rests_over_what_was_said,
    an_interrupt_comes_before_what_was_said_before,
    a_budget_ends_what_may_be_said,
    one_runs_a_session_and_whoever_comes_late_is_refused,
);

fn confirm(call: &impl serde::Serialize, verdict: &str) -> Value {
    json!({"type": "user.tool_confirmation", "tool_use_id": call, "result": verdict})
}

fn custom(call: &impl serde::Serialize, text: &str) -> Value {
    json!({"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": [{"type": "text", "text": text}]})
}

async fn status(server: &Server, id: &str) -> String {
    server
        .get(&format!("/v1/sessions/{id}"))
        .await
        .text("status")
        .to_owned()
}

async fn a_call_waits_until_it_is_confirmed(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    let (one, other) = (new(call("bash", P::Ask)), new(call("write", P::Ask)));
    let allowed = new(call("read", P::Allow));
    let calls = vec![one.clone(), other.clone(), allowed.clone()];
    engine
        .tell(calls, vec![requires(&[&one.id, &other.id, &allowed.id])])
        .await
        .unwrap();
    let last = events(&server, &id).await["data"]
        .as_array()
        .unwrap()
        .last()
        .cloned()
        .unwrap();
    let mut expected = [json!(one.id), json!(other.id)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(
        last["stop_reason"],
        json!({"type": "requires_action", "event_ids": expected})
    );
    let refused = send(&server, &id, json!([confirm(&allowed.id, "allow")])).await;
    assert_eq!(code(&refused), "not_asked");
    let refused = send(&server, &id, json!([custom(&one.id, "x")])).await;
    assert_eq!(code(&refused), "unknown_tool_use");
    let result = json!({"type": "user.tool_result", "tool_use_id": one.id});
    assert_eq!(
        code(&send(&server, &id, json!([result])).await),
        "not_a_workers_call"
    );
    // What is said meanwhile waits.
    send(&server, &id, json!([said("y")])).await.ok();
    assert_eq!(status(&server, &id).await, "idle");
    let sent = send(&server, &id, json!([confirm(&one.id, "allow")]))
        .await
        .ok();
    assert_eq!(sent["data"][0]["session_thread_id"], Value::Null);
    let last = events(&server, &id).await["data"]
        .as_array()
        .unwrap()
        .last()
        .cloned()
        .unwrap();
    assert_eq!(
        last["stop_reason"],
        json!({"type": "requires_action", "event_ids": [other.id]})
    );
    let denial = json!({"type": "user.tool_confirmation", "tool_use_id": other.id, "result": "deny", "deny_message": "no"});
    send(&server, &id, json!([denial])).await.ok();
    assert_eq!(status(&server, &id).await, "running");
    // The run that rested is over; the next one has all that was said.
    let again = claim(&server, &id).await.unwrap();
    let queued = again.take().await;
    let kinds: Vec<_> = queued.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "user.message",
            "user.tool_confirmation",
            "user.tool_confirmation"
        ]
    );
}

async fn a_result_is_taken_once_and_repeated_as_it_was(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    let call = new(custom_call("weather"));
    engine
        .tell(vec![call.clone()], vec![requires(&[&call.id])])
        .await
        .unwrap();
    let answers = (0..8).map(|_| send(&server, &id, json!([custom(&call.id, "sunny")])));
    let answers = futures_util::future::join_all(answers).await;
    let mut ids: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.ok()["data"][0]["id"].clone())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let refused = send(&server, &id, json!([custom(&call.id, "rainy")])).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(
        (code(&refused), refused.header("x-should-retry")),
        ("already_answered", "false")
    );
    let listed = types(&events(&server, &id).await);
    assert_eq!(
        listed
            .iter()
            .filter(|kind| *kind == "user.custom_tool_result")
            .count(),
        1
    );
    // Nor does the engine say it twice.
    let again = claim(&server, &id).await.unwrap();
    let twice = again
        .tell(vec![new(result(&call.id, "x"))], Vec::new())
        .await;
    assert!(
        matches!(twice, Err(ControlError::AlreadyAnswered)),
        "{twice:?}"
    );
}

async fn what_was_answered_meanwhile_is_not_waited_for(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    let (one, other) = (new(custom_call("a")), new(custom_call("b")));
    engine
        .tell(vec![one.clone(), other.clone()], Vec::new())
        .await
        .unwrap();
    send(&server, &id, json!([custom(&one.id, "1")])).await.ok();
    engine
        .tell(Vec::new(), vec![requires(&[&one.id, &other.id])])
        .await
        .unwrap();
    let last = events(&server, &id).await["data"]
        .as_array()
        .unwrap()
        .last()
        .cloned()
        .unwrap();
    assert_eq!(last["stop_reason"]["event_ids"], json!([other.id]));
    send(&server, &id, json!([custom(&other.id, "2")]))
        .await
        .ok();
    let engine = claim(&server, &id).await.unwrap();
    let refused = engine
        .tell(Vec::new(), vec![requires(&[&one.id, &other.id])])
        .await;
    assert!(matches!(
        refused,
        Err(ControlError::Refused(SessionRefusal::NothingAwaited))
    ));
    assert_eq!(status(&server, &id).await, "running");
}

async fn nobody_rests_over_what_was_said(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    send(&server, &id, json!([said("y")])).await.ok();
    let end = || vec![ThreadStep::Rest(StopReason::EndTurn)];
    let refused = engine.tell(vec![new(text("z"))], end()).await;
    assert!(matches!(
        refused,
        Err(ControlError::Refused(SessionRefusal::InputWaits))
    ));
    // Nothing of it was written.
    assert!(!types(&events(&server, &id).await).contains(&"agent.message".to_owned()));
    engine.take().await;
    engine.tell(vec![new(text("z"))], end()).await.unwrap();
    assert_eq!(status(&server, &id).await, "idle");
}

async fn an_interrupt_comes_before_what_was_said_before(server: Server) {
    let id = session(&server).await;
    let idle = send(&server, &id, json!([{"type": "user.interrupt"}]))
        .await
        .ok();
    assert!(
        idle["data"][0]["processed_at"].is_string(),
        "there is nothing to stop"
    );
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    send(&server, &id, json!([said("y"), {"type": "user.interrupt"}]))
        .await
        .ok();
    let queued = engine.queued().await;
    let interrupt = queued
        .iter()
        .find(|event| event.kind.as_str() == "user.interrupt")
        .unwrap();
    let refused = engine.tell(Vec::new(), vec![ThreadStep::Yield]).await;
    assert!(matches!(
        refused,
        Err(ControlError::Refused(SessionRefusal::InputWaits))
    ));
    let report = TurnReport {
        taken: vec![interrupt.id.clone()],
        steps: vec![ThreadStep::Yield],
        ..TurnReport::of(engine.thread.clone())
    };
    let progress = engine.report(report).await.unwrap();
    let kinds: Vec<_> = progress
        .events
        .iter()
        .map(|event| event.kind.as_str())
        .collect();
    let expected = [
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
        "session.thread_status_running",
        "session.status_running",
    ];
    assert_eq!(kinds, expected);
    // The same run goes on with what was said.
    engine.answer("y too").await;
    assert_eq!(status(&server, &id).await, "idle");
}

async fn a_budget_ends_what_may_be_said(server: Server) {
    let budget = |cents: &str| json!({"budget": {"type": "limit", "max_list_cost": {"amount": cents, "currency": "USD"}}});
    let made = create(&server, with(body(&server).await, budget("100"))).await;
    let id = made.text("id").to_owned();
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    send(&server, &id, json!([said("y")])).await.ok();
    let usage = SessionUsage {
        input_tokens: 10,
        output_tokens: 20,
        list_cost_nanos: 1_000_000_000,
        ..SessionUsage::default()
    };
    let report = TurnReport {
        usage,
        steps: vec![ThreadStep::Rest(StopReason::BudgetReached)],
        ..TurnReport::of(engine.thread.clone())
    };
    engine.report(report).await.unwrap();
    let refused = send(&server, &id, json!([said("z")])).await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::BAD_REQUEST, "budget_reached")
    );
    send(&server, &id, json!([{"type": "user.interrupt"}]))
        .await
        .ok();
    let shown = server.get(&format!("/v1/sessions/{id}")).await.ok();
    assert_eq!(
        shown["usage"]["list_cost"],
        json!({"amount": "100", "currency": "USD"})
    );
    assert_eq!(
        (
            &shown["usage"]["input_tokens"],
            &shown["usage"]["output_tokens"]
        ),
        (&json!(10), &json!(20))
    );
    let path = format!("/v1/sessions/{id}");
    let refused = server.post(&path, budget("99")).await;
    assert_eq!(code(&refused), "budget_not_raised");
    // What was said before is done once it may cost more.
    assert_eq!(
        server.post(&path, budget("200")).await.text("status"),
        "running"
    );
    let engine = claim(&server, &id).await.unwrap();
    assert_eq!(engine.take().await.len(), 1);
}

async fn one_runs_a_session_and_whoever_comes_late_is_refused(server: Server) {
    let id = session(&server).await;
    assert!(
        claim(&server, &id).await.is_none(),
        "there is nothing to do"
    );
    send(&server, &id, json!([said("x")])).await.ok();
    let all = server.control.sessions_to_run(10).await.unwrap();
    assert_eq!(all.len(), 1);
    let first = claim(&server, &id).await.unwrap();
    assert!(claim(&server, &id).await.is_none(), "it is somebody's");
    assert!(server.control.sessions_to_run(10).await.unwrap().is_empty());
    assert!(server.control.keep_session(&first.run).await.unwrap());
    server.control.release_session(&first.run).await.unwrap();
    let second = claim(&server, &id).await.unwrap();
    assert!(second.run.number > first.run.number);
    assert!(!server.control.keep_session(&first.run).await.unwrap());
    let late = first.tell(vec![new(text("late"))], Vec::new()).await;
    assert!(matches!(late, Err(ControlError::RunLost)), "{late:?}");
    second.answer("in time").await;
    let late = second.tell(vec![new(text("late"))], Vec::new()).await;
    assert!(
        matches!(late, Err(ControlError::RunLost)),
        "its run ended when it rested"
    );
    let kept = events(&server, &id).await.to_string();
    assert!(kept.contains("in time") && !kept.contains("late"));
}
