//! `/api/organization`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bailiwick_control::{Control, OrganizationView, PoliciesChange};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::JsonBody;
use crate::failure::Failure;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/organization", get(retrieve).patch(update))
}

/// What holds in all environments: what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    #[serde(default, deserialize_with = "present")]
    default_networking: Option<Value>,
    denied_hosts: Option<Vec<String>>,
    denied_cidrs: Option<Vec<String>>,
    version: Option<i64>,
}

impl From<ChangeBody> for PoliciesChange {
    fn from(body: ChangeBody) -> Self {
        Self {
            default_networking: body.default_networking,
            denied_hosts: body.denied_hosts,
            denied_cidrs: body.denied_cidrs,
            version: body.version,
        }
    }
}

/// `null` is a value of its own.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
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
