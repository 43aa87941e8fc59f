//! The catalog of MCP servers, and who has one of them started.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::handing_on::key;
use crate::{Server, on_both};

on_both!(who_may_only_read_the_catalog_starts_no_server_and_sees_no_log_of_one);

async fn who_may_only_read_the_catalog_starts_no_server_and_sees_no_log_of_one(server: Server) {
    let environment = json!({"name": "dev", "config": {"type": "cloud"}});
    let environment = server.post("/v1/environments", environment).await.ok();
    let here =
        json!({"name": "here", "environment_id": environment["id"], "command": "no-such-program"});
    let here = server.post("/api/mcp-catalog", here).await.ok();
    let there = json!({"name": "there", "environment_id": environment["id"], "url": "https://mcp.example.com/mcp"});
    let there = server.post("/api/mcp-catalog", there).await.ok();
    let reads = key(&server, &["mcp-catalog:read"]).await;
    let writes = key(&server, &["mcp-catalog:read", "mcp-catalog:write"]).await;
    let tools = async |key: &str, entry: &serde_json::Value| {
        let path = format!("/api/mcp-catalog/{}/tools", entry["id"].as_str().unwrap());
        server.send_as(key, Method::GET, &path, None).await.status
    };
    assert_eq!(tools(&reads, &here).await, StatusCode::FORBIDDEN);
    // What they may: one is tried, which there is not; the other cannot be had here.
    assert_eq!(tools(&writes, &here).await, StatusCode::BAD_GATEWAY);
    assert_eq!(tools(&reads, &there).await, StatusCode::BAD_GATEWAY);
    let state = format!("/api/mcp-catalog/{}/state", here["id"].as_str().unwrap());
    let state = server.send_as(&reads, Method::GET, &state, None).await;
    assert_eq!(state.status, StatusCode::FORBIDDEN);
}
