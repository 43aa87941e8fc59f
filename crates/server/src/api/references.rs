//! `/api/environments/{id}/references`: what refers to an environment.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bailiwick_control::{Control, References};
use bailiwick_model::EnvironmentId;
use bailiwick_store::{Reference, ReferenceCounts};
use serde::{Deserialize, Serialize};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, Parameters};
use crate::failure::Failure;
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/environments/{id}/references", get(list))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
}

/// What refers to something: all counted, a page of them named.
#[derive(Serialize)]
pub(crate) struct ReferencesJson<'a> {
    /// Kinds that there are none of are left out.
    counts: &'a ReferenceCounts,
    data: &'a [Reference],
    next_page: Option<String>,
}

impl<'a> From<&'a References> for ReferencesJson<'a> {
    fn from(references: &'a References) -> Self {
        Self {
            counts: &references.counts,
            data: &references.page.items,
            next_page: cursor(references.page.next.as_ref()),
        }
    }
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let references = control.references(&caller, &id, &page).await?;
    Ok(Json(ReferencesJson::from(&references)).into_response())
}
