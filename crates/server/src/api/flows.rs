//! `/api/flows`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, FlowLine};
use bailiwick_model::{EnvironmentId, Permission, SessionId, Verdict};
use bailiwick_store::FlowFilter;
use bailiwick_wire::Schema;
use serde::{Deserialize, Serialize};

use crate::authenticated::Authenticated;
use crate::body::Parameters;
use crate::failure::Failure;
use crate::operation::{Routes, get};

/// Flows of a page where nobody says how many.
const USUAL: u32 = 100;
/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    let limit = Schema::number(1..=i64::from(MOST)).otherwise(USUAL.into());
    let after = Schema::number(0..=i64::MAX).otherwise(0.into());
    Routes::of("flows").add(
        get("list", "/flows", list)
            .says("What sandboxes of sessions tried to reach, the oldest first.")
            .needs(Permission::SessionRead)
            .query("limit", limit)
            .query(
                "after",
                after.says("Only flows after the one with this number."),
            )
            .query("session_id", Schema::id::<SessionId>())
            .query("environment_id", Schema::id::<EnvironmentId>())
            .query("verdict", Schema::words(["allow", "deny"]))
            .answers(List::schema()),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
    session_id: Option<SessionId>,
    environment_id: Option<EnvironmentId>,
    verdict: Option<Verdict>,
}

#[derive(Serialize)]
struct List {
    data: Vec<FlowLine>,
    /// What to ask for with `after`, if there is more.
    next_after: Option<i64>,
}

impl List {
    fn schema() -> Schema {
        let next = Schema::version().or_null();
        Schema::answer()
            .has("data", Schema::list(FlowLine::schema()))
            .has(
                "next_after",
                next.says("`after` of the next request, if there is more."),
            )
    }
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
    if parameters.after < 0 {
        return Err(Failure::Parameter {
            field: "after",
            message: "is the number of a flow".to_owned(),
        });
    }
    let filter = FlowFilter {
        session: parameters.session_id,
        environment: parameters.environment_id,
        verdict: parameters.verdict,
    };
    let found = control.flows(&caller, parameters.after, limit + 1, &filter);
    let mut data = found.await?;
    let more = data.len() > limit as usize;
    data.truncate(limit as usize);
    let next_after = data.last().filter(|_| more).map(|flow| flow.sequence);
    Ok(Json(List { data, next_after }).into_response())
}
