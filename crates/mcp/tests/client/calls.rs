//! Calls of tools.

use std::time::{Duration, Instant};

use bailiwick_mcp::{Content, McpError};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{World, names, object, text};

#[tokio::test]
async fn calls_reach_servers_of_the_official_sdks_in_one_session() {
    for world in World::officials("") {
        let client = world.client("mcp");
        let sum = world
            .call(&client, "add", json!({"a": 2, "b": 3}))
            .await
            .unwrap();
        assert_eq!((text(&sum), sum.is_error), ("5", false));
        for count in 1..=3 {
            let counted = world.call(&client, "count", json!({})).await.unwrap();
            assert_eq!(text(&counted), format!("call {count}"));
        }
        let report = world.call(&client, "report", json!({})).await.unwrap();
        assert_eq!(text(&report), "all of it");
        let picture = world.call(&client, "picture", json!({})).await.unwrap();
        let Content::Image { media_type, .. } = &picture.content[0] else {
            panic!("{picture:?}");
        };
        assert_eq!(media_type, "image/png");
        let failed = world.call(&client, "fail", json!({})).await.unwrap();
        assert!(failed.is_error && text(&failed).contains("it is broken"));
        let wrong = world.call(&client, "add", json!({"a": "x"})).await.unwrap();
        assert!(wrong.is_error);
    }
}

#[tokio::test]
async fn calls_run_side_by_side_in_one_session() {
    for world in World::officials("") {
        let client = world.client("mcp");
        let calls = (0..5).map(|_| world.call(&client, "count", json!({})));
        let mut counted = Vec::new();
        for called in join_all(calls).await {
            counted.push(text(&called.unwrap()).to_owned());
        }
        counted.sort();
        assert_eq!(counted, ["call 1", "call 2", "call 3", "call 4", "call 5"]);
        let begun = world.server.requests().into_iter();
        let begun = begun.filter(|request| request["session"].is_null());
        assert_eq!(begun.count(), 1);
    }
}

#[tokio::test]
async fn a_call_that_is_interrupted_is_cancelled_at_the_server() {
    for world in World::officials("") {
        let client = world.client("mcp");
        let cancel = CancellationToken::new();
        let input = object(json!({}));
        let calling = client.call(world.access(""), "wait", &input, &cancel);
        let interrupting = async {
            world.server.says("waiting", 1).await;
            cancel.cancel();
        };
        let begun = Instant::now();
        let (called, ()) = tokio::join!(calling, interrupting);
        assert!(matches!(called, Err(McpError::Cancelled)), "{called:?}");
        assert!(called.unwrap_err().may_have_happened());
        assert!(begun.elapsed() < Duration::from_secs(30));
        world.server.says("cancelled", 1).await;
        // The session goes on.
        let counted = world.call(&client, "count", json!({})).await.unwrap();
        assert_eq!(text(&counted), "call 1");
    }
}

#[tokio::test]
async fn a_server_that_has_other_tools_says_so() {
    let world = World::lying();
    let client = world.client("rug");
    client.tools(world.access("")).await.unwrap();
    assert!(!client.has_changed());
    world
        .call(&client, "do", json!({"text": "it"}))
        .await
        .unwrap();
    assert!(client.has_changed());
    client.tools(world.access("")).await.unwrap();
    assert!(!client.has_changed());
    for official in World::officials("") {
        let client = official.client("mcp");
        official.call(&client, "grow", json!({})).await.unwrap();
        let listing = client.tools(official.access("")).await.unwrap();
        assert!(names(&listing).contains(&"grown"));
    }
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_begun_anew_and_the_call_made_once() {
    let world = World::lying();
    let client = world.client("forgets");
    client.tools(world.access("")).await.unwrap();
    for _ in 0..2 {
        world.call(&client, "do", json!({})).await.unwrap();
    }
    let methods = world.methods();
    let begun = methods.iter().filter(|method| *method == "initialize");
    assert_eq!(begun.count(), 2);
    // The one that came with the forgotten session was not run.
    let calls = methods.iter().filter(|method| *method == "tools/call");
    assert_eq!(calls.count(), 3);
    let gone = world
        .call(&world.client("forgetful"), "do", json!({}))
        .await;
    assert!(matches!(gone, Err(McpError::SessionGone)), "{gone:?}");
}

#[tokio::test]
async fn a_stream_that_broke_off_is_resumed_where_it_was_and_never_begun_again() {
    let world = World::lying();
    let done = world
        .call(&world.client("resumes"), "do", json!({"text": "it"}))
        .await;
    assert_eq!(text(&done.unwrap()), "do did it as call 1");
    let mut calls = 1;
    for path in ["cut", "gone", "keeps-cutting"] {
        let cut = world.call(&world.client(path), "do", json!({})).await;
        let cut = cut.unwrap_err();
        assert!(
            matches!(cut, McpError::Cut) && cut.may_have_happened(),
            "{path}: {cut:?}"
        );
        calls += 1;
    }
    let methods = world.methods();
    let called = methods.iter().filter(|method| *method == "tools/call");
    assert_eq!(called.count(), calls);
    assert!(methods.iter().any(|method| method == "GET"));
}

#[tokio::test]
async fn a_server_that_asks_something_itself_is_told_that_nobody_answers() {
    let world = World::lying();
    let done = world
        .call(&world.client("asks"), "do", json!({"text": "it"}))
        .await;
    assert_eq!(text(&done.unwrap()), "do did it as call 1");
}

#[tokio::test]
async fn a_server_of_the_revision_without_sessions_is_spoken_to_in_its_way() {
    let world = World::lying();
    let client = world.client("modern");
    assert_eq!(
        names(&client.tools(world.access("")).await.unwrap()),
        ["do"]
    );
    let done = world.call(&client, "do", json!({})).await.unwrap();
    assert_eq!(text(&done), "done");
    let begun = world.methods().into_iter();
    assert_eq!(begun.filter(|method| method == "initialize").count(), 1);
    let asks = world
        .call(&world.client("modern-asks"), "do", json!({}))
        .await;
    assert!(matches!(asks, Err(McpError::Malformed(_))), "{asks:?}");
}

#[tokio::test]
async fn a_session_is_ended_when_nobody_needs_it() {
    let world = World::lying();
    let client = world.client("honest");
    client.end(world.access("")).await;
    assert!(world.methods().is_empty());
    client.tools(world.access("")).await.unwrap();
    client.end(world.access("")).await;
    assert_eq!(world.methods().last().unwrap(), "DELETE");
}

/// All of them, at once.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<_> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
