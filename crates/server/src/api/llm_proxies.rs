//! `/api/llm-proxies`: doors of environments to model upstreams, and their virtual keys.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{
    Control, LlmProxyChange, LlmProxyConfig, LlmProxyView, NewKeyRequest, NewLlmProxyRequest,
    NewVirtualKeyRequest,
};
use bailiwick_model::limits::{APPLY_SET_CHARS, LLM_PROXY_MODELS, MODEL_PATTERN_CHARS};
use bailiwick_model::{AgentId, ApiKeyId, EnvironmentId, LlmProxyId, Permission, UserId};
use bailiwick_store::{ApiKey, KeyOwner};
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::agents::MoveParameters;
use super::environments::version;
use super::keys::{made_json, made_schema};
use super::model_upstreams::present;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, patch, post};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::of("llm-proxies").merge(proxies()).merge(keys())
}

fn proxies() -> Routes {
    use Permission as P;
    Routes::of("llm-proxies")
        .add(
            get("list", "/llm-proxies", list)
                .says("LLM proxies, the newest first.")
                .needs(P::LlmProxyRead)
                .query("environment_id", Schema::id::<EnvironmentId>())
                .pages(MOST)
                .lists(shown_schema()),
        )
        .add(
            post("create", "/llm-proxies", create)
                .says("Makes a proxy in an environment: its callers reach the organization's model upstreams as far as the environment's policy lets them.")
                .needs(P::LlmProxyWrite)
                .takes(NewBody::schema())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .makes(shown_schema()),
        )
        .add(
            get("retrieve", "/llm-proxies/{id}", retrieve)
                .says("One proxy.")
                .needs(P::LlmProxyRead)
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            patch("update", "/llm-proxies/{id}", update)
                .says("Changes a proxy, or moves it to another environment: what is absent stays. Keys of agents that are placed elsewhere stand in the way of a move (409), or are detached from them.")
                .needs(P::LlmProxyWrite)
                .query("on_conflict", Schema::words(["refuse", "detach"]))
                .takes_version()
                .takes(ChangeBody::schema())
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            delete("delete", "/llm-proxies/{id}", remove)
                .says("Deletes a proxy with its virtual keys.")
                .needs(P::LlmProxyWrite)
                .answers_nothing(),
        )
}

fn keys() -> Routes {
    use Permission as P;
    Routes::of("llm-proxies")
        .add(
            get("list_keys", "/llm-proxies/{id}/keys", list_keys)
                .says("The virtual keys of a proxy, the newest first.")
                .needs(P::LlmProxyRead)
                .pages(MOST)
                .lists(key_schema()),
        )
        .add(
            post("create_key", "/llm-proxies/{id}/keys", create_key)
                .says("Makes a key that opens this proxy and nothing else. It is shown this once.")
                .needs(P::LlmProxyWrite)
                .besides(&[P::LlmProxyUse])
                .takes(KeyBody::schema())
                .fails(StatusCode::CONFLICT)
                .makes(made_schema()),
        )
        .add(
            delete("delete_key", "/llm-proxies/{id}/keys/{key_id}", revoke_key)
                .says("Revokes a virtual key at once.")
                .needs(P::LlmProxyWrite)
                .answers_nothing(),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    environment_id: EnvironmentId,
    #[serde(default)]
    models: Vec<String>,
    apply_set: Option<String>,
}

/// What is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    environment_id: Option<EnvironmentId>,
    models: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    apply_set: Option<Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    name: String,
    expires_at: Option<Timestamp>,
    user_id: Option<UserId>,
    agent_id: Option<AgentId>,
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

/// Names of models, or their beginnings.
pub(super) fn models(most: usize) -> Schema {
    let model = Schema::chars(1..=MODEL_PATTERN_CHARS);
    Schema::list_of(0..=most, model)
        .says("Models by name, or by the beginning of it and `*`; all if none is named.")
}

/// What `bailiwick apply` marks what it makes with, where there is no metadata.
pub(super) fn apply_set() -> Schema {
    Schema::chars(1..=APPLY_SET_CHARS).says("The set of `bailiwick apply` that it belongs to.")
}

impl NewBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .needs("environment_id", Schema::id::<EnvironmentId>())
            .may("models", models(LLM_PROXY_MODELS))
            .may_be("apply_set", apply_set())
            .example(json!({"name": "dev", "environment_id": "env_1111111111111111111111", "models": ["claude-*"]}))
            .named("NewLlmProxy")
    }
}

impl ChangeBody {
    fn schema() -> Schema {
        Schema::object()
            .may("name", Schema::name())
            .may("environment_id", Schema::id::<EnvironmentId>())
            .may("models", models(LLM_PROXY_MODELS))
            .may_be("apply_set", apply_set())
            .example(json!({"models": ["claude-*"]}))
            .named("LlmProxyChange")
    }
}

impl KeyBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .may_be("expires_at", Schema::moment().says("A time to come."))
            .may_be(
                "user_id",
                Schema::id::<UserId>().says("What is spent with it counts for this user."),
            )
            .may_be(
                "agent_id",
                Schema::id::<AgentId>().says("What is spent with it counts for this agent."),
            )
            .example(json!({"name": "ci"}))
            .named("NewVirtualKey")
    }
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<LlmProxyId>())
        .has("name", Schema::text())
        .has("environment_id", Schema::id::<EnvironmentId>())
        .has("models", Schema::list(Schema::text()))
        .has("apply_set", apply_set().or_null())
        .has("version", Schema::version())
        .has("created_at", Schema::moment())
        .has("updated_at", Schema::moment())
        .named("LlmProxy")
}

fn key_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<ApiKeyId>())
        .has("name", Schema::text())
        .has("shown", Schema::text().says("How the key begins."))
        .has("user_id", Schema::id::<UserId>().or_null())
        .has("agent_id", Schema::id::<AgentId>().or_null())
        .has("created_at", Schema::moment())
        .has("expires_at", Schema::moment().or_null())
        .has("revoked_at", Schema::moment().or_null())
        .named("VirtualKey")
}

fn shown(view: &LlmProxyView) -> Value {
    let values = &view.proxy.values;
    json!({
        "id": view.proxy.id,
        "name": values.name,
        "environment_id": values.environment,
        "models": view.config.models,
        "apply_set": view.config.apply_set,
        "version": view.proxy.version,
        "created_at": view.proxy.created_at,
        "updated_at": view.proxy.updated_at,
    })
}

fn key(key: &ApiKey) -> Value {
    let (user, agent) = match &key.owner {
        KeyOwner::LlmProxy(opens) => (opens.user.as_ref(), opens.agent.as_ref()),
        KeyOwner::User(_)
        | KeyOwner::ServiceAccount(_)
        | KeyOwner::Environment(_)
        | KeyOwner::McpGateway(_) => (None, None),
    };
    json!({
        "id": key.id,
        "name": key.name,
        "shown": key.shown,
        "user_id": user,
        "agent_id": agent,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}

fn answer(status: StatusCode, view: &LlmProxyView) -> Response {
    let tag = [(ETAG, format!("\"{}\"", view.proxy.version))];
    (status, tag, Json(shown(view))).into_response()
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let environment = parameters.environment_id.as_ref();
    let found = control.llm_proxies(&caller, environment, &page).await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<NewBody>,
) -> Result<Response, Failure> {
    let request = NewLlmProxyRequest {
        name: body.name,
        environment: body.environment_id,
        config: LlmProxyConfig {
            models: body.models,
            apply_set: body.apply_set,
        },
    };
    let made = control.create_llm_proxy(&caller, request).await?;
    Ok(answer(StatusCode::CREATED, &made))
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LlmProxyId>,
) -> Result<Response, Failure> {
    let found = control.llm_proxy(&caller, &id).await?;
    Ok(answer(StatusCode::OK, &found))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LlmProxyId>,
    Parameters(parameters): Parameters<MoveParameters>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    let change = LlmProxyChange {
        name: body.name,
        environment: body.environment_id,
        models: body.models,
        apply_set: body.apply_set,
        on_conflict: parameters.on_conflict(),
        version: version(&headers)?,
    };
    let changed = control.update_llm_proxy(&caller, &id, change).await?;
    Ok(answer(StatusCode::OK, &changed))
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LlmProxyId>,
) -> Result<StatusCode, Failure> {
    control.delete_llm_proxy(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_keys(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LlmProxyId>,
    Parameters(parameters): Parameters<KeyParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.virtual_keys(&caller, &id, &page).await?;
    let data: Vec<_> = found.items.iter().map(key).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create_key(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LlmProxyId>,
    JsonBody(body): JsonBody<KeyBody>,
) -> Result<Response, Failure> {
    let request = NewVirtualKeyRequest {
        key: NewKeyRequest {
            name: body.name,
            expires_at: body.expires_at,
        },
        user: body.user_id,
        agent: body.agent_id,
    };
    let made = control.create_virtual_key(&caller, &id, request).await?;
    Ok((StatusCode::CREATED, Json(made_json(&made))).into_response())
}

async fn revoke_key(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(id, key): IdsOf<LlmProxyId, ApiKeyId>,
) -> Result<StatusCode, Failure> {
    control.revoke_virtual_key(&caller, &id, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
