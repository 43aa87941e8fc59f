//! Servers that stop and die.

use bailiwick_model::SessionId;
use bailiwick_testkit::{ModelStep, Pace};
use serde_json::json;

use super::{Place, Running, of_kind, stop_reason, text};

/// A server whose session waits for a model that never answers; whoever asks it again is answered.
async fn waiting_for_an_answer() -> (Place, Running, SessionId) {
    let slow = Pace {
        first_event_ms: 600_000,
        ..Pace::default()
    };
    let place = Place::new([ModelStep::text("late").at(slow), ModelStep::text("Here.")]).await;
    let first = place.start();
    let session = place.session("Hello?").await;
    place.model_answers().await;
    (place, first, session)
}

#[tokio::test]
async fn what_a_dead_server_ran_is_told_and_not_run_again() {
    let place = Place::new([
        ModelStep::tool("bash", json!({"command": "sleep"})),
        ModelStep::text("I see."),
    ])
    .await;
    let first = place.start();
    let session = place.session("Wait.").await;
    while place.workplace.calls().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    first.kill();
    place.control.end_runs_of_others().await.unwrap();
    let second = place.start();
    let events = place.rested(&session).await;
    assert_eq!(place.workplace.calls().len(), 1);
    let result = of_kind(&events, "agent.tool_result")[0];
    assert_eq!(result["is_error"], true);
    assert!(text(result).contains("was not run again"), "{result}");
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    second.stop().await;
}

#[tokio::test]
async fn a_request_that_a_server_died_over_has_failed() {
    let (place, first, session) = waiting_for_an_answer().await;
    first.kill();
    place.control.end_runs_of_others().await.unwrap();
    let second = place.start();
    let events = place.rested(&session).await;
    let (starts, ends) = (
        of_kind(&events, "span.model_request_start"),
        of_kind(&events, "span.model_request_end"),
    );
    let of = |end: &serde_json::Value| end["model_request_start_id"].clone();
    let ended: Vec<_> = ends
        .iter()
        .map(|end| (of(end), end["is_error"] == true))
        .collect();
    let begun: Vec<_> = starts.iter().map(|start| start["id"].clone()).collect();
    assert_eq!(ended, [(begun[0].clone(), true), (begun[1].clone(), false)]);
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Here.");
    second.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_before_it_tries_again_leaves_that_to_another() {
    let place = Place::new([ModelStep::failure(529), ModelStep::text("At last.")]).await;
    let first = place.start();
    let session = place.session("Hello?").await;
    place
        .happened(&session, "session.status_rescheduled", 1)
        .await;
    first.kill();
    place.control.end_runs_of_others().await.unwrap();
    let second = place.start();
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "At last.");
    assert_eq!(of_kind(&events, "session.status_rescheduled").len(), 1);
    second.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_gives_its_sessions_back_at_once() {
    let (place, first, session) = waiting_for_an_answer().await;
    first.stop().await;
    let second = place.start();
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Here.");
    second.stop().await;
}

#[tokio::test]
async fn many_sessions_are_at_work_at_once() {
    let place = Place::new([
        ModelStep::tool("bash", json!({"command": "ls"})).in_round(0),
        ModelStep::text("Done.").in_round(1),
    ])
    .await;
    let engine = place.start();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(place.session("Go.").await);
    }
    for session in &sessions {
        let events = place.rested(session).await;
        assert_eq!(text(of_kind(&events, "agent.message")[0]), "Done.");
    }
    assert_eq!(place.workplace.calls().len(), 20);
    engine.stop().await;
}
