//! `/api/keys`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, MadeKey, NewKeyRequest};
use bailiwick_model::{ApiKeyId, Permission};
use bailiwick_store::{ApiKey, KeyOwner};
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::of("keys")
        .add(
            get("list", "/keys", list)
                .says("Keys, the newest first: all for who has `key:admin`, else one's own.")
                .needs(Permission::KeyWrite)
                .pages(MOST)
                .lists(shown_schema()),
        )
        .add(
            post("create", "/keys", create)
                .says("Makes a key of whoever asks, who may do with it what they may do. It is shown this once.")
                .needs(Permission::KeyWrite)
                .takes(KeyBody::schema())
                .makes(made_schema()),
        )
        .add(
            delete("delete", "/keys/{id}", revoke)
                .says("Revokes a key at once. Another's needs `key:admin`.")
                .needs(Permission::KeyWrite)
                .answers_nothing(),
        )
}

/// A key to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyBody {
    pub(super) name: String,
    #[serde(default)]
    pub(super) expires_at: Option<Timestamp>,
}

impl KeyBody {
    pub(super) fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .may_be("expires_at", Schema::moment().says("A time to come."))
            .example(json!({"name": "ci"}))
            .named("NewKey")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
}

/// A key, the one time that it is seen.
pub(super) fn made_json(made: &MadeKey) -> Value {
    json!({"id": made.id, "key": made.key, "expires_at": made.expires_at})
}

pub(super) fn made_schema() -> Schema {
    let key = Schema::text().says("The key, the one time that it is seen.");
    Schema::answer()
        .has("id", Schema::id::<ApiKeyId>())
        .has("key", key)
        .has("expires_at", Schema::moment().or_null())
        .named("MadeKey")
}

fn shown_schema() -> Schema {
    let owner = Schema::answer()
        .has(
            "kind",
            Schema::words([
                "user",
                "service_account",
                "environment",
                "llm_proxy",
                "mcp_gateway",
            ]),
        )
        .has("id", Schema::text());
    Schema::answer()
        .has("id", Schema::id::<ApiKeyId>())
        .has("owner", owner)
        .has("name", Schema::text())
        .has("shown", Schema::text().says("How the key begins."))
        .has("created_at", Schema::moment())
        .has("expires_at", Schema::moment().or_null())
        .has("revoked_at", Schema::moment().or_null())
        .named("Key")
}

fn shown(key: &ApiKey) -> Value {
    let kind = match &key.owner {
        KeyOwner::User(_) => "user",
        KeyOwner::ServiceAccount(_) => "service_account",
        KeyOwner::Environment(_) => "environment",
        KeyOwner::LlmProxy(_) => "llm_proxy",
        KeyOwner::McpGateway(_) => "mcp_gateway",
    };
    json!({
        "id": key.id,
        "owner": {"kind": kind, "id": key.owner.id()},
        "name": key.name,
        "shown": key.shown,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<KeyBody>,
) -> Result<Response, Failure> {
    let request = NewKeyRequest {
        name: body.name,
        expires_at: body.expires_at,
    };
    let made = control.create_key(&caller, request).await?;
    Ok((StatusCode::CREATED, Json(made_json(&made))).into_response())
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.keys(&caller, &page).await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn revoke(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<ApiKeyId>,
) -> Result<StatusCode, Failure> {
    control.revoke_key(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
