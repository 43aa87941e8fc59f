//! The older transport: a stream, and an endpoint that it names.

use std::time::Duration;

use bailiwick_mcp::{Access, Listening, McpError};
use bailiwick_testkit::HttpServer;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{World, names, object, text};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn calls_reach_servers_of_the_official_sdks_by_their_older_transport() {
    for world in World::officials("") {
        let client = world.client("sse");
        let listing = client.tools(world.access("")).await.unwrap();
        assert!(names(&listing).contains(&"add"));
        let sum = world.call(&client, "add", json!({"a": 2, "b": 3}));
        assert_eq!(text(&sum.await.unwrap()), "5");
        for count in 1..=3 {
            let counted = world.call(&client, "count", json!({})).await.unwrap();
            assert_eq!(text(&counted), format!("call {count}"));
        }
        let failed = world.call(&client, "fail", json!({})).await.unwrap();
        assert!(failed.is_error && text(&failed).contains("it is broken"));
        let report = world.call(&client, "report", json!({})).await.unwrap();
        assert_eq!(text(&report), "all of it");
        let streams = world.server.requests().into_iter();
        let streams = streams.filter(|request| request["method"] == "GET");
        assert_eq!(streams.count(), 1);
    }
}

#[tokio::test]
async fn calls_run_side_by_side_on_one_stream() {
    let world = World::official("");
    let client = world.client("sse");
    client.tools(world.access("")).await.unwrap();
    let (one, two, three) = tokio::join!(
        world.call(&client, "add", json!({"a": 1, "b": 1})),
        world.call(&client, "add", json!({"a": 2, "b": 2})),
        world.call(&client, "add", json!({"a": 3, "b": 3})),
    );
    let sums = [one, two, three].map(|sum| text(&sum.unwrap()).to_owned());
    assert_eq!(sums, ["2", "4", "6"]);
}

#[tokio::test]
async fn a_call_that_is_interrupted_is_cancelled_at_a_server_of_the_older_transport() {
    for world in World::officials("") {
        let client = world.client("sse");
        let (cancel, input) = (CancellationToken::new(), object(json!({})));
        let calling = client.call(world.access(""), "wait", &input, &cancel);
        let interrupting = async {
            world.server.says("waiting", 1).await;
            cancel.cancel();
        };
        let (called, ()) = tokio::join!(calling, interrupting);
        assert!(matches!(called, Err(McpError::Cancelled)), "{called:?}");
        world.server.says("cancelled", 1).await;
        let counted = world.call(&client, "count", json!({})).await.unwrap();
        assert_eq!(text(&counted), "call 1");
    }
}

#[tokio::test]
async fn other_tools_are_told_on_the_stream_of_the_older_transport() {
    for world in World::officials("") {
        let client = world.client("sse");
        client.tools(world.access("")).await.unwrap();
        assert!(!client.has_changed());
        world.call(&client, "grow", json!({})).await.unwrap();
        let listening = client.listen(world.access(""), SHORT).await.unwrap();
        assert_eq!(listening, Listening::GoesOn);
        assert!(client.has_changed());
        let listing = client.tools(world.access("")).await.unwrap();
        assert!(names(&listing).contains(&"grown"));
    }
}

#[tokio::test]
async fn a_token_goes_to_the_endpoint_too_and_comes_back_from_nobody() {
    let token = "sesame-0123456789";
    let (never, input) = (CancellationToken::new(), object(json!({})));
    for world in World::officials(token) {
        let client = world.client("sse");
        let called = client.call(world.access(token), "whoami", &input, &never);
        assert_eq!(text(&called.await.unwrap()), "Bearer [redacted]");
        let refused = client.call(world.access("wrong"), "whoami", &input, &never);
        let refused = refused.await;
        assert!(
            matches!(refused, Err(McpError::Unauthorized)),
            "{refused:?}"
        );
    }
    let world = World::lying();
    let client = world.client("old");
    let called = client.call(world.access(token), "do", &input, &never);
    assert_eq!(text(&called.await.unwrap()), "done for [redacted]");
    // Another token is another stream.
    let other = client.call(world.access("another-token"), "do", &input, &never);
    assert_eq!(text(&other.await.unwrap()), "done for [redacted]");
    let methods = world.methods().into_iter();
    assert_eq!(methods.filter(|method| method == "GET").count(), 2);
}

#[tokio::test]
async fn an_endpoint_of_another_origin_is_blocked_and_nothing_is_sent_there() {
    let world = World::lying();
    let inner = HttpServer::start();
    for target in [
        format!("http://{}/", inner.address()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://other.example.com/".to_owned(),
        "//other.example.com/".to_owned(),
    ] {
        let client = world.client(&format!("old-away?{target}"));
        let error = client
            .tools(world.access("secret-token"))
            .await
            .unwrap_err();
        assert!(matches!(error, McpError::Endpoint), "{target}: {error:?}");
        assert!(!error.may_have_happened());
    }
    assert_eq!(inner.connections(), 0);
    let honest = world.client("old").tools(world.access("")).await;
    assert_eq!(names(&honest.unwrap()), ["do"]);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_told_and_the_call_is_not_made_again() {
    let world = World::lying();
    let client = world.client("old-cut");
    let cut = world.call(&client, "do", json!({})).await.unwrap_err();
    assert!(
        matches!(cut, McpError::Cut) && cut.may_have_happened(),
        "{cut:?}"
    );
    let calls = world.methods().into_iter();
    assert_eq!(calls.filter(|method| method == "tools/call").count(), 1);
    // The next use begins anew.
    assert!(!client.has_changed());
    client.tools(world.access("")).await.unwrap();
    assert!(client.has_changed());
}

#[tokio::test]
async fn a_stream_that_the_server_forgot_is_opened_anew_and_the_call_made_once() {
    let world = World::lying();
    let done = world.call(&world.client("old-gone"), "do", json!({})).await;
    assert!(text(&done.unwrap()).starts_with("done"));
    let methods = world.methods();
    let count = |wanted: &str| methods.iter().filter(|method| *method == wanted).count();
    // What came to the forgotten stream was not run.
    assert_eq!((count("GET"), count("tools/call")), (2, 2));
}

#[tokio::test]
async fn a_stream_that_says_too_much_is_blocked() {
    let world = World::lying();
    let called = world
        .call(&world.client("old-endless"), "do", json!({}))
        .await;
    assert!(matches!(called, Err(McpError::Cut)), "{called:?}");
    let silent = world.list("old-silent").await;
    assert!(matches!(silent, Err(McpError::Timeout)), "{silent:?}");
}

#[tokio::test]
async fn what_a_server_of_the_older_transport_asks_is_answered() {
    let world = World::lying();
    let done = world.call(&world.client("old-asks"), "do", json!({})).await;
    assert!(text(&done.unwrap()).starts_with("done"));
    let client = world.client("old-rug");
    world.call(&client, "do", json!({})).await.unwrap();
    assert!(client.has_changed());
}

#[tokio::test]
async fn a_stream_of_a_server_that_is_not_allowed_any_more_is_blocked() {
    let world = World::lying();
    let client = world.client("old");
    client.tools(world.access("")).await.unwrap();
    let before = world.server.requests().len();
    let closed = World::closed();
    let access = Access {
        policy: &closed,
        token: None,
    };
    let listening = client.listen(access, SHORT).await.unwrap();
    assert_eq!(listening, Listening::IsOver);
    let denied = client.tools(access).await.unwrap_err();
    assert!(
        matches!(&denied, McpError::Outbound(error) if error.denial().is_some()),
        "{denied:?}"
    );
    assert_eq!(world.server.requests().len(), before);
    client.tools(world.access("")).await.unwrap();
    let streams = world.methods().into_iter();
    assert_eq!(streams.filter(|method| method == "GET").count(), 2);
}
