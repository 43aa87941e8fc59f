//! `/api/sessions/{id}/tighten`: what an environment allows by now, for a session that was made before.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, SessionPolicy, TightenedSession};
use bailiwick_model::{EnvironmentId, Permission, SessionId};
use bailiwick_wire::{DifferenceReport, EnvironmentBody, Schema};
use serde::Serialize;

use super::environments::{source_schema, version};
use super::impact::difference_schema;
use crate::authenticated::Authenticated;
use crate::body::IdOf;
use crate::failure::Failure;
use crate::operation::{Routes, post};

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("sessions").add(
        post("tighten", "/sessions/{id}/tighten", tighten)
            .says(
                "Puts what the environment allows now in force in a session, on top of what it was made with: nothing becomes reachable, \
                 and connections that are denied by it are cut. `If-Match` names the version of the environment.",
            )
            .needs(P::SessionWrite)
            .besides(&[P::EnvironmentRead])
            .takes_version()
            .fails(StatusCode::BAD_REQUEST)
            .answers(TightenedJson::schema()),
    )
}

#[derive(Serialize)]
struct TightenedJson<'a> {
    session_id: &'a SessionId,
    environment_id: &'a EnvironmentId,
    /// What it was made with.
    environment_revision: i64,
    tightened_by: &'a [SessionPolicy],
    #[serde(flatten)]
    difference: DifferenceReport,
}

impl TightenedJson<'_> {
    fn schema() -> Schema {
        let policy = Schema::answer()
            .has("environment_revision", Schema::version())
            .has("source", source_schema())
            .has("networking", EnvironmentBody::networking_schema())
            .named("SessionPolicy");
        difference_schema()
            .has("session_id", Schema::id::<SessionId>())
            .has("environment_id", Schema::id::<EnvironmentId>())
            .has("environment_revision", Schema::version())
            .has("tightened_by", Schema::list(policy))
            .named("TightenedSession")
    }
}

async fn tighten(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let version = version(&headers)?;
    let tightened = control.tighten_session(&caller, &id, version).await?;
    let TightenedSession {
        session,
        environment,
        environment_revision,
        tightened_by,
        difference,
    } = &tightened;
    let shown = TightenedJson {
        session_id: session,
        environment_id: environment,
        environment_revision: *environment_revision,
        tightened_by,
        difference: difference.into(),
    };
    Ok(Json(shown).into_response())
}
