//! What a server says without being asked.

use std::time::Duration;

use bailiwick_mcp::{Access, Listening, McpError};
use bailiwick_model::limits::OUTBOUND_TIME;
use serde_json::{Value, json};

use super::World;

const SHORT: Duration = Duration::from_millis(200);
/// Longer than the pause before a stream is asked for again.
const LONG: Duration = Duration::from_secs(5);

/// What came along with each request for news.
fn asked(world: &World) -> Vec<Value> {
    let all = world.server.requests().into_iter();
    let news = all.filter(|request| request["method"] == "GET");
    news.map(|request| request["last"].clone()).collect()
}

#[tokio::test]
async fn servers_of_the_official_sdks_say_that_they_have_other_tools() {
    for world in World::officials("") {
        let client = world.client("mcp");
        client.tools(world.access("")).await.unwrap();
        assert!(!client.has_changed());
        let listening = client.listen(world.access(""), SHORT).await.unwrap();
        assert_eq!(listening, Listening::GoesOn);
        world.call(&client, "grow", json!({})).await.unwrap();
        let listening = client.listen(world.access(""), SHORT).await.unwrap();
        assert_eq!(listening, Listening::GoesOn);
        assert!(client.has_changed());
        let gets = world.server.requests().into_iter();
        let gets = gets.filter(|request| request["method"] == "GET");
        assert_eq!(gets.count(), 1, "the stream was kept");
    }
}

#[tokio::test]
async fn news_go_on_where_they_broke_off() {
    let world = World::lying();
    let client = world.client("news");
    client.tools(world.access("")).await.unwrap();
    let listening = client.listen(world.access(""), LONG).await.unwrap();
    assert_eq!(listening, Listening::GoesOn);
    assert_eq!(asked(&world), [Value::Null, json!("n1")]);
    assert!(client.has_changed());
}

#[tokio::test]
async fn what_may_have_been_missed_counts_as_a_change() {
    let world = World::lying();
    let client = world.client("news-without-ids");
    client.tools(world.access("")).await.unwrap();
    client.listen(world.access(""), SHORT).await.unwrap();
    assert!(!client.has_changed(), "nothing was missed yet");
    client.listen(world.access(""), LONG).await.unwrap();
    assert!(asked(&world).len() > 1);
    assert!(client.has_changed());
}

#[tokio::test]
async fn a_server_without_news_is_asked_once() {
    let world = World::lying();
    let client = world.client("honest");
    let listening = client.listen(world.access(""), SHORT).await.unwrap();
    assert_eq!(listening, Listening::IsOver, "nothing has begun");
    client.tools(world.access("")).await.unwrap();
    assert!(!client.has_no_news());
    let listening = client.listen(world.access(""), SHORT).await.unwrap();
    assert_eq!(listening, Listening::IsOver);
    assert!(client.has_no_news() && !client.has_changed());
    assert_eq!(asked(&world).len(), 1);
}

#[tokio::test]
async fn a_session_that_is_over_is_begun_anew_by_the_next_use() {
    let world = World::lying();
    let client = world.client("news-forgets");
    client.tools(world.access("")).await.unwrap();
    let listening = client.listen(world.access(""), LONG).await.unwrap();
    assert_eq!(listening, Listening::IsOver);
    assert_eq!(asked(&world).len(), 2);
    assert!(client.has_changed());
    client.tools(world.access("")).await.unwrap();
    let methods = world.methods().into_iter();
    assert_eq!(methods.filter(|method| method == "initialize").count(), 2);
}

#[tokio::test]
async fn a_session_goes_on_at_a_server_that_does_not_know_what_news_are() {
    let world = World::lying();
    let client = world.client("news-none");
    client.tools(world.access("")).await.unwrap();
    let listening = client.listen(world.access(""), SHORT).await.unwrap();
    assert_eq!(listening, Listening::IsOver);
    assert!(client.has_no_news() && !client.has_changed());
    client.tools(world.access("")).await.unwrap();
    let methods = world.methods().into_iter();
    assert_eq!(methods.filter(|method| method == "initialize").count(), 1);
}

#[tokio::test]
async fn a_server_that_never_ends_to_say_no_is_not_listened_to() {
    let world = World::lying();
    let client = world.client("news-silent-error");
    client.tools(world.access("")).await.unwrap();
    let listening = client.listen(world.access(""), SHORT);
    let listening = tokio::time::timeout(OUTBOUND_TIME + LONG, listening).await;
    assert_eq!(listening.unwrap().unwrap(), Listening::IsOver);
}

#[tokio::test]
async fn a_change_is_one_until_the_tools_were_listed() {
    let world = World::lying();
    let client = world.hasty("rug-slow-list");
    world.call(&client, "do", json!({})).await.unwrap();
    assert!(client.has_changed());
    let listed = client.tools(world.access("")).await;
    assert!(matches!(listed, Err(McpError::Timeout)), "{listed:?}");
    assert!(client.has_changed());
}

#[tokio::test]
async fn what_a_server_asks_among_its_news_is_answered() {
    let world = World::lying();
    let client = world.client("news-asks");
    client.tools(world.access("")).await.unwrap();
    client.listen(world.access(""), LONG).await.unwrap();
    // It says so once it has its answer.
    assert!(client.has_changed());
    let mut all = world.server.requests().into_iter();
    assert!(all.any(|request| request["method"] == ""));
}

#[tokio::test]
async fn news_of_a_server_that_is_not_allowed_any_more_are_blocked() {
    let world = World::official("");
    let client = world.client("mcp");
    client.tools(world.access("")).await.unwrap();
    client.listen(world.access(""), SHORT).await.unwrap();
    let before = world.server.requests().len();
    let closed = World::closed();
    let access = Access {
        policy: &closed,
        token: None,
    };
    let denied = client.listen(access, SHORT).await.unwrap_err();
    assert!(
        matches!(&denied, McpError::Outbound(error) if error.denial().is_some()),
        "{denied:?}"
    );
    assert_eq!(world.server.requests().len(), before);
    // The stream is not the one from before, either, once it may be read again.
    client.listen(world.access(""), LONG).await.unwrap();
    assert!(world.server.requests().len() > before);
}

#[tokio::test]
async fn news_are_asked_for_with_the_token_of_the_moment() {
    let world = World::lying();
    let client = world.client("news");
    client.tools(world.access("one")).await.unwrap();
    client.listen(world.access("one"), LONG).await.unwrap();
    let before = asked(&world).len();
    client.listen(world.access("one"), SHORT).await.unwrap();
    assert_eq!(asked(&world).len(), before);
    client.listen(world.access("other"), SHORT).await.unwrap();
    assert_eq!(asked(&world).len(), before + 1);
}
