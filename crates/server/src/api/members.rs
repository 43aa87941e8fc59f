//! `/api/members`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use bailiwick_control::{Control, NewMemberRequest, Password};
use bailiwick_model::{RoleId, UserId};
use bailiwick_store::Member;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/members", get(list).post(create))
        .route("/members/{id}", get(retrieve).patch(update).delete(delete))
        .route("/members/{id}/password", put(password))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    email: String,
    name: String,
    role_id: RoleId,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    role_id: RoleId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    password: String,
}

fn shown(member: &Member) -> Value {
    json!({
        "user_id": member.user,
        "email": member.email,
        "name": member.name,
        "role_id": member.role,
        "has_password": member.has_password,
        "created_at": member.created_at,
        "disabled_at": member.disabled_at,
    })
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.members(&caller, &page).await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<NewBody>,
) -> Result<Response, Failure> {
    let request = NewMemberRequest {
        email: body.email,
        name: body.name,
        role: body.role_id,
        password: body.password.map(Password::typed),
    };
    let made = control.create_member(&caller, request).await?;
    Ok((StatusCode::CREATED, Json(shown(&made))).into_response())
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<UserId>,
) -> Result<Response, Failure> {
    Ok(Json(shown(&control.member(&caller, &id).await?)).into_response())
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<UserId>,
    JsonBody(body): JsonBody<Change>,
) -> Result<Response, Failure> {
    let changed = control.set_member_role(&caller, &id, &body.role_id).await?;
    Ok(Json(shown(&changed)).into_response())
}

async fn password(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<UserId>,
    JsonBody(body): JsonBody<PasswordBody>,
) -> Result<StatusCode, Failure> {
    control
        .set_password(&caller, &id, Password::typed(body.password))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<UserId>,
) -> Result<StatusCode, Failure> {
    control.delete_member(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
