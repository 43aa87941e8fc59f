//! `/v1/sessions/{id}/resources`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bailiwick_control::Control;
use bailiwick_model::{SessionId, SessionResourceId};
use bailiwick_store::{PageRequest, SessionResource};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cursor::{cursor, page_request};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonObject, Parameters};
use crate::failure::Failure;
use crate::session_json::WireSessionResource;

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/sessions/{id}/resources", get(list).post(add))
        .route(
            "/sessions/{id}/resources/{resource}",
            get(retrieve).post(update).delete(delete),
        )
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireSessionResource<'a>>,
    next_page: Option<String>,
}

fn shown(resource: &SessionResource) -> Result<Response, Failure> {
    Ok(Json(WireSessionResource::of(resource)?).into_response())
}

/// A session has few enough to be read all at once; they are in the order in which it got them.
async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let limit = parameters.limit.unwrap_or(MOST);
    let page: PageRequest<i64> = page_request(Some(limit), MOST, parameters.page.as_deref())?;
    let resources = control.session_resources(&caller, &id).await?;
    let rest = match &page.before {
        None => resources.as_slice(),
        Some(last) => {
            let first = resources.partition_point(|one| one.position <= *last);
            &resources[first..]
        }
    };
    let shown = &rest[..rest.len().min(page.limit as usize)];
    let last = shown.last().filter(|_| shown.len() < rest.len());
    let data = shown.iter().map(WireSessionResource::of);
    let list = List {
        data: data.collect::<Result<_, _>>()?,
        next_page: cursor(last.map(|last| last.position).as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn add(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.add_session_resource(&caller, &id, &body).await?)
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(session, id): IdsOf<SessionId, SessionResourceId>,
) -> Result<Response, Failure> {
    shown(&control.session_resource(&caller, &session, &id).await?)
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(session, id): IdsOf<SessionId, SessionResourceId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let rotated = control.rotate_session_resource(&caller, &session, &id, &body);
    shown(&rotated.await?)
}

async fn delete(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(session, id): IdsOf<SessionId, SessionResourceId>,
) -> Result<Response, Failure> {
    control
        .delete_session_resource(&caller, &session, &id)
        .await?;
    Ok(Json(json!({"id": id, "type": "session_resource_deleted"})).into_response())
}
