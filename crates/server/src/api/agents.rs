//! `/api/agents`: where agents were placed. What they are is the wire's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, ControlError, OnConflict, Placement};
use bailiwick_model::{AgentId, EnvironmentId, Permission};
use bailiwick_store::{Agent, AgentFilter};
use bailiwick_wire::Schema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::environments::version;
use crate::agent_json::ApiAgent;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, get, patch};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Routes {
    let on_conflict = Schema::words(["refuse", "detach"]).otherwise("refuse".into());
    Routes::of("agents")
        .add(
            get("list", "/agents", list)
                .says("Agents, the newest first.")
                .needs(Permission::AgentRead)
                .pages(MOST)
                .takes_archived()
                .query("environment_id", Schema::id::<EnvironmentId>())
                .lists(ApiAgent::schema()),
        )
        .add(
            get("retrieve", "/agents/{id}", retrieve)
                .says("One agent.")
                .needs(Permission::AgentRead)
                .with_etag()
                .answers(ApiAgent::schema()),
        )
        .add(
            patch("update", "/agents/{id}", update)
                .says("Places an agent in an environment, or takes it out. What it is changes `/v1/agents`.")
                .needs(Permission::AgentWrite)
                .takes_version()
                .query("on_conflict", on_conflict.says("What becomes of what would stop matching: the move is refused, or it is detached."))
                .takes(Change::schema())
                .with_etag()
                .answers(ApiAgent::schema()),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    #[serde(default)]
    include_archived: bool,
    environment_id: Option<EnvironmentId>,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<ApiAgent<'a>>,
    next_page: Option<String>,
}

/// What is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    environment_id: Option<Option<String>>,
}

impl Change {
    fn schema() -> Schema {
        let id = Schema::id::<EnvironmentId>();
        Schema::object()
            .may_be("environment_id", id)
            .example(json!({"environment_id": null}))
            .named("AgentPlacement")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveParameters {
    #[serde(default)]
    on_conflict: OnConflictWord,
}

impl MoveParameters {
    pub(super) fn on_conflict(self) -> OnConflict {
        self.on_conflict.into()
    }
}

/// What becomes of what would stop matching where the agent goes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnConflictWord {
    #[default]
    Refuse,
    Detach,
}

impl From<OnConflictWord> for OnConflict {
    fn from(word: OnConflictWord) -> Self {
        match word {
            OnConflictWord::Refuse => Self::Refuse,
            OnConflictWord::Detach => Self::Detach,
        }
    }
}

/// `null` is a value of its own.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn shown(agent: &Agent) -> Result<Response, Failure> {
    let tag = [(ETAG, format!("\"{}\"", agent.revision))];
    Ok((tag, Json(ApiAgent::of(agent)?)).into_response())
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let filter = AgentFilter {
        with_archived: parameters.include_archived,
        environment: parameters.environment_id,
        ..AgentFilter::default()
    };
    let found = control.agents(&caller, &page, &filter).await?;
    let list = List {
        data: found
            .items
            .iter()
            .map(ApiAgent::of)
            .collect::<Result<_, _>>()?,
        next_page: cursor(found.next.as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<AgentId>,
) -> Result<Response, Failure> {
    shown(&control.agent(&caller, &id, None).await?)
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<AgentId>,
    Parameters(parameters): Parameters<MoveParameters>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Change>,
) -> Result<Response, Failure> {
    let environment = match body.environment_id {
        Some(Some(text)) => {
            let id = text.parse::<EnvironmentId>();
            Some(Some(id.map_err(|_| ControlError::NotFound("environment"))?))
        }
        Some(None) => Some(None),
        None => None,
    };
    let request = Placement {
        environment,
        revision: version(&headers)?,
        on_conflict: parameters.on_conflict(),
    };
    shown(&control.place_agent(&caller, &id, request).await?)
}
