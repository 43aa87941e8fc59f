//! Official clients.

use bailiwick_testkit::Sdk;
use serde_json::Value;

use super::World;

/// Runs a client's script beside the gateway, and reads what it printed.
async fn run(
    world: &World,
    sdk: impl FnOnce() -> Sdk + Send + 'static,
    script: &'static str,
) -> Value {
    let url = world.url();
    let running = tokio::task::spawn_blocking(move || sdk().run(script, &[&url, "ann"]));
    serde_json::from_str(running.await.unwrap().trim()).unwrap()
}

fn check(said: &Value, revision: &str) {
    assert_eq!(said["revision"], revision, "{said}");
    let has = |list: &str, name: &str| said[list].as_array().unwrap().iter().any(|it| it == name);
    assert!(has("tools", "py__add") && has("tools", "ts__add"), "{said}");
    assert!(!has("tools", "ts__grown"), "{said}");
    assert_eq!(
        (&said["added"], &said["failed"]),
        (&Value::from("5"), &Value::from(true)),
        "{said}"
    );
    assert!(has("told", "1 of 2"), "{said}");
    assert!(has("told", "ToolListChangedNotification"), "{said}");
    assert!(has("again", "ts__grown"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_of_python_is_served() {
    let world = World::official().await;
    let sdk = || Sdk::mcp_python("1.30.0");
    check(
        &run(&world, sdk, include_str!("client_1.py")).await,
        "2025-11-25",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_of_python_is_served_without_sessions() {
    let world = World::official().await;
    let sdk = || Sdk::mcp_python("2.3.0");
    check(
        &run(&world, sdk, include_str!("client_2.py")).await,
        "2026-07-28",
    );
    assert_eq!(world.gateway.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_of_typescript_is_served_without_sessions() {
    let world = World::official().await;
    let sdk = || Sdk::mcp_typescript_client("2.4.0");
    let said = run(&world, sdk, include_str!("client_2.mjs")).await;
    check(&said, "2026-07-28");
    assert_eq!(said["aborted"], true);
    world.servers[1].says("cancelled", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_of_the_older_transport_is_served() {
    let world = World::official().await;
    let sdk = || Sdk::mcp_python("1.30.0");
    let said = run(&world, sdk, include_str!("client_sse.py")).await;
    assert_eq!(said["added"], "5", "{said}");
    assert!(
        said["tools"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it == "py__add")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_of_typescript_is_served() {
    let world = World::official().await;
    let sdk = || Sdk::mcp_typescript("1.32.2");
    let said = run(&world, sdk, include_str!("client.mjs")).await;
    check(&said, "2025-11-25");
    assert_eq!(said["aborted"], true);
    world.servers[1].says("cancelled", 1).await;
    assert_eq!(world.gateway.sessions(), 0);
}
