//! `/api/flows`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, FlowLine};
use bailiwick_model::{EnvironmentId, Permission, SessionId, Verdict};
use bailiwick_store::FlowFilter;
use bailiwick_wire::Schema;
use serde::{Deserialize, Serialize};

use super::numbered::Page;
use crate::authenticated::Authenticated;
use crate::body::Parameters;
use crate::failure::Failure;
use crate::operation::{Routes, get};

pub(super) fn routes() -> Routes {
    let list = get("list", "/flows", list)
        .says("What sandboxes of sessions tried to reach, the oldest first.")
        .needs(Permission::SessionRead);
    Routes::of("flows").add(
        Page::describe(list, "Only flows after the one with this number.")
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
    let page = Page::of(parameters.after, parameters.limit, "a flow")?;
    let filter = FlowFilter {
        session: parameters.session_id,
        environment: parameters.environment_id,
        verdict: parameters.verdict,
    };
    let found = control.flows(&caller, page.after, page.wanted(), &filter);
    let mut data = found.await?;
    let next_after = page.cut(&mut data, |flow| flow.sequence);
    Ok(Json(List { data, next_after }).into_response())
}
