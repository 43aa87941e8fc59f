//! `/v1/sessions/{id}/resources`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::Control;
use bailiwick_model::{Permission, SessionId, SessionResourceId};
use bailiwick_store::{PageRequest, SessionResource};
use bailiwick_wire::FileMount;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cursor::{cursor, page_request};
use super::deleted_schema;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonObject, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post};
use crate::session_json::WireSessionResource;

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    use Permission as P;
    const ONE: &str = "/sessions/{id}/resources/{resource}";
    let deleted = deleted_schema::<SessionResourceId>("session_resource_deleted");
    Routes::of("session-resources")
        .add(
            get("list", "/sessions/{id}/resources", list)
                .says("What a session has, in the order in which it got it.")
                .needs(P::SessionRead)
                .pages_of(MOST, MOST)
                .lists(WireSessionResource::schema()),
        )
        .add(
            post("add", "/sessions/{id}/resources", add)
                .says("Gives a session a copy of a file.")
                .needs(P::SessionWrite)
                .besides(&[P::FileRead])
                .takes(FileMount::add_schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireSessionResource::schema()),
        )
        .add(
            get("retrieve", ONE, retrieve)
                .says("One thing that a session has.")
                .needs(P::SessionRead)
                .answers(WireSessionResource::schema()),
        )
        .add(
            post("update", ONE, update)
                .says("Gives a repository of a session another token.")
                .needs(P::SessionWrite)
                .takes(FileMount::rotate_schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireSessionResource::schema()),
        )
        .add(
            delete("delete", ONE, remove)
                .says(
                    "Takes something from a session, with its copy of the file or with its token.",
                )
                .needs(P::SessionWrite)
                .fails(StatusCode::BAD_REQUEST)
                .fails(StatusCode::CONFLICT)
                .answers(deleted),
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

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(session, id): IdsOf<SessionId, SessionResourceId>,
) -> Result<Response, Failure> {
    control
        .delete_session_resource(&caller, &session, &id)
        .await?;
    Ok(Json(json!({"id": id, "type": "session_resource_deleted"})).into_response())
}
