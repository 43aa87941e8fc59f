//! `/api/environments/{id}/references`: what refers to an environment.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, References};
use bailiwick_model::{EnvironmentId, Permission};
use bailiwick_store::{Reference, ReferenceCounts, ReferenceKind};
use bailiwick_wire::Schema;
use serde::{Deserialize, Serialize};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, get};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::of("environments").add(
        get("references", "/environments/{id}/references", list)
            .says("What refers to an environment, by kind and id. While there is anything, it is not deleted.")
            .needs(Permission::EnvironmentRead)
            .pages(MOST)
            .answers(ReferencesJson::schema()),
    )
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

impl ReferencesJson<'_> {
    pub(crate) fn schema() -> Schema {
        let kinds = ReferenceKind::ALL.iter().map(|kind| kind.as_str());
        let reference = Schema::answer()
            .has("kind", Schema::words(kinds))
            .has("id", Schema::text())
            .named("Reference");
        let counts = Schema::map(Schema::version());
        Schema::answer()
            .has(
                "counts",
                counts.says("By kind; kinds that there are none of are left out."),
            )
            .has("data", Schema::list(reference))
            .has("next_page", Schema::text().or_null())
            .named("References")
    }
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
