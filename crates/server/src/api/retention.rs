//! `/api/organization/retention`: how long records are kept.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, RetentionChange, RetentionView};
use bailiwick_model::Permission;
use bailiwick_model::limits::{AUDIT_RETENTION_DAYS_LEAST, RETENTION_DAYS_MOST};
use bailiwick_wire::Schema;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::authenticated::Authenticated;
use crate::body::JsonBody;
use crate::failure::Failure;
use crate::operation::{Routes, get, patch};

pub(super) fn routes() -> Routes {
    Routes::of("organization")
        .add(
            get("retrieve_retention", "/organization/retention", retrieve)
                .says("For how many days records are kept.")
                .needs(Permission::EnvironmentRead)
                .answers(shown_schema()),
        )
        .add(
            patch("update_retention", "/organization/retention", update)
                .says("Changes for how many days records are kept: what is absent stays, null is for ever.")
                .needs(Permission::OrganizationAdmin)
                .takes(ChangeBody::schema())
                .fails(StatusCode::CONFLICT)
                .answers(shown_schema()),
        )
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

impl ChangeBody {
    fn schema() -> Schema {
        let days = |least| Schema::number(least..=RETENTION_DAYS_MOST);
        Schema::object()
            .may_be("events_days", days(1))
            .may_be("flows_days", days(1))
            .may_be("audit_days", days(AUDIT_RETENTION_DAYS_LEAST))
            .may_be(
                "version",
                Schema::version().says("Only if the organization is at this version."),
            )
            .example(json!({"audit_days": 365}))
            .named("RetentionChange")
    }
}

fn shown_schema() -> Schema {
    let days = || Schema::version().or_null();
    Schema::answer()
        .has("events_days", days())
        .has("flows_days", days())
        .has("audit_days", days())
        .has("version", Schema::version())
        .named("Retention")
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
