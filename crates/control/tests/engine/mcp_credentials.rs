//! Credentials of vaults for MCP servers: bearer tokens, and OAuth tokens that are refreshed.

use bailiwick_model::{CredentialId, VaultId};
use bailiwick_testkit::{Authority, HttpsServer, McpServer, ModelStep};
use serde_json::{Value, json};

use super::mcp::{NAME, World, calls};
use super::{message, object, of_kind, stop_reason};

#[tokio::test]
async fn a_bearer_token_of_a_vault_is_added_and_seen_by_nobody_else() {
    let token = "sesame-0123456789";
    let world = World::official(token, calls([("whoami", json!({}))]), "always_allow").await;
    let (vault, credential) = world
        .vault(json!({"type": "static_bearer", "token": token}))
        .await;
    let engine = world.place.start();
    let (session, events) = world.goes_with(&vault).await;
    assert_eq!(World::<McpServer>::results(&events), ["Bearer [redacted]"]);
    assert!(!json!(events).to_string().contains(token));
    assert!(!json!(world.place.model.asked()).to_string().contains(token));
    // A rotation reaches the session that runs: this server takes the old one alone.
    let (control, caller) = (&world.place.control, &world.place.caller);
    let body = object(json!({"auth": {"type": "static_bearer", "token": "another-one"}}));
    control
        .update_credential(caller, &vault, &credential, &body)
        .await
        .unwrap();
    world.place.model.append(calls([("whoami", json!({}))]));
    world.place.send(&session, json!([message("Again.")])).await;
    let events = world
        .place
        .happened(&session, "session.status_idle", 2)
        .await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "mcp_authentication_failed_error");
    assert_eq!(error["mcp_server_name"], "docs");
    assert_eq!(error["retry_status"], json!({"type": "exhausted"}));
    let body = object(json!({"auth": {"type": "static_bearer", "token": token}}));
    control
        .update_credential(caller, &vault, &credential, &body)
        .await
        .unwrap();
    world.place.model.append(calls([("whoami", json!({}))]));
    world
        .place
        .send(&session, json!([message("Once more.")]))
        .await;
    let events = world
        .place
        .happened(&session, "session.status_idle", 3)
        .await;
    assert_eq!(
        *World::<McpServer>::results(&events).last().unwrap(),
        "Bearer [redacted]"
    );
    engine.stop().await;
}

/// An OAuth server whose access token is `access-0`, and a credential with the token that is given.
async fn oauth(
    access_token: &str,
    more: Value,
    steps: Vec<ModelStep>,
) -> (World<HttpsServer>, VaultId, CredentialId) {
    let authority = Authority::new();
    let server = HttpsServer::oauth(&authority, &[NAME]);
    let port = server.address().port();
    let world = World::with(&authority, server, port, "mcp", steps, "always_allow").await;
    let endpoint = format!("https://{NAME}:{port}/token");
    let mut auth = json!({"type": "mcp_oauth", "access_token": access_token,
        "refresh": {"client_id": "none", "refresh_token": "refresh-0", "token_endpoint": endpoint, "token_endpoint_auth": {"type": "none"}}});
    auth.as_object_mut().unwrap().extend(object(more));
    let (vault, credential) = world.vault(auth).await;
    (world, vault, credential)
}

fn refreshes(server: &HttpsServer) -> usize {
    let all = server.requests().into_iter();
    all.filter(|request| request["path"] == "/token").count()
}

#[tokio::test]
async fn an_access_token_that_is_not_taken_is_refreshed_once_and_the_call_made() {
    let (world, vault, _) = oauth("access-old", json!({}), calls([("whoami", json!({}))])).await;
    let engine = world.place.start();
    let (_, events) = world.goes_with(&vault).await;
    assert_eq!(
        World::<HttpsServer>::results(&events),
        ["you came with Bearer [redacted]"]
    );
    assert_eq!(refreshes(&world.server), 1);
    assert!(of_kind(&events, "session.error").is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn an_access_token_is_replaced_before_it_is_over() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(30);
    let more = json!({"expires_at": soon});
    let (world, vault, _) = oauth("access-0", more, calls([("whoami", json!({}))])).await;
    let engine = world.place.start();
    let (_, events) = world.goes_with(&vault).await;
    assert_eq!(
        World::<HttpsServer>::results(&events),
        ["you came with Bearer [redacted]"]
    );
    assert_eq!(refreshes(&world.server), 1);
    let tokens = world.server.requests().into_iter();
    let mut tokens = tokens.filter(|request| request["path"] == "/mcp");
    assert!(tokens.all(
        |request| request["headers"]["authorization"] == "Bearer access-1"
            || request["headers"]["Authorization"] == "Bearer access-1"
    ));
    engine.stop().await;
}

#[tokio::test]
async fn a_refresh_that_fails_is_told_and_the_session_goes_on() {
    let steps = vec![ModelStep::text("Without.")];
    let (world, vault, _) = oauth("access-old", json!({}), steps).await;
    // Somebody else used it.
    let (control, caller) = (&world.place.control, &world.place.caller);
    let body = object(
        json!({"auth": {"type": "mcp_oauth", "refresh": {"refresh_token": "refresh-unknown"}}}),
    );
    let credential = control
        .credentials(caller, &vault, &super::page(), false)
        .await
        .unwrap()
        .items
        .remove(0);
    control
        .update_credential(caller, &vault, &credential.id, &body)
        .await
        .unwrap();
    let engine = world.place.start();
    let (_, events) = world.goes_with(&vault).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "mcp_authentication_failed_error");
    assert!(!error.to_string().contains("refresh-unknown"), "{error}");
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    engine.stop().await;
}
