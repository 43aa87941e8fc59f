//! `/v1/vaults/{vault}/credentials`. Secrets go in and never come out.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bailiwick_control::Control;
use bailiwick_model::{CredentialId, VaultId};
use bailiwick_store::Credential;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::cursor::{cursor, page_request};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonObject, Parameters};
use crate::failure::{Failure, corrupt};

/// The most of a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/vaults/{id}/credentials", get(list).post(create))
        .route(
            "/vaults/{id}/credentials/{credential}",
            get(retrieve).post(update).delete(delete),
        )
        .route(
            "/vaults/{id}/credentials/{credential}/archive",
            post(archive),
        )
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    #[serde(default)]
    include_archived: bool,
}

/// The wire's credential: every key always there.
#[derive(Serialize)]
struct WireCredential<'a> {
    id: &'a CredentialId,
    r#type: &'static str,
    vault_id: &'a VaultId,
    display_name: Option<&'a str>,
    auth: &'a RawValue,
    metadata: &'a RawValue,
    created_at: Timestamp,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireCredential<'a>>,
    next_page: Option<String>,
}

impl<'a> WireCredential<'a> {
    fn of(credential: &'a Credential) -> Result<Self, Failure> {
        let values = &credential.values;
        Ok(Self {
            id: &credential.id,
            r#type: "vault_credential",
            vault_id: &credential.vault,
            display_name: values.display_name.as_deref(),
            auth: serde_json::from_str(&values.auth).map_err(|_| corrupt("auth"))?,
            metadata: serde_json::from_str(&values.metadata).map_err(|_| corrupt("metadata"))?,
            created_at: credential.created_at,
            updated_at: credential.updated_at,
            archived_at: credential.archived_at,
        })
    }
}

fn shown(credential: &Credential) -> Result<Response, Failure> {
    Ok(Json(WireCredential::of(credential)?).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(vault): IdOf<VaultId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.create_credential(&caller, &vault, &body).await?)
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(vault, id): IdsOf<VaultId, CredentialId>,
) -> Result<Response, Failure> {
    shown(&control.credential(&caller, &vault, &id).await?)
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(vault): IdOf<VaultId>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control
        .credentials(&caller, &vault, &page, parameters.include_archived)
        .await?;
    let list = List {
        data: found
            .items
            .iter()
            .map(WireCredential::of)
            .collect::<Result<_, _>>()?,
        next_page: cursor(found.next.as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(vault, id): IdsOf<VaultId, CredentialId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let changed = control.update_credential(&caller, &vault, &id, &body);
    shown(&changed.await?)
}

async fn archive(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(vault, id): IdsOf<VaultId, CredentialId>,
) -> Result<Response, Failure> {
    shown(&control.archive_credential(&caller, &vault, &id).await?)
}

async fn delete(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(vault, id): IdsOf<VaultId, CredentialId>,
) -> Result<Response, Failure> {
    control.delete_credential(&caller, &vault, &id).await?;
    Ok(Json(json!({"id": id, "type": "vault_credential_deleted"})).into_response())
}
