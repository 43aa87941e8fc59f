//! `/api/service-accounts`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, NewKeyRequest};
use bailiwick_model::{Permission, RoleId, ServiceAccountId};
use bailiwick_store::ServiceAccount;
use bailiwick_wire::{Schema, example_id};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::{KeyBody, made_json, made_schema};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("service-accounts")
        .add(
            get("list", "/service-accounts", list)
                .says("Service accounts, the newest first.")
                .needs(P::MemberRead)
                .pages(MOST)
                .lists(shown_schema()),
        )
        .add(
            post("create", "/service-accounts", create)
                .says("Makes a service account, with a role that allows nothing that the caller may not do.")
                .needs(P::MemberAdmin)
                .takes(AccountBody::schema())
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .makes(shown_schema()),
        )
        .add(
            delete("delete", "/service-accounts/{id}", remove)
                .says("Deletes a service account: its keys are not taken any more.")
                .needs(P::MemberAdmin)
                .answers_nothing(),
        )
        .add(
            post("create_key", "/service-accounts/{id}/keys", create_key)
                .says("Makes a key of a service account. It is shown this once.")
                .needs(P::KeyAdmin)
                .takes(KeyBody::schema())
                .makes(made_schema()),
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
struct AccountBody {
    name: String,
    role_id: RoleId,
}

impl AccountBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .needs("role_id", Schema::id::<RoleId>())
            .example(json!({"name": "ci", "role_id": example_id::<RoleId>()}))
            .named("NewServiceAccount")
    }
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<ServiceAccountId>())
        .has("name", Schema::text())
        .has("role_id", Schema::id::<RoleId>())
        .has("created_at", Schema::moment())
        .named("ServiceAccount")
}

fn shown(account: &ServiceAccount) -> Value {
    json!({"id": account.id, "name": account.name, "role_id": account.role, "created_at": account.created_at})
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.service_accounts(&caller, &page).await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<AccountBody>,
) -> Result<Response, Failure> {
    let made = control
        .create_service_account(&caller, &body.name, &body.role_id)
        .await?;
    Ok((StatusCode::CREATED, Json(shown(&made))).into_response())
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<ServiceAccountId>,
) -> Result<StatusCode, Failure> {
    control.delete_service_account(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn create_key(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<ServiceAccountId>,
    JsonBody(body): JsonBody<KeyBody>,
) -> Result<Response, Failure> {
    let request = NewKeyRequest {
        name: body.name,
        expires_at: body.expires_at,
    };
    let made = control
        .create_service_account_key(&caller, &id, request)
        .await?;
    Ok((StatusCode::CREATED, Json(made_json(&made))).into_response())
}
