//! `/v1/environments`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, EnvironmentChange, EnvironmentView, NewEnvironmentRequest};
use bailiwick_model::{EnvironmentId, Permission};
use bailiwick_wire::EnvironmentBody;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cursor::{cursor, page_request};
use super::deleted_schema;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonObject, Parameters};
use crate::environment_json::WireEnvironment;
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    use Permission as P;
    let deleted = deleted_schema::<EnvironmentId>("environment_deleted");
    Routes::of("environments")
        .add(
            get("list", "/environments", list)
                .says("Environments, the newest first.")
                .needs(P::EnvironmentRead)
                .pages(MOST)
                .takes_archived()
                .lists(WireEnvironment::schema()),
        )
        .add(
            post("create", "/environments", create)
                .says("Makes an environment.")
                .needs(P::EnvironmentAdmin)
                .takes(EnvironmentBody::create_schema().named("NewEnvironment"))
                .fails(StatusCode::CONFLICT)
                .answers(WireEnvironment::schema()),
        )
        .add(
            get("retrieve", "/environments/{id}", retrieve)
                .says("One environment.")
                .needs(P::EnvironmentRead)
                .answers(WireEnvironment::schema()),
        )
        .add(
            post("update", "/environments/{id}", update)
                .says("Changes an environment: what is absent stays.")
                .needs(P::EnvironmentAdmin)
                .takes(EnvironmentBody::update_schema().named("EnvironmentChange"))
                .fails(StatusCode::CONFLICT)
                .answers(WireEnvironment::schema()),
        )
        .add(
            delete("delete", "/environments/{id}", remove)
                .says("Deletes an environment that nothing refers to.")
                .needs(P::EnvironmentAdmin)
                .fails(StatusCode::CONFLICT)
                .answers(deleted),
        )
        .add(
            post("archive", "/environments/{id}/archive", archive)
                .says("Makes an environment read-only, and its name free.")
                .needs(P::EnvironmentAdmin)
                .fails(StatusCode::CONFLICT)
                .answers(WireEnvironment::schema()),
        )
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    #[serde(default)]
    include_archived: bool,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireEnvironment<'a>>,
    next_page: Option<String>,
}

fn shown(view: &EnvironmentView) -> Result<Response, Failure> {
    Ok(Json(WireEnvironment::of(view)?).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let request = NewEnvironmentRequest {
        body,
        ..NewEnvironmentRequest::default()
    };
    shown(&control.create_environment(&caller, request).await?)
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    shown(&control.environment(&caller, &id).await?)
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control
        .environments(&caller, &page, parameters.include_archived)
        .await?;
    let list = List {
        data: found
            .items
            .iter()
            .map(WireEnvironment::of)
            .collect::<Result<_, _>>()?,
        next_page: cursor(found.next.as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let change = EnvironmentChange {
        body,
        ..EnvironmentChange::default()
    };
    shown(&control.update_environment(&caller, &id, change).await?)
}

async fn archive(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    shown(&control.archive_environment(&caller, &id).await?)
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    control.delete_environment(&caller, &id).await?;
    Ok(Json(json!({"id": id, "type": "environment_deleted"})).into_response())
}
