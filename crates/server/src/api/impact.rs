//! `/api/environments/{id}/impact` and `/api/organization/impact`: what a change of policy would open and close. Nothing is written.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{ConcernedEnvironment, Control, CutOff, Impact};
use bailiwick_model::{EnvironmentId, McpCatalogEntryId, Permission, PolicySource, Reason};
use bailiwick_wire::{DifferenceReport, Schema};
use serde::{Deserialize, Serialize};

use super::environments::{change_of, change_schema, source_schema};
use super::organization::ChangeBody;
use super::references::ReferencesJson;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, JsonObject, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, post};
use crate::v1::cursor::{cursor, page_request};

/// The most environments of a page: each is compared by effect.
const MOST: u32 = 100;

pub(super) fn routes() -> Routes {
    let environment = Routes::of("environments").add(
        post("impact", "/environments/{id}/impact", of_environment)
            .says("What a change would open and close, and what that concerns. Nothing is written.")
            .needs(Permission::EnvironmentAdmin)
            .takes_version()
            .takes(change_schema())
            .answers(ImpactJson::schema().named("Impact")),
    );
    let organization = Routes::of("organization").add(
        post("impact", "/organization/impact", of_organization)
            .says(
                "In which environments a change would open or close anything. Nothing is written.",
            )
            .needs(Permission::EnvironmentAdmin)
            .pages(MOST)
            .takes(ChangeBody::schema())
            .fails(StatusCode::CONFLICT)
            .lists(ConcernedJson::schema()),
    );
    environment.merge(organization)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
}

#[derive(Serialize)]
struct ImpactJson<'a> {
    /// Where the policy comes from; `null` where workers decide.
    source: Option<SourceChange<'a>>,
    #[serde(flatten)]
    difference: DifferenceReport,
    /// What the policy holds for, if anything changes.
    concerned: ReferencesJson<'a>,
    /// MCP servers of the catalog that could not be reached any more.
    cut_off: Vec<CutOffJson<'a>>,
}

#[derive(Serialize)]
struct CutOffJson<'a> {
    mcp_catalog_entry_id: &'a McpCatalogEntryId,
    name: &'a str,
    destination: String,
    reason: Reason,
}

#[derive(Serialize)]
struct SourceChange<'a> {
    before: &'a PolicySource,
    after: &'a PolicySource,
}

#[derive(Serialize)]
struct ConcernedJson<'a> {
    environment_id: &'a EnvironmentId,
    name: &'a str,
    #[serde(flatten)]
    impact: ImpactJson<'a>,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<ConcernedJson<'a>>,
    next_page: Option<String>,
}

/// What [`DifferenceReport`] writes.
pub(super) fn difference_schema() -> Schema {
    let modes = || Schema::words(["limited", "unrestricted"]);
    let mode = Schema::answer()
        .has("before", modes())
        .has("after", modes());
    let line = Schema::answer()
        .has("destination", Schema::text())
        .has("before", Schema::text().says("The reason before."))
        .has("after", Schema::text().says("The reason after."))
        .has("rule", Schema::text().or_null())
        .named("ChangedDestinations");
    Schema::answer()
        .has("mode", mode.or_null())
        .has("opened", Schema::list(line.clone()))
        .has("closed", Schema::list(line))
}

impl ImpactJson<'_> {
    fn schema() -> Schema {
        let source = Schema::answer()
            .has("before", source_schema())
            .has("after", source_schema());
        difference_schema()
            .has(
                "source",
                source.or_null().says("Null where workers decide."),
            )
            .has("concerned", ReferencesJson::schema())
            .has("cut_off", Schema::list(cut_off_schema()))
    }
}

fn cut_off_schema() -> Schema {
    Schema::answer()
        .has("mcp_catalog_entry_id", Schema::id::<McpCatalogEntryId>())
        .has("name", Schema::text())
        .has("destination", Schema::text())
        .has("reason", Schema::text().says("A stable word."))
        .named("CutOffMcpServer")
}

impl ConcernedJson<'_> {
    fn schema() -> Schema {
        ImpactJson::schema()
            .has("environment_id", Schema::id::<EnvironmentId>())
            .has("name", Schema::text())
            .named("ConcernedEnvironment")
    }
}

impl<'a> From<&'a Impact> for ImpactJson<'a> {
    fn from(impact: &'a Impact) -> Self {
        let source = impact.source.as_ref();
        Self {
            source: source.map(|(before, after)| SourceChange { before, after }),
            difference: DifferenceReport::from(&impact.difference),
            concerned: ReferencesJson::from(&impact.concerned),
            cut_off: impact.cut_off.iter().map(CutOffJson::from).collect(),
        }
    }
}

impl<'a> From<&'a CutOff> for CutOffJson<'a> {
    fn from(cut_off: &'a CutOff) -> Self {
        Self {
            mcp_catalog_entry_id: &cut_off.id,
            name: &cut_off.name,
            destination: cut_off.destination.to_string(),
            reason: cut_off.reason,
        }
    }
}

impl<'a> From<&'a ConcernedEnvironment> for ConcernedJson<'a> {
    fn from(concerned: &'a ConcernedEnvironment) -> Self {
        Self {
            environment_id: &concerned.id,
            name: &concerned.name,
            impact: ImpactJson::from(&concerned.impact),
        }
    }
}

async fn of_environment(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let change = change_of(body, &headers)?;
    let impact = control.environment_impact(&caller, &id, change).await?;
    Ok(Json(ImpactJson::from(&impact)).into_response())
}

async fn of_organization(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let concerned = control
        .policies_impact(&caller, &body.into(), &page)
        .await?;
    let list = List {
        data: concerned.items.iter().map(ConcernedJson::from).collect(),
        next_page: cursor(concerned.next.as_ref()),
    };
    Ok(Json(list).into_response())
}
