//! Several servers as one.

use bailiwick_mcp::Naming;
use bailiwick_testkit::{Authority, McpServer};
use serde_json::json;

use super::World;

/// Two of the suite's servers, which have everything by the same names.
async fn twins() -> World {
    let behind = vec![
        ("one", McpServer::conformance(), "mcp"),
        ("two", McpServer::conformance(), "mcp"),
    ];
    World::of(&Authority::new(), "http", behind, Naming::Joined).await
}

#[tokio::test]
async fn tools_and_prompts_of_two_servers_never_have_one_name() {
    let world = twins().await;
    let session = world.session("ann", "2025-11-25").await;
    let tools = session.names().await;
    let of = |server: &str| tools.iter().filter(|name| name.starts_with(server)).count();
    assert_eq!(of("one__"), of("two__"));
    assert_eq!(of("one__") + of("two__"), tools.len());
    let prompts = session.ask("prompts/list", json!({})).await;
    assert_eq!(prompts["result"]["prompts"].as_array().unwrap().len(), 8);
    let params =
        json!({"name": "two__test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}});
    let prompt = session.ask("prompts/get", params).await;
    let text = &prompt["result"]["messages"][0]["content"]["text"];
    assert_eq!(text, "Prompt with arguments: arg1='a', arg2='b'");
    let unknown = session
        .ask("prompts/get", json!({"name": "three__x"}))
        .await;
    assert_eq!(unknown["error"]["code"], -32602);
}

#[tokio::test]
async fn resources_keep_their_uris_unless_two_servers_have_the_same() {
    let world = twins().await;
    let session = world.session("ann", "2025-11-25").await;
    let listed = session.ask("resources/list", json!({})).await;
    let listed = listed["result"]["resources"].as_array().unwrap();
    let uris: Vec<_> = listed
        .iter()
        .map(|it| it["uri"].as_str().unwrap())
        .collect();
    assert!(uris.contains(&"test://static-text"));
    assert!(uris.contains(&"mcp-server:two:test://static-text"));
    for uri in [
        "test://static-text",
        "mcp-server:two:test://static-text",
        "mcp-server:one:test://static-text",
    ] {
        let read = session.ask("resources/read", json!({"uri": uri})).await;
        let content = &read["result"]["contents"][0];
        assert_eq!(content["uri"], uri, "{read}");
        assert_eq!(
            content["text"],
            "This is the content of the static text resource."
        );
    }
    let made = session
        .ask("resources/read", json!({"uri": "test://template/7/data"}))
        .await;
    assert!(
        made["result"]["contents"][0]["text"]
            .as_str()
            .unwrap()
            .contains("ID: 7")
    );
    let gone = session
        .ask("resources/read", json!({"uri": "other://x"}))
        .await;
    assert_eq!(gone["error"]["code"], -32002);
    let params = json!({
        "ref": {"type": "ref/resource", "uri": "test://template/{id}/data"},
        "argument": {"name": "id", "value": "1"},
    });
    let completed = session.ask("completion/complete", params).await;
    assert!(completed["result"]["completion"].is_object(), "{completed}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_hides_no_other() {
    let authority = Authority::new();
    let good = McpServer::official(&authority, &["good.example.com"], "");
    let bad = McpServer::lying(&authority, &["bad.example.com"]);
    let behind = vec![("bad", bad, "deep-list"), ("good", good, "mcp")];
    let world = World::of(&authority, "https", behind, Naming::Joined).await;
    let session = world.session("ann", "2025-11-25").await;
    let listed = session.ask("tools/list", json!({})).await;
    let tools = super::names(&listed, "tools");
    assert!(tools.iter().all(|name| name.starts_with("good__")) && !tools.is_empty());
    let missing = &listed["result"]["_meta"]["bailiwick/missing"];
    assert_eq!(missing[0]["server"], "bad", "{listed}");
}

#[tokio::test]
async fn a_server_of_the_revision_without_sessions_is_served_to_clients_of_each() {
    let world = World::lying("modern").await;
    let session = world.session("ann", "2025-03-26").await;
    assert_eq!(session.names().await, ["lie__do"]);
    let called = session.call("lie__do", json!({})).await;
    assert_eq!(called["result"]["content"][0]["text"], "done", "{called}");
    let call = json!({"name": "lie__do", "arguments": {}});
    let alone = world.alone("ann", "tools/call", call).await.json().await;
    assert_eq!(alone["result"]["content"][0]["text"], "done", "{alone}");
}

#[tokio::test]
async fn servers_of_the_older_transport_are_served() {
    let authority = Authority::new();
    let python = McpServer::official(&authority, &["py.example.com"], "");
    let typescript = McpServer::official_typescript(&authority, &["ts.example.com"], "");
    let lying = McpServer::lying(&authority, &["lie.example.com"]);
    let behind = vec![
        ("py", python, "sse"),
        ("ts", typescript, "sse"),
        ("lie", lying, "old-asks"),
    ];
    let world = World::of(&authority, "https", behind, Naming::Joined).await;
    let session = world.session("ann", "2025-11-25").await;
    for server in ["py", "ts"] {
        let sum = session
            .call(&format!("{server}__add"), json!({"a": 2, "b": 3}))
            .await;
        assert_eq!(sum["result"]["content"][0]["text"], "5", "{sum}");
        let params = json!({"name": format!("{server}__report"), "arguments": {}, "_meta": {"progressToken": 7}});
        let messages = session
            .post(&super::request(2, "tools/call", params))
            .await
            .messages()
            .await;
        assert_eq!(messages[0]["params"]["progressToken"], 7, "{messages:?}");
    }
    let done = session.call("lie__do", json!({})).await;
    assert_eq!(
        done["result"]["content"][0]["text"], "done for [redacted]",
        "{done}"
    );
}

#[tokio::test]
async fn a_stream_that_broke_off_is_resumed_where_it_was_and_never_begun_again() {
    let world = World::lying("resumes").await;
    let session = world.session("ann", "2025-11-25").await;
    let done = session.call("lie__do", json!({"text": "it"})).await;
    assert_eq!(
        done["result"]["content"][0]["text"], "do did it as call 1",
        "{done}"
    );
    for path in ["cut", "gone", "keeps-cutting"] {
        let world = World::lying(path).await;
        let session = world.session("ann", "2025-11-25").await;
        let cut = session.call("lie__do", json!({"text": "it"})).await;
        assert_eq!(
            cut["error"]["message"], "the server lie: the answer broke off",
            "{path}: {cut}"
        );
        let methods = world.servers[0].requests();
        let calls = methods
            .iter()
            .filter(|request| request["method"] == "tools/call");
        assert_eq!(calls.count(), 1);
    }
}

#[tokio::test]
async fn a_session_that_a_server_forgot_is_begun_anew_and_the_call_made_once() {
    let world = World::lying("forgets").await;
    let session = world.session("ann", "2025-11-25").await;
    for _ in 0..3 {
        let done = session.call("lie__do", json!({})).await;
        assert!(done["result"].is_object(), "{done}");
    }
    let requests = world.servers[0].requests();
    let begun = requests
        .iter()
        .filter(|request| request["method"] == "initialize");
    assert_eq!(begun.count(), 2);
}
