//! `/api/mcp-connections`: credentials of MCP servers that people get by signing in there.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, GivenClient, NewConnectionRequest};
use bailiwick_model::limits::{
    CLIENT_ID_CHARS, CLIENT_SECRET_CHARS, CREDENTIAL_URL_CHARS, DISPLAY_NAME_CHARS,
    OAUTH_SCOPE_CHARS,
};
use bailiwick_model::{CredentialId, McpConnectionId, Permission, SecretText, VaultId};
use bailiwick_wire::{Schema, example_id};
use serde::Deserialize;
use serde_json::json;

use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody};
use crate::failure::Failure;
use crate::operation::{Routes, post};

pub(super) fn routes() -> Routes {
    Routes::of("mcp-connections")
        .add(
            post("create", "/mcp-connections", create)
                .says("Finds the authorization server of an MCP server, and says where a person goes who would sign in there.")
                .needs(Permission::VaultWrite)
                .takes(NewBody::schema())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .fails(StatusCode::BAD_GATEWAY)
                .makes(begun_schema()),
        )
        .add(
            post("finish", "/mcp-connections/{id}/finish", finish)
                .says("Puts the tokens into the vault, for who began and has come back.")
                .needs(Permission::VaultWrite)
                .takes(FinishBody::schema())
                .fails(StatusCode::CONFLICT)
                .fails(StatusCode::BAD_GATEWAY)
                .makes(finished_schema()),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    vault_id: VaultId,
    url: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
    name: Option<String>,
    #[serde(default)]
    replace: bool,
}

impl NewBody {
    fn schema() -> Schema {
        let client = "Who the server is there; without it it registers itself.";
        let secret = Schema::chars(1..=CLIENT_SECRET_CHARS).with("writeOnly", json!(true));
        let replace =
            "Whether it takes the place of a credential that the vault has for the server.";
        Schema::object()
            .needs("vault_id", Schema::id::<VaultId>())
            .needs(
                "url",
                Schema::chars(1..=CREDENTIAL_URL_CHARS).says("The MCP server."),
            )
            .may_be("client_id", Schema::chars(1..=CLIENT_ID_CHARS).says(client))
            .may_be("client_secret", secret)
            .may_be("scope", Schema::chars(1..=OAUTH_SCOPE_CHARS))
            .may_be("name", Schema::chars(1..=DISPLAY_NAME_CHARS))
            .may("replace", Schema::boolean().says(replace))
            .example(
                json!({"vault_id": example_id::<VaultId>(), "url": "https://mcp.example.com/mcp"}),
            )
            .named("NewMcpConnection")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FinishBody {
    confirmation: String,
}

impl FinishBody {
    fn schema() -> Schema {
        let shown = "What the page showed that the browser came to in the end.";
        Schema::object()
            .needs("confirmation", Schema::text().says(shown))
            .example(json!({"confirmation": "K7QF-93XM"}))
            .named("McpConnectionConfirmation")
    }
}

fn begun_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<McpConnectionId>())
        .has(
            "authorize_url",
            Schema::text().says("Where a browser goes."),
        )
        .has("issuer", Schema::text().says("The authorization server."))
        .has("expires_at", Schema::moment())
        .named("McpConnection")
}

fn finished_schema() -> Schema {
    Schema::answer()
        .has("vault_id", Schema::id::<VaultId>())
        .has("credential_id", Schema::id::<CredentialId>())
        .named("ConnectedCredential")
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<NewBody>,
) -> Result<Response, Failure> {
    let secret = body.client_secret.map(SecretText::new);
    let request = NewConnectionRequest {
        vault: body.vault_id,
        url: body.url,
        client: body.client_id.map(|id| GivenClient { id, secret }),
        scope: body.scope,
        display_name: body.name,
        replaces: body.replace,
    };
    let begun = control.begin_mcp_connection(&caller, request).await?;
    let begun = json!({
        "id": begun.id,
        "authorize_url": begun.authorize_url,
        "issuer": begun.issuer,
        "expires_at": begun.expires_at,
    });
    Ok((StatusCode::CREATED, Json(begun)).into_response())
}

async fn finish(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpConnectionId>,
    JsonBody(body): JsonBody<FinishBody>,
) -> Result<Response, Failure> {
    let finished = control.finish_mcp_connection(&caller, &id, &body.confirmation);
    let credential = finished.await?;
    let made = json!({"vault_id": credential.vault, "credential_id": credential.id});
    Ok((StatusCode::CREATED, Json(made)).into_response())
}
