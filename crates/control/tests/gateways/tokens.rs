//! Tokens that a server does not take any more, before anybody could know.

use bailiwick_control::{McpServerConfig, NewMcpEntryRequest};
use bailiwick_mcp::{Span, Talk, View as _};
use bailiwick_testkit::{Authority, HttpsServer};
use serde_json::{Value, json};

use super::{Place, answered, call};

const NAME: &str = "mcp.example.com";

/// A gateway with one server, which takes the access token `access-0` alone until another one is asked for, and a vault with this credential.
async fn with(server: &HttpsServer, authority: &Authority, auth: Value) -> (Place, String) {
    let pin = format!("{NAME}={}", server.address());
    let place = Place::beside(authority, &pin).await;
    let dev = place.open_environment("dev").await;
    let (control, caller) = (&place.control, &place.caller);
    let object = |value: Value| value.as_object().unwrap().clone();
    let vault = object(json!({"display_name": "v"}));
    let vault = control.create_vault(caller, &vault).await.unwrap().id;
    let credential = object(json!({"auth": auth}));
    let credential = control.create_credential(caller, &vault, &credential);
    credential.await.unwrap();
    let entry = NewMcpEntryRequest {
        name: "docs".to_owned(),
        environment: dev.clone(),
        server: McpServerConfig::Remote { url: url(server) },
        vault: Some(vault),
    };
    control.create_mcp_entry(caller, entry).await.unwrap();
    let gateway = place.gateway("all", &dev, None).await.unwrap();
    (place, gateway.gateway.id.to_string())
}

fn url(server: &HttpsServer) -> String {
    format!("https://{NAME}:{}/mcp", server.address().port())
}

fn oauth(server: &HttpsServer, refresh_token: &str) -> Value {
    let endpoint = format!("https://{NAME}:{}/token", server.address().port());
    json!({
        "type": "mcp_oauth",
        "mcp_server_url": url(server),
        "access_token": "access-old",
        "refresh": {
            "client_id": "none",
            "refresh_token": refresh_token,
            "token_endpoint": endpoint,
            "token_endpoint_auth": {"type": "none"},
        },
    })
}

fn refreshes(server: &HttpsServer) -> usize {
    let all = server.requests().into_iter();
    all.filter(|request| request["path"] == "/token").count()
}

impl Place {
    async fn calls(&self, gateway: &str) -> Result<Value, String> {
        let open = self.gateways.open(&self.caller, gateway).await.unwrap();
        let view = open.view(Span::Request);
        answered(view.ask(call("docs__whoami"), &Talk::silent()).await)
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_before_its_time_is_replaced_once_and_the_call_made() {
    let authority = Authority::new();
    let server = HttpsServer::oauth(&authority, &[NAME]);
    let (place, gateway) = with(&server, &authority, oauth(&server, "refresh-0")).await;
    // All at once: the one that is replaced is replaced for all.
    let asked = tokio::join!(
        place.calls(&gateway),
        place.calls(&gateway),
        place.calls(&gateway)
    );
    for answer in [asked.0, asked.1, asked.2] {
        let answer = answer.unwrap().to_string();
        assert!(
            answer.contains("you came with Bearer [redacted]"),
            "{answer}"
        );
    }
    assert_eq!(refreshes(&server), 1);
}

#[tokio::test]
async fn a_token_that_cannot_be_replaced_is_told_and_shown_to_nobody() {
    let authority = Authority::new();
    let server = HttpsServer::oauth(&authority, &[NAME]);
    let (place, gateway) = with(&server, &authority, oauth(&server, "refresh-unknown")).await;
    let refused = place.calls(&gateway).await.unwrap_err();
    assert!(
        refused.contains("access token is not taken any more"),
        "{refused}"
    );
    assert!(!refused.contains("access-old") && !refused.contains("refresh-unknown"));

    let fixed = json!({"type": "static_bearer", "mcp_server_url": url(&server), "token": "sesame-0123456789"});
    let (place, gateway) = with(&server, &authority, fixed).await;
    let before = refreshes(&server);
    let refused = place.calls(&gateway).await.unwrap_err();
    assert!(
        refused.contains("does not take the credential (401)"),
        "{refused}"
    );
    assert_eq!(refreshes(&server), before, "there is nothing to ask for");
}
