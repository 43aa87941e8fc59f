//! `/v1/vaults/{vault}/credentials`. Secrets go in and never come out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::Control;
use bailiwick_model::{CredentialId, Permission, VaultId};
use bailiwick_store::Credential;
use bailiwick_wire::{CredentialAuth, CredentialBody, Schema};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::cursor::{cursor, page_request};
use super::deleted_schema;
use super::validation::{validation_json, validation_schema};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonObject, Parameters};
use crate::failure::{Failure, corrupt};
use crate::operation::{Routes, delete, get, post};

/// The most of a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Routes {
    use Permission as P;
    let deleted = deleted_schema::<CredentialId>("vault_credential_deleted");
    Routes::of("credentials")
        .add(
            get("list", "/vaults/{id}/credentials", list)
                .says("The credentials of a vault, the newest first.")
                .needs(P::VaultRead)
                .pages(MOST)
                .takes_archived()
                .lists(WireCredential::schema()),
        )
        .add(
            post("create", "/vaults/{id}/credentials", create)
                .says("Puts a credential into a vault.")
                .needs(P::VaultWrite)
                .takes(CredentialBody::create_schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireCredential::schema()),
        )
        .add(
            get(
                "retrieve",
                "/vaults/{id}/credentials/{credential}",
                retrieve,
            )
            .says("One credential, without its secrets.")
            .needs(P::VaultRead)
            .answers(WireCredential::schema()),
        )
        .add(
            post("update", "/vaults/{id}/credentials/{credential}", update)
                .says("Changes a credential: what is absent stays.")
                .needs(P::VaultWrite)
                .takes(CredentialBody::update_schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireCredential::schema()),
        )
        .add(
            delete("delete", "/vaults/{id}/credentials/{credential}", remove)
                .says("Deletes a credential with its secrets.")
                .needs(P::VaultWrite)
                .answers(deleted),
        )
        .add(
            post(
                "archive",
                "/vaults/{id}/credentials/{credential}/archive",
                archive,
            )
            .says("Makes a credential read-only, and purges its secrets.")
            .needs(P::VaultWrite)
            .answers(WireCredential::schema()),
        )
        .add(
            post(
                "validate",
                "/vaults/{id}/credentials/{credential}/mcp_oauth_validate",
                validate,
            )
            .says("Tries whether the MCP server takes the access token; if it does not, another one is asked for with the refresh token.")
            .needs(P::VaultWrite)
            .fails(StatusCode::BAD_REQUEST)
            .answers(validation_schema()),
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
    fn schema() -> Schema {
        Schema::answer()
            .has("id", Schema::id::<CredentialId>())
            .has("type", Schema::word("vault_credential"))
            .has("vault_id", Schema::id::<VaultId>())
            .has("display_name", Schema::text().or_null())
            .has("auth", CredentialAuth::schema())
            .has("metadata", Schema::metadata())
            .has("created_at", Schema::moment())
            .has("updated_at", Schema::moment())
            .has("archived_at", Schema::moment().or_null())
            .named("Credential")
    }

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

async fn validate(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(vault, id): IdsOf<VaultId, CredentialId>,
) -> Result<Response, Failure> {
    let found = control.validate_credential(&caller, &vault, &id).await?;
    Ok(Json(validation_json(&vault, &id, &found)).into_response())
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(vault, id): IdsOf<VaultId, CredentialId>,
) -> Result<Response, Failure> {
    control.delete_credential(&caller, &vault, &id).await?;
    Ok(Json(json!({"id": id, "type": "vault_credential_deleted"})).into_response())
}
