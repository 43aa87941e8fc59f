//! `/api/audit-log`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bailiwick_control::{Control, ControlError};
use bailiwick_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit_json::{AuditLine, hash_text};
use crate::authenticated::Authenticated;
use crate::body::Parameters;
use crate::failure::Failure;

/// Entries of a page where nobody says how many.
const USUAL: u32 = 100;
/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/audit-log", get(list))
        .route("/audit-log/verify", get(verify))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct List {
    data: Vec<AuditLine>,
    /// What to ask for with `after`, if there is more.
    next_after: Option<i64>,
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let limit = parameters.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Failure::Parameter {
            field: "limit",
            message: format!("is a number from 1 to {MOST}"),
        });
    }
    let mut entries = control
        .audit_log(&caller, parameters.after, limit + 1)
        .await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next_after = entries.last().filter(|_| more).map(|entry| entry.sequence);
    let line = |entry| AuditLine::of(caller.organization(), entry).map_err(|_| corrupt());
    let data = entries.into_iter().map(line).collect::<Result<_, _>>()?;
    Ok(Json(List { data, next_after }).into_response())
}

async fn verify(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    let organization = caller.organization();
    let answer = match control.verify_audit_log(&caller).await? {
        Ok((entries, hash)) => json!({
            "organization_id": organization, "verified": true,
            "entries": entries, "hash": hash_text(&hash), "broken_at": null,
        }),
        Err(broken) => json!({
            "organization_id": organization, "verified": false,
            "entries": null, "hash": null, "broken_at": broken.sequence,
        }),
    };
    Ok(Json(answer).into_response())
}

/// What a change was or became is stored as JSON.
fn corrupt() -> Failure {
    let column = "before_change";
    ControlError::Store(StoreError::Corrupt { column }).into()
}
