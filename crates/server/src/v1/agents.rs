//! `/v1/agents`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::Control;
use bailiwick_model::{AgentId, Permission};
use bailiwick_store::{Agent, AgentFilter};
use bailiwick_wire::{AgentBody, Schema};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cursor::{cursor, page_request};
use crate::agent_json::WireAgent;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonObject, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, get, post};

/// The most of a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("agents")
        .add(
            get("list", "/agents", list)
                .says("Agents, the newest first.")
                .needs(P::AgentRead)
                .pages(MOST)
                .takes_archived()
                .query("created_at[gte]", Schema::moment())
                .query("created_at[lte]", Schema::moment())
                .lists(WireAgent::schema()),
        )
        .add(
            post("create", "/agents", create)
                .says("Makes an agent, at version 1.")
                .needs(P::AgentWrite)
                .takes(AgentBody::create_schema())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .answers(WireAgent::schema()),
        )
        .add(
            get("retrieve", "/agents/{id}", retrieve)
                .says("One agent, at its latest version or another.")
                .needs(P::AgentRead)
                .query("version", Schema::positive())
                .answers(WireAgent::schema()),
        )
        .add(
            post("update", "/agents/{id}", update)
                .says("Writes another version of an agent: what is absent stays.")
                .needs(P::AgentWrite)
                .takes(AgentBody::update_schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireAgent::schema()),
        )
        .add(
            post("archive", "/agents/{id}/archive", archive)
                .says("Makes an agent read-only. It is never deleted: sessions refer to its versions.")
                .needs(P::AgentWrite)
                .fails(StatusCode::CONFLICT)
                .answers(WireAgent::schema()),
        )
        .add(
            get("versions", "/agents/{id}/versions", versions)
                .says("The versions of an agent, the newest first.")
                .needs(P::AgentRead)
                .pages(MOST)
                .lists(WireAgent::schema()),
        )
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
