//! `/api/members`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, NewMemberRequest, Password};
use bailiwick_model::limits::{EMAIL_BYTES, PASSWORD_BYTES, PASSWORD_LEAST_CHARS};
use bailiwick_model::{Permission, RoleId, UserId};
use bailiwick_store::Member;
use bailiwick_wire::{Schema, example_id};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, patch, post, put};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("members")
        .add(
            get("list", "/members", list)
                .says("Members, the newest user first.")
                .needs(P::MemberRead)
                .pages(MOST)
                .lists(shown_schema()),
        )
        .add(
            post("create", "/members", create)
                .says("Makes a user and a member of them, with a role that allows nothing that the caller may not do.")
                .needs(P::MemberAdmin)
                .takes(NewBody::schema())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .makes(shown_schema()),
        )
        .add(
            get("retrieve", "/members/{id}", retrieve)
                .says("One member.")
                .needs(P::MemberRead)
                .answers(shown_schema()),
        )
        .add(
            patch("update", "/members/{id}", update)
                .says("Gives a member another role. There is always somebody who administers.")
                .needs(P::MemberAdmin)
                .takes(Change::schema())
                .fails(StatusCode::CONFLICT)
                .answers(shown_schema()),
        )
        .add(
            delete("delete", "/members/{id}", remove)
                .says("Removes a member: their keys and sessions are not taken any more.")
                .needs(P::MemberAdmin)
                .fails(StatusCode::CONFLICT)
                .answers_nothing(),
        )
        .add(
            put("set_password", "/members/{id}/password", password)
                .says("Changes a password. One's own needs no permission. All browser sessions of the member end.")
                .needs(P::MemberAdmin)
                .takes(PasswordBody::schema())
                .answers_nothing(),
        )
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

impl NewBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("email", Schema::chars(3..=EMAIL_BYTES).matching("^\\s*[^@\\s][^\\s]*@[^\\s]+\\s*$"))
            .needs("name", Schema::name())
            .needs("role_id", Schema::id::<RoleId>())
            .may_be("password", password_schema())
            .example(json!({"email": "ada@example.com", "name": "Ada", "role_id": example_id::<RoleId>()}))
            .named("NewMember")
    }
}

impl Change {
    fn schema() -> Schema {
        Schema::object()
            .needs("role_id", Schema::id::<RoleId>())
            .example(json!({"role_id": example_id::<RoleId>()}))
            .named("MemberRole")
    }
}

impl PasswordBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("password", password_schema())
            .example(json!({"password": "correct horse battery staple"}))
            .named("NewPassword")
    }
}

fn password_schema() -> Schema {
    let password = Schema::chars(PASSWORD_LEAST_CHARS..=PASSWORD_BYTES);
    password.with("writeOnly", json!(true))
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("user_id", Schema::id::<UserId>())
        .has("email", Schema::text())
        .has("name", Schema::text())
        .has("role_id", Schema::id::<RoleId>())
        .has("has_password", Schema::boolean())
        .has("created_at", Schema::moment())
        .has("disabled_at", Schema::moment().or_null())
        .named("Member")
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

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<UserId>,
) -> Result<StatusCode, Failure> {
    control.delete_member(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
