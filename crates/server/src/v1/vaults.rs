//! `/v1/vaults`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::Control;
use bailiwick_model::{Permission, VaultId};
use bailiwick_store::Vault;
use bailiwick_wire::{Schema, VaultBody};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::cursor::{cursor, page_request};
use super::deleted_schema;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonObject, Parameters};
use crate::failure::{Failure, corrupt};
use crate::operation::{Routes, delete, get, post};

/// The most of a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("vaults")
        .add(
            get("list", "/vaults", list)
                .says("Vaults, the newest first.")
                .needs(P::VaultRead)
                .pages(MOST)
                .takes_archived()
                .lists(WireVault::schema()),
        )
        .add(
            post("create", "/vaults", create)
                .says("Makes a vault.")
                .needs(P::VaultWrite)
                .takes(VaultBody::create_schema())
                .answers(WireVault::schema()),
        )
        .add(
            get("retrieve", "/vaults/{id}", retrieve)
                .says("One vault.")
                .needs(P::VaultRead)
                .answers(WireVault::schema()),
        )
        .add(
            post("update", "/vaults/{id}", update)
                .says("Changes a vault: what is absent stays.")
                .needs(P::VaultWrite)
                .takes(VaultBody::update_schema())
                .answers(WireVault::schema()),
        )
        .add(
            delete("delete", "/vaults/{id}", remove)
                .says("Deletes a vault with its credentials.")
                .needs(P::VaultWrite)
                .answers(deleted_schema::<VaultId>("vault_deleted")),
        )
        .add(
            post("archive", "/vaults/{id}/archive", archive)
                .says(
                    "Makes a vault read-only, archives its credentials, and purges their secrets.",
                )
                .needs(P::VaultWrite)
                .answers(WireVault::schema()),
        )
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
    fn schema() -> Schema {
        Schema::answer()
            .has("id", Schema::id::<VaultId>())
            .has("type", Schema::word("vault"))
            .has("display_name", Schema::text())
            .has("metadata", Schema::metadata())
            .has("created_at", Schema::moment())
            .has("updated_at", Schema::moment())
            .has("archived_at", Schema::moment().or_null())
            .named("Vault")
    }

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

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<VaultId>,
) -> Result<Response, Failure> {
    control.delete_vault(&caller, &id).await?;
    Ok(Json(json!({"id": id, "type": "vault_deleted"})).into_response())
}
