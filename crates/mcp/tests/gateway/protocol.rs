//! What every revision asks of a server.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;

use super::{World, names, request};

const WITH_SESSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[tokio::test]
async fn a_session_of_each_revision_that_has_them_lists_and_calls() {
    let world = World::official().await;
    for revision in WITH_SESSIONS {
        let session = world.session("ann", revision).await;
        assert_eq!(session.revision, revision);
        let listed = session.names().await;
        assert!(listed.contains(&"py__add".to_owned()) && listed.contains(&"ts__add".to_owned()));
        for server in ["py", "ts"] {
            let sum = session
                .call(&format!("{server}__add"), json!({"a": 2, "b": 3}))
                .await;
            assert_eq!(sum["result"]["content"][0]["text"], "5", "{sum}");
        }
        assert_eq!(session.ask("ping", json!({})).await["result"], json!({}));
        assert_eq!(session.send(Method::DELETE, "").await.status, 204);
        assert_eq!(
            session.post(&request(1, "ping", json!({}))).await.status,
            404
        );
    }
    assert_eq!(world.gateway.sessions(), 0);
}

#[tokio::test]
async fn a_revision_that_is_not_known_is_answered_with_the_newest_that_has_sessions() {
    let world = World::official().await;
    for asked in ["2026-07-28", "1999-01-01", "x"] {
        assert_eq!(world.session("ann", asked).await.revision, "2025-11-25");
    }
}

#[tokio::test]
async fn without_sessions_each_request_is_for_itself() {
    let world = World::official().await;
    let discovered = world.alone("ann", "server/discover", json!({})).await;
    assert!(!discovered.headers.contains_key("mcp-session-id"));
    let result = &discovered.json().await["result"];
    let all = [
        "2026-07-28",
        "2025-11-25",
        "2025-06-18",
        "2025-03-26",
        "2024-11-05",
    ];
    assert_eq!(result["supportedVersions"], json!(all));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["instructions"], "Use it.");
    let listed = world
        .alone("ann", "tools/list", json!({}))
        .await
        .json()
        .await;
    assert!(names(&listed, "tools").contains(&"ts__add".to_owned()));
    assert_eq!(listed["result"]["cacheScope"], "private");
    assert_eq!(listed["result"]["ttlMs"], 0);
    let call = json!({"name": "py__add", "arguments": {"a": 2, "b": 3}});
    let sum = world.alone("ann", "tools/call", call).await.json().await;
    assert_eq!(sum["result"]["content"][0]["text"], "5", "{sum}");
    assert_eq!(sum["result"]["resultType"], "complete");
    assert_eq!(world.gateway.sessions(), 0);
    for gone in [
        "ping",
        "initialize",
        "logging/setLevel",
        "resources/subscribe",
        "x",
    ] {
        let params = json!({"level": "info", "uri": "a:b"});
        let answer = world.alone("ann", gone, params).await;
        assert_eq!(answer.status, 404, "{gone}");
        assert_eq!(answer.json().await["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn progress_and_log_come_on_the_stream_of_their_request_before_its_result() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    for server in ["py", "ts"] {
        let params = json!({"name": format!("{server}__report"), "arguments": {}, "_meta": {"progressToken": "mine"}});
        let answer = session.post(&request(7, "tools/call", params)).await;
        assert_eq!(answer.kind(), "text/event-stream");
        let messages = answer.messages().await;
        let progress = &messages[0]["params"];
        assert_eq!(progress["progressToken"], "mine", "{messages:?}");
        assert_eq!(progress["progress"].as_f64(), Some(1.0));
        assert_eq!(progress["total"].as_f64(), Some(2.0));
        assert_eq!(messages[1]["method"], "notifications/message");
        assert_eq!(messages[1]["params"]["data"], "half of it");
        assert_eq!(messages[2]["id"], 7);
        assert_eq!(messages.len(), 3);
    }
    // Who wants errors alone, and no progress, is told neither.
    session
        .ask("logging/setLevel", json!({"level": "error"}))
        .await;
    let params = json!({"name": "ts__report", "arguments": {}});
    let answer = session.post(&request(8, "tools/call", params)).await;
    assert_eq!(answer.kind(), "application/json");
}

#[tokio::test]
async fn a_request_that_is_cancelled_ends_and_its_server_is_told() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    for (at, server) in ["py", "ts"].into_iter().enumerate() {
        let begun = Instant::now();
        let call = request(
            5,
            "tools/call",
            json!({"name": format!("{server}__wait"), "arguments": {}}),
        );
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
        let cancelling = async {
            world.servers[at].says("waiting", 1).await;
            assert_eq!(session.post(&cancel).await.status, 202);
        };
        let (answer, ()) = tokio::join!(session.post(&call), cancelling);
        assert!(answer.json().await["error"].is_object());
        world.servers[at].says("cancelled", 1).await;
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn who_hangs_up_without_a_session_has_cancelled() {
    let world = World::official().await;
    let calling = world.alone(
        "ann",
        "tools/call",
        json!({"name": "ts__wait", "arguments": {}}),
    );
    let hanging_up = world.servers[1].says("waiting", 1);
    tokio::select! {
        _ = calling => panic!("it waits for a minute"),
        () = hanging_up => {}
    }
    world.servers[1].says("cancelled", 1).await;
}

#[tokio::test]
async fn messages_come_in_lists_where_the_revision_has_that() {
    let world = World::official().await;
    let list = json!([
        request(1, "tools/call", json!({"name": "py__add", "arguments": {"a": 1, "b": 1}})),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request(2, "nothing", json!({})),
        request(3, "ping", json!({})),
    ]);
    let older = world.session("ann", "2025-03-26").await;
    let answers = older.post(&list).await.json().await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["result"]["content"][0]["text"], "2");
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(
        (&answers[2]["id"], &answers[2]["result"]),
        (&json!(3), &json!({}))
    );
    let told = json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}]);
    assert_eq!(older.post(&told).await.status, 202);
    let newer = world.session("ann", "2025-06-18").await;
    let refused = newer.post(&list).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn what_has_changed_is_told_on_the_stream_of_a_session() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    session.names().await;
    let mut stream = session.send(Method::GET, "").await;
    assert_eq!(stream.kind(), "text/event-stream");
    session.call("ts__grow", json!({})).await;
    let told = loop {
        let next = stream.next().await.expect("it stays open");
        if let Some(first) = next.into_iter().next() {
            break first;
        }
    };
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert!(session.names().await.contains(&"ts__grown".to_owned()));
    // Another stream takes the place of the one that was lost.
    let _newer = session.send(Method::GET, "").await;
    while let Some(rest) = stream.next().await {
        assert!(
            rest.iter()
                .all(|it| it["method"] == "notifications/tools/list_changed")
        );
    }
}

#[tokio::test]
async fn what_has_changed_is_told_to_whoever_asks_for_that_alone() {
    let world = World::official().await;
    world
        .alone("ann", "tools/list", json!({}))
        .await
        .json()
        .await;
    let wanted =
        json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["a:b"]}});
    let mut stream = world.alone("ann", "subscriptions/listen", wanted).await;
    let first = stream.next().await.unwrap();
    assert_eq!(
        first[0]["method"],
        "notifications/subscriptions/acknowledged"
    );
    let params = &first[0]["params"];
    assert_eq!(params["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    // No server has that resource.
    assert_eq!(params["notifications"], json!({"toolsListChanged": true}));
    let grow = json!({"name": "ts__grow", "arguments": {}});
    world.alone("ann", "tools/call", grow).await.json().await;
    let told = loop {
        let next = stream.next().await.expect("it stays open");
        if let Some(first) = next.into_iter().next() {
            break first;
        }
    };
    assert_eq!(told["method"], "notifications/tools/list_changed");
    assert_eq!(
        told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        1
    );
}

#[tokio::test]
async fn the_older_transport_is_one_stream_and_its_endpoint() {
    let world = World::official().await;
    let mut stream = world.send(Method::GET, &[], "").await;
    assert_eq!(stream.kind(), "text/event-stream");
    let first = stream.text().await.unwrap();
    let endpoint = first
        .strip_prefix("event: endpoint\ndata: ")
        .unwrap()
        .trim()
        .to_owned();
    let post = async |caller: &str, message: &serde_json::Value| {
        let headers = [("authorization", caller), ("accept", "")];
        let url = format!("{}{endpoint}", world.url());
        world
            .send_to(&url, Method::POST, &headers, message.to_string())
            .await
            .status
    };
    let begin = request(0, "initialize", json!({"protocolVersion": "2024-11-05"}));
    assert_eq!(post("Bearer bob", &begin).await, 404);
    assert_eq!(
        post("Bearer ann", &request(9, "ping", json!({}))).await,
        400
    );
    assert_eq!(post("Bearer ann", &begin).await, 202);
    let begun = stream.next().await.unwrap();
    assert_eq!(begun[0]["result"]["protocolVersion"], "2024-11-05");
    let call = request(
        1,
        "tools/call",
        json!({"name": "ts__add", "arguments": {"a": 2, "b": 3}}),
    );
    assert_eq!(post("Bearer ann", &call).await, 202);
    let answered = loop {
        let next = stream.next().await.expect("it stays open");
        if let Some(answer) = next.into_iter().find(|it| it["id"] == 1) {
            break answer;
        }
    };
    assert_eq!(answered["result"]["content"][0]["text"], "5");
    drop(stream);
    let ended = async {
        while world.gateway.sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
    ended.expect("the session ends with its stream");
}
