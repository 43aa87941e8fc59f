//! Servers that do harm if they can. Each is blocked, and the honest one beside them is not.

use std::time::{Duration, Instant};

use bailiwick_mcp::{Access, McpError};
use bailiwick_outbound::OutboundError;
use bailiwick_testkit::HttpServer;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{World, object, text};

/// What nothing here takes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_answer_that_never_ends_is_blocked() {
    let world = World::lying();
    let honest = world
        .call(&world.client("honest"), "do", json!({"text": "it"}))
        .await;
    assert_eq!(text(&honest.unwrap()), "do did it as call 1");
    let begun = Instant::now();
    for path in ["endless", "endless-events", "one-long-event"] {
        let called = world.call(&world.client(path), "do", json!({})).await;
        let error = called.unwrap_err();
        assert!(matches!(error, McpError::TooLong), "{path}: {error:?}");
    }
    assert!(begun.elapsed() < LONG);
}

#[tokio::test]
async fn a_list_that_never_ends_is_blocked() {
    let world = World::lying();
    let listed = world.client("pages").tools(world.access("")).await;
    assert!(matches!(listed, Err(McpError::Malformed(_))), "{listed:?}");
}

#[tokio::test]
async fn json_that_is_too_deep_is_blocked() {
    let world = World::lying();
    let called = world.call(&world.client("deep"), "do", json!({})).await;
    assert!(matches!(called, Err(McpError::Malformed(_))), "{called:?}");
    let listed = world.list("deep-list").await;
    assert!(matches!(listed, Err(McpError::Malformed(_))), "{listed:?}");
}

#[tokio::test]
async fn an_answer_of_very_many_small_values_is_blocked() {
    let world = World::lying();
    let client = world.client("few-values");
    let few = world.call(&client, "do", json!({}));
    assert!(
        text(&few.await.unwrap()).starts_with(r#"{"x":[0,0"#),
        "the control"
    );
    let client = world.client("many-values");
    let many = world.call(&client, "do", json!({}));
    let error = many.await.unwrap_err();
    assert!(matches!(error, McpError::Malformed(_)), "{error:?}");
    assert!(error.to_string().contains("too many values"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_told_so() {
    let world = World::lying();
    let called = world.call(&world.hasty("slow"), "do", json!({})).await;
    let error = called.unwrap_err();
    assert!(matches!(error, McpError::Timeout) && error.may_have_happened());
    assert_eq!(world.methods().last().unwrap(), "notifications/cancelled");
    let listed = world.list("slow-list").await;
    assert!(matches!(listed, Err(McpError::Timeout)), "{listed:?}");
}

#[tokio::test]
async fn an_answer_of_another_kind_or_to_something_else_is_blocked() {
    let world = World::lying();
    for path in ["html", "other-answer"] {
        let called = world.call(&world.client(path), "do", json!({})).await;
        assert!(
            matches!(called, Err(McpError::Malformed(_))),
            "{path}: {called:?}"
        );
    }
}

#[tokio::test]
async fn a_redirection_to_another_place_is_blocked_and_the_token_stays() {
    let world = World::lying();
    let inner = HttpServer::start();
    for target in [
        format!("http://{}/", inner.address()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://other.example.com/".to_owned(),
    ] {
        let client = world.client(&format!("away?{target}"));
        let listed = client.tools(world.access("secret-token"));
        let error = listed.await.unwrap_err();
        assert!(matches!(error, McpError::Redirect(307)), "{error:?}");
    }
    assert_eq!(inner.connections(), 0);
    let within = format!("away?{}", world.url("honest"));
    assert!(world.client(&within).tools(world.access("")).await.is_ok());
}

#[tokio::test]
async fn a_token_that_a_server_repeats_is_blocked_however_it_writes_it() {
    let world = World::lying();
    let token = "sesame-0123456789";
    let client = world.client("echo");
    let listing = client.tools(world.access(token)).await.unwrap();
    let description = listing.tools[0].description.as_deref();
    assert_eq!(description, Some("was listed with [redacted]"));
    let never = CancellationToken::new();
    let input = object(json!({}));
    let echoed = client.call(world.access(token), "do", &input, &never).await;
    assert_eq!(text(&echoed.unwrap()), "you are [redacted]");
    let client = world.client("echo-error");
    let failed = client.call(world.access(token), "do", &input, &never).await;
    let error = failed.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server answered with an error: no, [redacted] (-32000)"
    );
    assert!(!format!("{error:?}").contains(token));
}

#[tokio::test]
async fn a_server_that_is_not_allowed_any_more_is_blocked_from_the_next_request_on() {
    let world = World::lying();
    let client = world.client("honest");
    client.tools(world.access("")).await.unwrap();
    let before = world.server.requests().len();
    let closed = World::closed();
    let access = Access {
        policy: &closed,
        token: None,
    };
    let denied = client.tools(access).await.unwrap_err();
    let McpError::Outbound(denied) = denied else {
        panic!("{denied:?}");
    };
    assert!(denied.denial().is_some(), "{denied:?}");
    assert!(matches!(denied, OutboundError::Dial(_)));
    assert_eq!(world.server.requests().len(), before);
}
