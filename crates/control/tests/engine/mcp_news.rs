//! What servers say without being asked, and where no policy was pinned.

use bailiwick_control::{NewEnvironmentRequest, PoliciesChange};
use bailiwick_testkit::{McpServer, ModelStep};
use serde_json::{Value, json};

use super::mcp::{NAME, World, calls, offered};
use super::{message, object, of_kind};

/// An agent that says something, has its server get another tool, and is asked until it is offered that.
async fn is_offered_what_a_server_got(path: &str) {
    let steps = [ModelStep::text("Hello.")]
        .into_iter()
        .chain(calls([("grow", json!({}))]));
    let world = World::official_at(path, "", steps.collect(), "always_allow").await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    world.place.rested(&session).await;
    let listens = async {
        let is_get = |request: &Value| request["method"] == "GET";
        while !world.server.requests().iter().any(is_get) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    listens.await;
    world.place.send(&session, json!([message("Grow.")])).await;
    let mut rests = 2;
    let idle = "session.status_idle";
    world.place.happened(&session, idle, rests).await;
    let mut is_offered = false;
    while !is_offered && rests < 50 {
        world.place.model.append([ModelStep::text("And now?")]);
        world.place.send(&session, json!([message("Again.")])).await;
        rests += 1;
        world.place.happened(&session, idle, rests).await;
        let asked = world.place.model.asked();
        is_offered = offered(asked.last().unwrap()).contains(&"mcp__docs__grown");
    }
    assert!(is_offered);
    let events = world.place.events(&session).await;
    assert!(of_kind(&events, "session.error").is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn tools_that_a_server_says_it_has_now_are_offered_in_the_next_turn() {
    is_offered_what_a_server_got("mcp").await;
    is_offered_what_a_server_got("sse").await;
}

#[tokio::test]
async fn in_a_self_hosted_environment_the_organizations_default_policy_decides() {
    let world = World::official("", vec![ModelStep::text("Without.")], "always_allow").await;
    let (control, caller) = (&world.place.control, &world.place.caller);
    let request = NewEnvironmentRequest {
        body: object(json!({"name": "farm", "config": {"type": "self_hosted"}})),
        restricted: false,
        namespace: None,
    };
    let farm = control.create_environment(caller, request).await.unwrap();
    let farm = json!({"environment_id": farm.environment.id});
    let default = async |networking: Value| {
        let change = PoliciesChange {
            allow_body_injection: None,
            default_networking: Some(networking),
            denied_hosts: None,
            denied_cidrs: None,
            version: None,
        };
        control.change_policies(caller, change).await.unwrap();
    };
    default(json!({"type": "limited", "allowed_hosts": ["other.example.com"]})).await;
    let engine = world.place.start();
    let session = world.place.session_with("Go.", farm).await;
    let events = world.place.rested(&session).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "mcp_connection_failed_error");
    assert_eq!(world.server.requests().len(), 0);
    let allowing = [
        json!({"type": "limited", "allowed_hosts": [NAME]}),
        json!({"type": "limited", "allow_mcp_servers": true}),
        Value::Null,
    ];
    for (networking, turn) in allowing.into_iter().zip(2..) {
        let before = of_kind(&world.place.events(&session).await, "session.error").len();
        default(networking).await;
        world.place.model.append(calls([("count", json!({}))]));
        world.place.send(&session, json!([message("Again.")])).await;
        let events = world
            .place
            .happened(&session, "session.status_idle", turn)
            .await;
        assert_eq!(of_kind(&events, "session.error").len(), before);
        assert_eq!(
            World::<McpServer>::results(&events).last().unwrap(),
            &format!("call {}", turn - 1)
        );
    }
    engine.stop().await;
}
