//! `/api/service-accounts`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use bailiwick_control::{Control, NewKeyRequest};
use bailiwick_model::{RoleId, ServiceAccountId};
use bailiwick_store::ServiceAccount;
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::{KeyBody, made_json};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/service-accounts", get(list).post(create))
        .route("/service-accounts/{id}", delete(remove))
        .route("/service-accounts/{id}/keys", post(create_key))
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
