//! `/api/mcp-catalog`: the private registry of MCP servers.

mod body;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{CommandTransport, Control, McpEntryView, McpGateways, McpServerConfig};
use bailiwick_model::{EnvironmentId, McpCatalogEntryId, Permission, VaultId};
use bailiwick_wire::Schema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::agents::MoveParameters;
use super::environments::version;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, patch, post};
use crate::v1::cursor::{cursor, page_request};
use body::{ChangeBody, NewBody};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("mcp-catalog")
        .add(
            get("list", "/mcp-catalog", list)
                .says("MCP servers of the catalog, the newest first.")
                .needs(P::McpCatalogRead)
                .query("environment_id", Schema::id::<EnvironmentId>())
                .pages(MOST)
                .lists(shown_schema()),
        )
        .add(
            post("create", "/mcp-catalog", create)
                .says("Enters an MCP server into the catalog of an environment, whose policy has to let it be reached.")
                .needs(P::McpCatalogWrite)
                .takes(NewBody::schema())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .makes(shown_schema()),
        )
        .add(
            get("retrieve", "/mcp-catalog/{id}", retrieve)
                .says("One MCP server of the catalog.")
                .needs(P::McpCatalogRead)
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            patch("update", "/mcp-catalog/{id}", update)
                .says("Changes an MCP server of the catalog, or moves it to another environment: what is absent stays. Gateways that name it stand in the way of a move (409), or name it no more.")
                .needs(P::McpCatalogWrite)
                .query("on_conflict", Schema::words(["refuse", "detach"]))
                .takes_version()
                .takes(ChangeBody::schema())
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            delete("delete", "/mcp-catalog/{id}", remove)
                .says("Takes an MCP server out of the catalog, and out of the gateways that name it.")
                .needs(P::McpCatalogWrite)
                .answers_nothing(),
        )
        .add(
            get("tools", "/mcp-catalog/{id}/tools", tools)
                .says("The tools that the server has, as it lists them now. Where it cannot be asked, the answer says why. A self-hosted one is started for it, which needs `mcp-catalog:write`.")
                .needs(P::McpCatalogRead)
                .fails(StatusCode::BAD_GATEWAY)
                .fails(StatusCode::BAD_REQUEST)
                .answers(Schema::answer().has("data", Schema::list(Schema::any()))),
        )
        .add(
            get("state", "/mcp-catalog/{id}/state", state)
                .says("How a self-hosted server is on the server of Bailiwick that is asked, with the last of its log: what it printed, and what happened to it, the oldest first.")
                .needs(P::McpCatalogWrite)
                .fails(StatusCode::BAD_REQUEST)
                .answers(
                    Schema::answer()
                        .has("condition", Schema::words(["stopped", "starting", "running", "failed"]))
                        .has("failures", Schema::number(0..=i64::from(u32::MAX)).says("How often in a row it has failed."))
                        .has("log", Schema::list(Schema::text()))
                        .named("McpCatalogEntryState"),
                ),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    environment_id: Option<EnvironmentId>,
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<McpCatalogEntryId>())
        .has("name", Schema::text())
        .has("environment_id", Schema::id::<EnvironmentId>())
        .has("type", Schema::words(["remote", "self_hosted"]))
        .has("url", Schema::text().or_null())
        .has("vault_id", Schema::id::<VaultId>().or_null())
        .has("command", Schema::text().or_null())
        .has("args", Schema::list(Schema::text()))
        .has("variables", Schema::any())
        .has("secrets", Schema::list(body::secret_schema()))
        .has("packages", body::packages_schema())
        .has("transport", Schema::words(["stdio", "http"]).or_null())
        .has("port", Schema::number(1..=65_535).or_null())
        .has("path", Schema::text().or_null())
        .has("version", Schema::version())
        .has("created_at", Schema::moment())
        .has("updated_at", Schema::moment())
        .named("McpCatalogEntry")
}

fn shown(view: &McpEntryView) -> Value {
    let (entry, values) = (&view.entry, &view.entry.values);
    let mut shown = json!({
        "id": entry.id,
        "name": values.name,
        "environment_id": values.environment,
        "type": "remote",
        "url": null,
        "vault_id": values.vault,
        "command": null,
        "args": [],
        "variables": {},
        "secrets": [],
        "packages": {},
        "transport": null,
        "port": null,
        "path": null,
        "version": entry.version,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
    });
    match &view.server {
        McpServerConfig::Remote { url } => shown["url"] = json!(url),
        McpServerConfig::SelfHosted(server) => {
            shown["type"] = json!("self_hosted");
            shown["command"] = json!(server.command);
            shown["args"] = json!(server.args);
            shown["variables"] = json!(server.variables);
            shown["secrets"] = json!(server.secrets);
            shown["packages"] = json!(server.packages);
            match &server.transport {
                CommandTransport::Stdio => shown["transport"] = json!("stdio"),
                CommandTransport::Http { port, path } => {
                    shown["transport"] = json!("http");
                    shown["port"] = json!(port);
                    shown["path"] = json!(path);
                }
            }
        }
    }
    shown
}

fn answer(status: StatusCode, view: &McpEntryView) -> Response {
    let tag = [(ETAG, format!("\"{}\"", view.entry.version))];
    (status, tag, Json(shown(view))).into_response()
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let environment = parameters.environment_id.as_ref();
    let found = control.mcp_catalog(&caller, environment, &page).await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<NewBody>,
) -> Result<Response, Failure> {
    let made = control.create_mcp_entry(&caller, body.request()?).await?;
    Ok(answer(StatusCode::CREATED, &made))
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpCatalogEntryId>,
) -> Result<Response, Failure> {
    let found = control.mcp_entry(&caller, &id).await?;
    Ok(answer(StatusCode::OK, &found))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpCatalogEntryId>,
    Parameters(parameters): Parameters<MoveParameters>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    let change = body.change(parameters.on_conflict(), version(&headers)?)?;
    let changed = control.update_mcp_entry(&caller, &id, change).await?;
    Ok(answer(StatusCode::OK, &changed))
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpCatalogEntryId>,
) -> Result<StatusCode, Failure> {
    control.delete_mcp_entry(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tools(
    Extension(gateways): Extension<Arc<McpGateways>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpCatalogEntryId>,
) -> Result<Response, Failure> {
    let tools = gateways.mcp_entry_tools(&caller, &id).await?;
    Ok(Json(json!({"data": tools})).into_response())
}

async fn state(
    Extension(gateways): Extension<Arc<McpGateways>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<McpCatalogEntryId>,
) -> Result<Response, Failure> {
    let state = gateways.mcp_entry_state(&caller, &id).await?;
    let shown = json!({
        "condition": state.condition,
        "failures": state.failures,
        "log": state.log,
    });
    Ok(Json(shown).into_response())
}
