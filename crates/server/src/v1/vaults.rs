//! `/v1/vaults`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bailiwick_control::Control;
use bailiwick_model::VaultId;
use bailiwick_store::Vault;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::cursor::{cursor, page_request};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonObject, Parameters};
use crate::failure::{Failure, corrupt};

/// The most of a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/vaults", get(list).post(create))
        .route("/vaults/{id}", get(retrieve).post(update).delete(delete))
        .route("/vaults/{id}/archive", post(archive))
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    #[serde(default)]
    include_archived: bool,
}

/// The wire's vault: every key always there.
#[derive(Serialize)]
struct WireVault<'a> {
    id: &'a VaultId,
    r#type: &'static str,
    display_name: &'a str,
    metadata: &'a RawValue,
    created_at: Timestamp,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireVault<'a>>,
    next_page: Option<String>,
}

impl<'a> WireVault<'a> {
    fn of(vault: &'a Vault) -> Result<Self, Failure> {
        Ok(Self {
            id: &vault.id,
            r#type: "vault",
            display_name: &vault.values.display_name,
            metadata: serde_json::from_str(&vault.values.metadata)
                .map_err(|_| corrupt("metadata"))?,
            created_at: vault.created_at,
            updated_at: vault.updated_at,
            archived_at: vault.archived_at,
        })
    }
}

fn shown(vault: &Vault) -> Result<Response, Failure> {
    Ok(Json(WireVault::of(vault)?).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.create_vault(&caller, &body).await?)
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<VaultId>,
) -> Result<Response, Failure> {
    shown(&control.vault(&caller, &id).await?)
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control
        .vaults(&caller, &page, parameters.include_archived)
        .await?;
    let list = List {
        data: found
            .items
            .iter()
            .map(WireVault::of)
            .collect::<Result<_, _>>()?,
        next_page: cursor(found.next.as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<VaultId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.update_vault(&caller, &id, &body).await?)
}

async fn archive(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<VaultId>,
) -> Result<Response, Failure> {
    shown(&control.archive_vault(&caller, &id).await?)
}

async fn delete(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<VaultId>,
) -> Result<Response, Failure> {
    control.delete_vault(&caller, &id).await?;
    Ok(Json(json!({"id": id, "type": "vault_deleted"})).into_response())
}
