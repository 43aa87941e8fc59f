//! `/api/organization`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, OrganizationView, PoliciesChange};
use bailiwick_model::limits::{CIDR_RULES, HOST_RULES};
use bailiwick_model::{OrganizationId, Permission};
use bailiwick_wire::{EnvironmentBody, Schema};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::JsonBody;
use crate::failure::Failure;
use crate::operation::{Routes, get, patch};

pub(super) fn routes() -> Routes {
    Routes::of("organization")
        .add(
            get("retrieve", "/organization", retrieve)
                .says("The organization: its default policy, and what it denies everywhere.")
                .needs(Permission::EnvironmentRead)
                .answers(shown_schema()),
        )
        .add(
            patch("update", "/organization", update)
                .says("Changes what holds in all environments: what is absent stays.")
                .needs(Permission::EnvironmentAdmin)
                .takes(ChangeBody::schema())
                .fails(StatusCode::CONFLICT)
                .answers(shown_schema()),
        )
}

/// What holds in all environments: what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    #[serde(default, deserialize_with = "present")]
    default_networking: Option<Value>,
    denied_hosts: Option<Vec<String>>,
    denied_cidrs: Option<Vec<String>>,
    allow_body_injection: Option<bool>,
    version: Option<i64>,
}

impl From<ChangeBody> for PoliciesChange {
    fn from(body: ChangeBody) -> Self {
        Self {
            default_networking: body.default_networking,
            denied_hosts: body.denied_hosts,
            denied_cidrs: body.denied_cidrs,
            allow_body_injection: body.allow_body_injection,
            version: body.version,
        }
    }
}

/// `null` is a value of its own.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl ChangeBody {
    pub(super) fn schema() -> Schema {
        let texts = |most| Schema::list_of(0..=most, Schema::text());
        Schema::object()
            .may_be(
                "default_networking",
                EnvironmentBody::new_networking_schema(),
            )
            .may_be("denied_hosts", texts(HOST_RULES))
            .may_be("denied_cidrs", texts(CIDR_RULES))
            .may_be(
                "allow_body_injection",
                Schema::boolean()
                    .says("Whether secrets of credentials may go into bodies of requests."),
            )
            .may_be(
                "version",
                Schema::version().says("Only if it is at this version."),
            )
            .example(
                json!({"denied_hosts": ["*.prod.example.com"], "denied_cidrs": ["10.0.0.0/16"]}),
            )
            .named("OrganizationChange")
    }
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<OrganizationId>())
        .has("name", Schema::text())
        .has(
            "default_networking",
            EnvironmentBody::networking_schema().or_null(),
        )
        .has("denied_hosts", Schema::list(Schema::text()))
        .has("denied_cidrs", Schema::list(Schema::text()))
        .has("allow_body_injection", Schema::boolean())
        .has("version", Schema::version())
        .has("created_at", Schema::moment())
        .has("updated_at", Schema::moment())
        .named("Organization")
}

fn shown(view: &OrganizationView) -> Response {
    let organization = &view.organization;
    let part = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let floor = part(&organization.floor);
    let list = |key: &str| floor.get(key).cloned().unwrap_or_else(|| json!([]));
    Json(json!({
        "id": organization.id,
        "name": organization.name,
        "default_networking": organization.default_networking.as_deref().map(part),
        "denied_hosts": list("denied_hosts"),
        "denied_cidrs": list("denied_cidrs"),
        "allow_body_injection": organization.allow_body_injection,
        "version": organization.version,
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
    }))
    .into_response()
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    Ok(shown(&control.organization(&caller).await?))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    Ok(shown(&control.change_policies(&caller, body.into()).await?))
}
