//! `/api/organization/retention`: how long records are kept.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bailiwick_control::{Control, RetentionChange, RetentionView};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::authenticated::Authenticated;
use crate::body::JsonBody;
use crate::failure::Failure;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/organization/retention", get(retrieve).patch(update))
}

/// What is absent stays; null is for ever.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default, deserialize_with = "present")]
    events_days: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present")]
    flows_days: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present")]
    audit_days: Option<Option<i64>>,
    version: Option<i64>,
}

/// `null` is a value of its own.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn shown(view: &RetentionView) -> Response {
    let retention = &view.retention;
    Json(json!({
        "events_days": retention.events_days,
        "flows_days": retention.flows_days,
        "audit_days": retention.audit_days,
        "version": view.version,
    }))
    .into_response()
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    Ok(shown(&control.retention(&caller).await?))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    let change = RetentionChange {
        events_days: body.events_days,
        flows_days: body.flows_days,
        audit_days: body.audit_days,
        version: body.version,
    };
    Ok(shown(&control.change_retention(&caller, change).await?))
}
