//! MCP servers that do harm to a session if they can.

use std::time::{Duration, Instant};

use bailiwick_control::{EnvironmentChange, PoliciesChange};
use bailiwick_model::limits::{RUN_LEASE, SESSION_SANDBOX_LOOK};
use bailiwick_testkit::{McpServer, ModelStep};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::mcp::{World, calls, offered};
use super::{message, of_kind, stop_reason, text};

#[tokio::test]
async fn a_tool_that_becomes_another_one_is_blocked_until_a_person_looks() {
    // The first call is allowed by policy; after it the tool is described otherwise.
    let world = World::lying("rug", calls([("do", json!({})), ("do", json!({}))])).await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    let calls = of_kind(&events, "agent.mcp_tool_use");
    assert_eq!(calls[0]["evaluated_permission"], "allow");
    assert_eq!(calls[1]["evaluated_permission"], "ask");
    assert_eq!(stop_reason(&events)["type"], "requires_action");
    // One that stayed as it was is still allowed.
    let asked = world.place.model.asked();
    assert_eq!(offered(&asked[1]), ["mcp__docs__do", "mcp__docs__other"]);
    assert_ne!(asked[0]["tools"], asked[1]["tools"]);
    engine.stop().await;
}

#[tokio::test]
async fn a_server_that_was_allowed_when_it_was_listed_is_blocked_when_the_floor_denies_it() {
    let world = World::lying("honest", calls([("do", json!({}))])).await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    assert_eq!(World::<McpServer>::results(&events), ["do did  as call 2"]);
    deny(&world, "mcp.example.com").await;
    let before = world.server.requests().len();
    world.place.model.append(calls([("do", json!({}))]));
    world.place.send(&session, json!([message("Again.")])).await;
    let events = world
        .place
        .happened(&session, "session.status_idle", 2)
        .await;
    let result = of_kind(&events, "agent.mcp_tool_result")[1];
    assert_eq!(result["is_error"], true);
    assert!(text(result).contains("this is policy"), "{result}");
    assert_eq!(world.server.requests().len(), before);
    engine.stop().await;
}

#[tokio::test]
async fn a_call_that_is_under_way_is_cut_when_a_tightening_or_the_floor_denies_its_server() {
    let limited = |allow| json!({"type": "limited", "allow_mcp_servers": allow});
    for is_by_floor in [false, true] {
        let world = World::lying("slow", calls([("do", json!({}))])).await;
        let engine = world.place.start();
        let environment = world.environment(limited(true)).await;
        let parts = json!({"environment_id": environment});
        let session = world.place.session_with("Go.", parts).await;
        world.server.says("slow", 1).await;
        let (control, caller) = (&world.place.control, &world.place.caller);
        // What changes nothing for the server cuts nothing.
        deny(&world, "other.example.com").await;
        sleep(2 * SESSION_SANDBOX_LOOK).await;
        let events = world.place.events(&session).await;
        assert!(of_kind(&events, "agent.mcp_tool_result").is_empty());
        let begun = Instant::now();
        if is_by_floor {
            deny(&world, "mcp.example.com").await;
        } else {
            let body = json!({"config": {"type": "cloud", "networking": limited(false)}});
            let change = EnvironmentChange {
                body: super::object(body),
                ..EnvironmentChange::default()
            };
            let id = environment.parse().unwrap();
            control
                .update_environment(caller, &id, change)
                .await
                .unwrap();
            control
                .tighten_session(caller, &session, None)
                .await
                .unwrap();
        }
        let events = world.place.rested(&session).await;
        assert!(begun.elapsed() < 2 * SESSION_SANDBOX_LOOK);
        let result = text(of_kind(&events, "agent.mcp_tool_result")[0]);
        assert!(
            result.contains("may not be reached any more: denied")
                && result.contains("may have happened"),
            "{result}"
        );
        engine.stop().await;
    }
}

#[tokio::test]
async fn a_list_that_is_under_way_is_cut_when_the_floor_denies_its_server() {
    let world = World::lying("slow-list", vec![ModelStep::text("Without.")]).await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let asks = |request: &Value| request["method"] == "tools/list";
    while !world.server.requests().iter().any(asks) {
        sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    deny(&world, "mcp.example.com").await;
    let events = world.place.rested(&session).await;
    assert!(begun.elapsed() < 2 * SESSION_SANDBOX_LOOK);
    let error = &of_kind(&events, "session.error")[0]["error"];
    let words = error["message"].as_str().unwrap();
    assert!(
        words.contains("may not be reached any more: denied"),
        "{words}"
    );
    engine.stop().await;
}

/// Nobody could tell it that its server is denied.
#[tokio::test]
async fn a_call_that_is_under_way_is_cut_when_the_database_has_not_answered_for_long() {
    let world = World::lying("drips", calls([("do", json!({}))])).await;
    let engine = world.place.start();
    world.place.session("Go.").await;
    world.server.says("slow", 1).await;
    let begun = Instant::now();
    world.place.store.close().await;
    sleep(RUN_LEASE / 2).await;
    assert!(world.server.said("left").is_empty(), "control");
    world.server.says("left", 1).await;
    assert!(begun.elapsed() < RUN_LEASE + SESSION_SANDBOX_LOOK);
    engine.stop().await;
}

async fn deny(world: &World<McpServer>, host: &str) {
    let floor = PoliciesChange {
        allow_body_injection: None,
        default_networking: None,
        denied_hosts: Some(vec![host.to_owned()]),
        denied_cidrs: None,
        version: None,
    };
    let (control, caller) = (&world.place.control, &world.place.caller);
    control.change_policies(caller, floor).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_this_machine_is_blocked() {
    // Nothing is pinned here: the name is an address of loopback.
    for url in [
        "https://127.0.0.1:1/mcp",
        "http://169.254.169.254/mcp",
        "http://[::ffff:127.0.0.1]:1/",
    ] {
        let world = World::lying("honest", vec![ModelStep::text("Without.")]).await;
        let agent = json!({"mcp_servers": [{"type": "url", "name": "docs", "url": url}],
            "tools": [{"type": "mcp_toolset", "mcp_server_name": "docs"}]});
        let (control, caller) = (&world.place.control, &world.place.caller);
        let id = world.place.agent.parse().unwrap();
        control
            .update_agent(caller, &id, &super::object(agent))
            .await
            .unwrap();
        let engine = world.place.start();
        let session = world.place.session("Go.").await;
        let events = world.place.rested(&session).await;
        let error = &of_kind(&events, "session.error")[0]["error"];
        assert_eq!(error["type"], "mcp_connection_failed_error");
        assert!(
            error["message"].as_str().unwrap().contains("denied"),
            "{url}: {error}"
        );
        engine.stop().await;
    }
}

#[tokio::test]
async fn odd_tools_are_blocked_and_told_and_the_rest_is_offered() {
    let world = World::lying("odd-tools", vec![ModelStep::text("I see.")]).await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    assert_eq!(offered(&world.place.model.asked()[0]), ["mcp__docs__good"]);
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "unknown_error");
    let words = error["message"].as_str().unwrap();
    assert!(
        words.starts_with("6 tools of the MCP server \"docs\" are left out: "),
        "{words}"
    );
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    engine.stop().await;
}

#[tokio::test]
async fn what_a_server_sends_without_end_is_blocked_and_the_turn_goes_on() {
    for path in ["endless", "deep", "html", "cut"] {
        let world = World::lying(path, calls([("do", json!({}))])).await;
        let engine = world.place.start();
        let session = world.place.session("Go.").await;
        let events = world.place.rested(&session).await;
        let result = of_kind(&events, "agent.mcp_tool_result")[0];
        assert!(
            text(result).contains("may have happened"),
            "{path}: {result}"
        );
        assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}), "{path}");
        let calls = world.server.requests().into_iter();
        let calls = calls.filter(|request| request["method"] == "tools/call");
        assert_eq!(calls.count(), 1, "{path}");
        engine.stop().await;
    }
}
