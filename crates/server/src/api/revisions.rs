//! `/api/environments/{id}/revisions`: who changed an environment, when, and what.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, FieldChange, RevisionView};
use bailiwick_model::{EnvironmentId, Permission};
use bailiwick_store::RevisionRest;
use bailiwick_wire::Schema;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::authenticated::Authenticated;
use crate::body::{IdAndNumber, IdOf, Parameters};
use crate::failure::{Failure, corrupt};
use crate::operation::{Routes, get};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Routes {
    Routes::of("environments")
        .add(
            get("revisions", "/environments/{id}/revisions", list)
                .says("The revisions of an environment, the newest first: who made each, when, and what changed.")
                .needs(Permission::EnvironmentRead)
                .pages(MOST)
                .lists(RevisionJson::schema()),
        )
        .add(
            get("revision", "/environments/{id}/revisions/{number}", retrieve)
                .says("An environment as it was at one of its revisions.")
                .needs(Permission::EnvironmentRead)
                .answers(RevisionJson::schema()),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
}

/// A revision. Of one from before 0.2 only number, time and configuration are known.
#[derive(Serialize)]
struct RevisionJson<'a> {
    environment_id: &'a EnvironmentId,
    number: i64,
    created_at: Timestamp,
    created_by: Option<MakerJson<'a>>,
    name: Option<&'a str>,
    description: Option<&'a str>,
    restricted: Option<bool>,
    namespace: Option<&'a str>,
    config: &'a RawValue,
    metadata: Option<&'a RawValue>,
    archived: Option<bool>,
    changes: Vec<ChangeJson<'a>>,
}

/// Who made it.
#[derive(Serialize)]
struct MakerJson<'a> {
    r#type: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    field: &'a str,
    before: &'a Value,
    after: &'a Value,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<RevisionJson<'a>>,
    next_page: Option<String>,
}

impl<'a> RevisionJson<'a> {
    fn schema() -> Schema {
        let maker = Schema::answer()
            .has("type", Schema::text())
            .has("id", Schema::text());
        let change = Schema::answer()
            .has("field", Schema::text())
            .has("before", Schema::any())
            .has("after", Schema::any());
        Schema::answer()
            .has("environment_id", Schema::id::<EnvironmentId>())
            .has("number", Schema::version())
            .has("created_at", Schema::moment())
            .has("created_by", maker.or_null())
            .has("name", Schema::text().or_null())
            .has("description", Schema::text().or_null())
            .has("restricted", Schema::boolean().or_null())
            .has("namespace", Schema::text().or_null())
            .has("config", Schema::map(Schema::any()))
            .has("metadata", Schema::metadata().or_null())
            .has("archived", Schema::boolean().or_null())
            .has(
                "changes",
                Schema::list(change)
                    .says("What differs from the revision before; nothing in the first."),
            )
            .named("EnvironmentRevision")
    }

    fn of(environment_id: &'a EnvironmentId, view: &'a RevisionView) -> Result<Self, Failure> {
        let revision = &view.revision;
        let rest = revision.rest.as_ref();
        let metadata = rest.map(|rest| serde_json::from_str(&rest.metadata));
        Ok(Self {
            environment_id,
            number: revision.number,
            created_at: revision.created_at,
            created_by: rest.map(MakerJson::of),
            name: rest.map(|rest| rest.name.as_str()),
            description: rest.and_then(|rest| rest.description.as_deref()),
            restricted: rest.map(|rest| rest.restricted),
            namespace: rest.and_then(|rest| rest.namespace.as_deref()),
            config: serde_json::from_str(&revision.config).map_err(|_| corrupt("config"))?,
            metadata: metadata.transpose().map_err(|_| corrupt("metadata"))?,
            archived: rest.map(|rest| rest.archived),
            changes: view.changes.iter().map(ChangeJson::of).collect(),
        })
    }
}

impl<'a> MakerJson<'a> {
    fn of(rest: &'a RevisionRest) -> Self {
        Self {
            r#type: &rest.actor_kind,
            id: &rest.actor_id,
        }
    }
}

impl<'a> ChangeJson<'a> {
    fn of(change: &'a FieldChange) -> Self {
        let FieldChange {
            field,
            before,
            after,
        } = change;
        Self {
            field,
            before,
            after,
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
    let found = control.environment_revisions(&caller, &id, &page).await?;
    let shown = found.items.iter().map(|view| RevisionJson::of(&id, view));
    let list = List {
        data: shown.collect::<Result<_, _>>()?,
        next_page: cursor(found.next.as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdAndNumber(id, number): IdAndNumber<EnvironmentId>,
) -> Result<Response, Failure> {
    let found = control.environment_revision(&caller, &id, number).await?;
    Ok(Json(RevisionJson::of(&id, &found)?).into_response())
}
