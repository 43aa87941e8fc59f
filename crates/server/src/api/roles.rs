//! `/api/roles`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, RoleValues};
use bailiwick_model::{Permission, RoleId};
use bailiwick_store::Role;
use bailiwick_wire::Schema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::environments::version;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post, put};

pub(super) fn routes() -> Routes {
    use Permission as P;
    let list_of_roles = Schema::answer().has("data", Schema::list(shown_schema()));
    Routes::of("roles")
        .add(
            get("list", "/roles", list)
                .says("All roles.")
                .needs(P::MemberRead)
                .answers(list_of_roles),
        )
        .add(
            post("create", "/roles", create)
                .says("Makes a role, which allows nothing that the caller may not do.")
                .needs(P::RoleAdmin)
                .takes(RoleBody::schema())
                .fails(StatusCode::CONFLICT)
                .makes(shown_schema()),
        )
        .add(
            put("update", "/roles/{id}", update)
                .says("Changes a role, and with it what those may do who have it.")
                .needs(P::RoleAdmin)
                .takes_version()
                .takes(RoleBody::schema())
                .answers(shown_schema()),
        )
        .add(
            delete("delete", "/roles/{id}", remove)
                .says("Deletes a role that nobody has.")
                .needs(P::RoleAdmin)
                .fails(StatusCode::CONFLICT)
                .answers_nothing(),
        )
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

fn permissions_schema() -> Schema {
    let permissions = Permission::ALL.iter().map(|permission| permission.as_str());
    Schema::list(Schema::words(permissions).named("Permission"))
}

impl RoleBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .needs("permissions", permissions_schema())
            .example(
                json!({"name": "auditor", "permissions": ["environment:read", "audit-log:read"]}),
            )
            .named("NewRole")
    }
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<RoleId>())
        .has("name", Schema::text())
        .has("predefined", Schema::boolean())
        .has("permissions", permissions_schema())
        .has("version", Schema::version())
        .named("Role")
}

fn shown(role: &Role) -> Value {
    json!({"id": role.id, "name": role.name, "predefined": role.predefined, "permissions": role.permissions, "version": role.version})
}

fn answer(status: StatusCode, role: &Role) -> Response {
    let tag = [(ETAG, format!("\"{}\"", role.version))];
    (status, tag, Json(shown(role))).into_response()
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
    Ok(answer(StatusCode::CREATED, &made))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<RoleId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<RoleBody>,
) -> Result<Response, Failure> {
    let version = version(&headers)?;
    let changed = control.update_role(&caller, &id, body.into(), version);
    Ok(answer(StatusCode::OK, &changed.await?))
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<RoleId>,
) -> Result<StatusCode, Failure> {
    control.delete_role(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
