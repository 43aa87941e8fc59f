//! `/v1/agents`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bailiwick_control::Control;
use bailiwick_model::AgentId;
use bailiwick_store::{Agent, AgentFilter};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cursor::{cursor, page_request};
use crate::agent_json::WireAgent;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonObject, Parameters};
use crate::failure::Failure;

/// The most of a page.
const MOST: u32 = 100;

/// Agents are archived and never deleted: sessions refer to their versions.
pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/agents", get(list).post(create))
        .route("/agents/{id}", get(retrieve).post(update))
        .route("/agents/{id}/archive", post(archive))
        .route("/agents/{id}/versions", get(versions))
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    #[serde(default)]
    include_archived: bool,
    #[serde(rename = "created_at[gte]")]
    created_from: Option<Timestamp>,
    #[serde(rename = "created_at[lte]")]
    created_until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct VersionsParameters {
    limit: Option<u32>,
    page: Option<String>,
}

#[derive(Deserialize)]
struct RetrieveParameters {
    version: Option<i32>,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireAgent<'a>>,
    next_page: Option<String>,
}

fn shown(agent: &Agent) -> Result<Response, Failure> {
    Ok(Json(WireAgent::of(agent)?).into_response())
}

fn listed(agents: &[Agent], next_page: Option<String>) -> Result<Response, Failure> {
    let data = agents.iter().map(WireAgent::of).collect::<Result<_, _>>()?;
    Ok(Json(List { data, next_page }).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.create_agent(&caller, &body).await?)
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<AgentId>,
    Parameters(parameters): Parameters<RetrieveParameters>,
) -> Result<Response, Failure> {
    let version = parameters.version.map(i64::from);
    if version.is_some_and(|version| version < 1) {
        return Err(Failure::Parameter {
            field: "version",
            message: "is a number from 1 on".to_owned(),
        });
    }
    shown(&control.agent(&caller, &id, version).await?)
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let filter = AgentFilter {
        with_archived: parameters.include_archived,
        created_from: parameters.created_from,
        created_until: parameters.created_until,
        environment: None,
    };
    let found = control.agents(&caller, &page, &filter).await?;
    listed(&found.items, cursor(found.next.as_ref()))
}

async fn versions(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<AgentId>,
    Parameters(parameters): Parameters<VersionsParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.agent_versions(&caller, &id, &page).await?;
    listed(&found.items, cursor(found.next.as_ref()))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<AgentId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.update_agent(&caller, &id, &body).await?)
}

async fn archive(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<AgentId>,
) -> Result<Response, Failure> {
    shown(&control.archive_agent(&caller, &id).await?)
}
