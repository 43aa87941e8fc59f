//! `/api/mcp-gateways`: doors of environments to MCP servers, and their virtual keys.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{
    AssignedServer, Control, McpGatewayAccess, McpGatewayChange, McpGatewayConfig,
    McpGatewayNaming, McpGatewayView, NewKeyRequest, NewMcpGatewayRequest,
};
use bailiwick_model::limits::{
    MCP_ASSIGNED_TOOL_CHARS, MCP_ASSIGNED_TOOLS, MCP_ENTRIES_OF_ENVIRONMENT,
    MCP_GATEWAY_INSTRUCTIONS_CHARS, MCP_GATEWAY_TITLE_CHARS,
};
use bailiwick_model::{ApiKeyId, EnvironmentId, McpCatalogEntryId, McpGatewayId, Permission};
use bailiwick_store::ApiKey;
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::agents::MoveParameters;
use super::environments::version;
use super::keys::{made_json, made_schema};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, patch, post};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page: the servers of each are read with it.
const MOST: u32 = 100;
/// The most keys of a page.
const MOST_KEYS: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::of("mcp-gateways").merge(gateways()).merge(keys())
}

fn gateways() -> Routes {
    use Permission as P;
    Routes::of("mcp-gateways")
        .add(
            get("list", "/mcp-gateways", list)
                .says("MCP gateways, the newest first.")
                .needs(P::McpGatewayRead)
                .query("environment_id", Schema::id::<EnvironmentId>())
                .pages(MOST)
                .lists(shown_schema()),
        )
        .add(
            post("create", "/mcp-gateways", create)
                .says("Makes a gateway in an environment: its callers use the MCP servers of that environment that it names, or all of them.")
                .needs(P::McpGatewayWrite)
                .takes(NewBody::schema())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .makes(shown_schema()),
        )
        .add(
            get("retrieve", "/mcp-gateways/{id}", retrieve)
                .says("One gateway.")
                .needs(P::McpGatewayRead)
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            patch("update", "/mcp-gateways/{id}", update)
                .says("Changes a gateway, or moves it to another environment: what is absent stays. MCP servers elsewhere that it names stand in the way (409), or are named no more.")
                .needs(P::McpGatewayWrite)
                .query("on_conflict", Schema::words(["refuse", "detach"]))
                .takes_version()
                .takes(ChangeBody::schema())
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            delete("delete", "/mcp-gateways/{id}", remove)
                .says("Deletes a gateway with its virtual keys.")
                .needs(P::McpGatewayWrite)
                .answers_nothing(),
        )
}

fn keys() -> Routes {
    use Permission as P;
    Routes::of("mcp-gateways")
        .add(
            get("list_keys", "/mcp-gateways/{id}/keys", list_keys)
                .says("The virtual keys of a gateway, the newest first.")
                .needs(P::McpGatewayRead)
                .pages(MOST_KEYS)
                .lists(key_schema()),
        )
        .add(
            post("create_key", "/mcp-gateways/{id}/keys", create_key)
                .says(
                    "Makes a key that opens this gateway and nothing else. It is shown this once.",
                )
                .needs(P::McpGatewayWrite)
                .besides(&[P::McpGatewayUse])
                .takes(KeyBody::schema())
                .makes(made_schema()),
        )
        .add(
            delete("delete_key", "/mcp-gateways/{id}/keys/{key_id}", revoke_key)
                .says("Revokes a virtual key at once.")
                .needs(P::McpGatewayWrite)
                .answers_nothing(),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    environment_id: EnvironmentId,
    #[serde(default)]
    access: McpGatewayAccess,
    #[serde(default)]
    naming: McpGatewayNaming,
    title: Option<String>,
    instructions: Option<String>,
    #[serde(default)]
    entries: Vec<AssignedServer>,
}

/// What is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    environment_id: Option<EnvironmentId>,
    access: Option<McpGatewayAccess>,
    naming: Option<McpGatewayNaming>,
    #[serde(default, deserialize_with = "present")]
    title: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    instructions: Option<Option<String>>,
    entries: Option<Vec<AssignedServer>>,
}

/// `null` is a value of its own.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    name: String,
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    environment_id: Option<EnvironmentId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyParameters {
    limit: Option<u32>,
    page: Option<String>,
}

fn access() -> Schema {
    Schema::words(["explicit", "all_tools"])
        .says("The servers in `entries`, or all of the environment, also those that come later.")
}

fn naming() -> Schema {
    Schema::words(["joined", "own"])
        .says("`server__tool`, or, with a single server, what that calls its tools.")
}

fn title() -> Schema {
    Schema::chars(0..=MCP_GATEWAY_TITLE_CHARS).says("What clients show people.")
}

fn instructions() -> Schema {
    Schema::chars(0..=MCP_GATEWAY_INSTRUCTIONS_CHARS).says("What models are told of the gateway.")
}

fn entries() -> Schema {
    let tool = Schema::chars(0..=MCP_ASSIGNED_TOOL_CHARS);
    let tools = Schema::list_of(0..=MCP_ASSIGNED_TOOLS, tool)
        .says("Of its tools, these, and neither its resources nor its prompts; all it has if there is no list.");
    let entry = Schema::object()
        .needs("entry_id", Schema::id::<McpCatalogEntryId>())
        .may_be("tools", tools)
        .named("AssignedMcpServer");
    Schema::list_of(0..=MCP_ENTRIES_OF_ENVIRONMENT, entry)
}

impl NewBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .needs("environment_id", Schema::id::<EnvironmentId>())
            .may("access", access())
            .may("naming", naming())
            .may_be("title", title())
            .may_be("instructions", instructions())
            .may("entries", entries())
            .example(json!({"name": "dev", "environment_id": "env_1111111111111111111111", "access": "all_tools"}))
            .named("NewMcpGateway")
    }
}

impl ChangeBody {
    fn schema() -> Schema {
        Schema::object()
            .may("name", Schema::name())
            .may("environment_id", Schema::id::<EnvironmentId>())
            .may("access", access())
            .may("naming", naming())
            .may_be("title", title())
            .may_be("instructions", instructions())
            .may("entries", entries())
            .example(json!({"access": "all_tools"}))
            .named("McpGatewayChange")
    }
}

impl KeyBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .may_be("expires_at", Schema::moment().says("A time to come."))
            .example(json!({"name": "ci"}))
            .named("NewMcpGatewayKey")
    }
}

fn shown_schema() -> Schema {
    let entry = Schema::answer()
        .has("entry_id", Schema::id::<McpCatalogEntryId>())
        .has("tools", Schema::list(Schema::text()).or_null())
        .named("AssignedMcpServerShown");
    Schema::answer()
        .has("id", Schema::id::<McpGatewayId>())
        .has("name", Schema::text())
        .has("environment_id", Schema::id::<EnvironmentId>())
        .has("access", access())
        .has("naming", naming())
        .has("title", Schema::text().or_null())
        .has("instructions", Schema::text().or_null())
        .has("entries", Schema::list(entry))
        .has("version", Schema::version())
        .has("created_at", Schema::moment())
        .has("updated_at", Schema::moment())
        .named("McpGateway")
}

fn key_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<ApiKeyId>())
        .has("name", Schema::text())
        .has("shown", Schema::text().says("How the key begins."))
        .has("created_at", Schema::moment())
        .has("expires_at", Schema::moment().or_null())
        .has("revoked_at", Schema::moment().or_null())
        .named("McpGatewayKey")
}

fn shown(view: &McpGatewayView) -> Value {
    let (gateway, config) = (&view.gateway, &view.config);
    json!({
        "id": gateway.id,
        "name": gateway.values.name,
        "environment_id": gateway.values.environment,
        "access": config.access,
        "naming": config.naming,
        "title": config.title,
        "instructions": config.instructions,
        "entries": view.entries,
        "version": gateway.version,
        "created_at": gateway.created_at,
        "updated_at": gateway.updated_at,
    })
}

fn key(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "shown": key.shown,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}

fn answer(status: StatusCode, view: &McpGatewayView) -> Response {
    let tag = [(ETAG, format!("\"{}\"", view.gateway.version))];
    (status, tag, Json(shown(view))).into_response()
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let environment = parameters.environment_id.as_ref();
    let found = control.mcp_gateways(&caller, environment, &page).await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<NewBody>,
) -> Result<Response, Failure> {
    let request = NewMcpGatewayRequest {
        name: body.name,
        environment: body.environment_id,
        config: McpGatewayConfig {
            access: body.access,
            naming: body.naming,
            title: body.title,
            instructions: body.instructions,
        },
        entries: body.entries,
    };
    let made = control.create_mcp_gateway(&caller, request).await?;
    Ok(answer(StatusCode::CREATED, &made))
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpGatewayId>,
) -> Result<Response, Failure> {
    let found = control.mcp_gateway(&caller, &id).await?;
    Ok(answer(StatusCode::OK, &found))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpGatewayId>,
    Parameters(parameters): Parameters<MoveParameters>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    let change = McpGatewayChange {
        name: body.name,
        environment: body.environment_id,
        access: body.access,
        naming: body.naming,
        title: body.title,
        instructions: body.instructions,
        entries: body.entries,
        on_conflict: parameters.on_conflict(),
        version: version(&headers)?,
    };
    let changed = control.update_mcp_gateway(&caller, &id, change).await?;
    Ok(answer(StatusCode::OK, &changed))
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpGatewayId>,
) -> Result<StatusCode, Failure> {
    control.delete_mcp_gateway(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_keys(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpGatewayId>,
    Parameters(parameters): Parameters<KeyParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST_KEYS, parameters.page.as_deref())?;
    let found = control.gateway_keys(&caller, &id, &page).await?;
    let data: Vec<_> = found.items.iter().map(key).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create_key(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpGatewayId>,
    JsonBody(body): JsonBody<KeyBody>,
) -> Result<Response, Failure> {
    let request = NewKeyRequest {
        name: body.name,
        expires_at: body.expires_at,
    };
    let made = control.create_gateway_key(&caller, &id, request).await?;
    Ok((StatusCode::CREATED, Json(made_json(&made))).into_response())
}

async fn revoke_key(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(id, key): IdsOf<McpGatewayId, ApiKeyId>,
) -> Result<StatusCode, Failure> {
    control.revoke_gateway_key(&caller, &id, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
