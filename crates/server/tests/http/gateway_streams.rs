//! Streams of a gateway, and whoever may not read them any more.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Server, on_both};

on_both!(a_stream_of_news_ends_with_the_key_that_opened_it);

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a message with these headers besides.
async fn say(
    server: &Server,
    key: &str,
    headers: &[(&str, &str)],
    (method, message): (Method, Option<&Value>),
) -> Response {
    let request = server.request(method, "/mcp/door").bearer_auth(key);
    let both = "application/json, text/event-stream";
    let request = request.header("accept", both);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let request = match message {
        Some(message) => request.json(message),
        None => request,
    };
    request.send().await.expect("an answer")
}

/// Whether it comes to its end in time, whatever is said until then.
async fn ends(mut stream: Response, patience: Duration) -> bool {
    let ending = async { while let Ok(Some(_)) = stream.chunk().await {} };
    timeout(patience, ending).await.is_ok()
}

/// The older revisions open it with GET, in a session; the newest one with a request.
async fn a_stream_of_news_ends_with_the_key_that_opened_it(server: Server) {
    let environments = server.get("/api/environments").await.ok();
    let gateway = json!({"name": "door", "environment_id": environments["data"][0]["id"], "access": "all_tools"});
    let gateway = server.post("/api/mcp-gateways", gateway).await;
    let keys = format!("/api/mcp-gateways/{}/keys", gateway.text("id"));
    for is_newest in [false, true] {
        let (mut streams, mut ids) = (Vec::new(), Vec::new());
        for name in ["revoked", "kept"] {
            let made = server.post(&keys, json!({"name": name})).await;
            let key = made.text("key");
            ids.push(made.text("id").to_owned());
            let stream = if is_newest {
                let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"}, "io.modelcontextprotocol/clientCapabilities": {}});
                let listen = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
                    "params": {"notifications": {"toolsListChanged": true}, "_meta": meta}});
                let headers = [
                    ("mcp-protocol-version", "2026-07-28"),
                    ("mcp-method", "subscriptions/listen"),
                ];
                say(&server, key, &headers, (Method::POST, Some(&listen))).await
            } else {
                let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}});
                let begun = say(&server, key, &[], (Method::POST, Some(&begin))).await;
                let session = begun.headers()["mcp-session-id"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                let headers = [
                    ("mcp-protocol-version", "2025-06-18"),
                    ("mcp-session-id", &*session),
                ];
                let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
                say(&server, key, &headers, (Method::POST, Some(&ready))).await;
                say(&server, key, &headers, (Method::GET, None)).await
            };
            assert_eq!(stream.status(), StatusCode::OK, "newest: {is_newest}");
            streams.push(stream);
        }
        let path = format!("{keys}/{}", ids[0]);
        let revoked = server.send(Method::DELETE, &path, None).await;
        assert!(revoked.status.is_success());
        let kept = streams.pop().unwrap();
        let revoked = streams.pop().unwrap();
        assert!(ends(revoked, PATIENCE).await, "newest: {is_newest}");
        assert!(!ends(kept, Duration::from_secs(2)).await, "the control");
    }
}
