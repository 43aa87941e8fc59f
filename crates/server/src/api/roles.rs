//! `/api/roles`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use bailiwick_control::{Control, RoleValues};
use bailiwick_model::{Permission, RoleId};
use bailiwick_store::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody};
use crate::failure::Failure;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/roles", get(list).post(create))
        .route("/roles/{id}", put(update).delete(delete))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    name: String,
    permissions: Vec<Permission>,
}

impl From<RoleBody> for RoleValues {
    fn from(body: RoleBody) -> Self {
        Self {
            name: body.name,
            permissions: body.permissions.into(),
        }
    }
}

fn shown(role: &Role) -> Value {
    json!({"id": role.id, "name": role.name, "predefined": role.predefined, "permissions": role.permissions, "version": role.version})
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    let roles: Vec<_> = control.roles(&caller).await?.iter().map(shown).collect();
    Ok(Json(json!({"data": roles})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<RoleBody>,
) -> Result<Response, Failure> {
    let made = control.create_role(&caller, body.into()).await?;
    Ok((StatusCode::CREATED, Json(shown(&made))).into_response())
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<RoleId>,
    JsonBody(body): JsonBody<RoleBody>,
) -> Result<Response, Failure> {
    let changed = control.update_role(&caller, &id, body.into()).await?;
    Ok(Json(shown(&changed)).into_response())
}

async fn delete(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<RoleId>,
) -> Result<StatusCode, Failure> {
    control.delete_role(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
