//! `/v1/sessions`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, SessionView};
use bailiwick_model::limits::EVENTS_BODY_BYTES;
use bailiwick_model::{AgentId, EnvironmentId, Permission, SessionId, SessionStatus};
use bailiwick_store::{Edge, Order, OrderedPageRequest, SessionFilter};
use bailiwick_wire::{Schema, SessionBody, SessionText, example_id};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::deleted_schema;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonObject, Parameters};
use crate::failure::Failure;
use crate::operation::{Operation, Routes, delete, get, post};
use crate::session_json::WireSession;

/// The most of a page.
const MOST: u32 = 100;
/// What a cursor begins with.
const CURSOR: &str = "page_";

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("sessions")
        .add(listing())
        .add(
            post("create", "/sessions", create)
                .says("Makes a session, of what its maker may see.")
                .needs(P::SessionWrite)
                .besides(&[P::EnvironmentRead, P::AgentRead])
                .takes_up_to(SessionBody::create_schema(), EVENTS_BODY_BYTES)
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::CONFLICT)
                .answers(WireSession::schema()),
        )
        .add(
            get("retrieve", "/sessions/{id}", retrieve)
                .says("One session.")
                .needs_or_worker(P::SessionRead)
                .answers(WireSession::schema()),
        )
        .add(
            post("update", "/sessions/{id}", update)
                .says("Changes a session: what is absent stays.")
                .needs(P::SessionWrite)
                .takes(SessionText::update_schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireSession::schema()),
        )
        .add(
            delete("delete", "/sessions/{id}", remove)
                .says("Deletes a session with its resources and its files.")
                .needs(P::SessionWrite)
                .fails(StatusCode::CONFLICT)
                .answers(deleted_schema::<SessionId>("session_deleted")),
        )
        .add(
            post("archive", "/sessions/{id}/archive", archive)
                .says("Ends a session, and makes it read-only.")
                .needs(P::SessionWrite)
                .fails(StatusCode::CONFLICT)
                .answers(WireSession::schema()),
        )
}

fn listing() -> Operation {
    let statuses = Schema::words(SessionStatus::ALL.map(SessionStatus::as_str));
    let cursor = || Schema::text().or_null();
    let list = Schema::answer()
        .has("data", Schema::list(WireSession::schema()))
        .has("next_page", cursor())
        .has(
            "prev_page",
            cursor().says("For `page`: the entries before these."),
        );
    get("list", "/sessions", list_sessions)
        .says("Sessions, the newest first unless `order` says otherwise.")
        .needs(Permission::SessionRead)
        .pages(MOST)
        .takes_archived()
        .query("order", Schema::words(["asc", "desc"]))
        .query("statuses[]", Schema::list(statuses))
        .query("agent_id", an_id(&example_id::<AgentId>()))
        .query(
            "agent_version",
            Schema::positive().says("With `agent_id` alone."),
        )
        .query("environment_id", an_id(&example_id::<EnvironmentId>()))
        .query("deployment_id", nothing_yet("schedules"))
        .query("memory_store_id", nothing_yet("memory stores"))
        .query("created_at[gte]", Schema::moment())
        .query("created_at[gt]", Schema::moment())
        .query("created_at[lte]", Schema::moment())
        .query("created_at[lt]", Schema::moment())
        .answers(list)
}

/// What cannot be an id is the id of nothing.
fn an_id(example: &str) -> Schema {
    Schema::text().example(json!(example))
}

fn nothing_yet(of: &str) -> Schema {
    Schema::text().says(&format!("There are no {of} yet: finds nothing."))
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireSession<'a>>,
    next_page: Option<String>,
    prev_page: Option<String>,
}

/// What a query asks for.
struct Query {
    order: Order,
    limit: u32,
    page: Option<String>,
    filter: SessionFilter,
    /// It names what no session has.
    finds_nothing: bool,
}

fn wrong(field: &'static str, message: &str) -> Failure {
    Failure::Parameter {
        field,
        message: message.to_owned(),
    }
}

impl Query {
    fn of(parameters: &[(String, String)]) -> Result<Self, Failure> {
        let mut query = Self {
            order: Order::NewestFirst,
            limit: 20,
            page: None,
            filter: SessionFilter::default(),
            finds_nothing: false,
        };
        let mut statuses = Vec::new();
        for (name, value) in parameters {
            match name.as_str() {
                "limit" => query.limit = limit(value)?,
                "page" => query.page = Some(value.clone()),
                "order" => query.order = order(value)?,
                "statuses" | "statuses[]" => {
                    let status = value.parse();
                    statuses.push(status.map_err(|_| wrong("statuses", "is no status"))?);
                }
                _ => query.narrow(name, value)?,
            }
        }
        if !statuses.is_empty() {
            query.filter.statuses = statuses;
        }
        // It is the version of nothing without an agent.
        if query.filter.agent.is_none() {
            query.filter.agent_version = None;
        }
        Ok(query)
    }

    fn narrow(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let filter = &mut self.filter;
        match name {
            "include_archived" => {
                let flag = value.parse();
                filter.with_archived =
                    flag.map_err(|_| wrong("include_archived", "is true or false"))?;
            }
            "agent_id" => match value.parse() {
                Ok(id) => filter.agent = Some(id),
                Err(_) => self.finds_nothing = true,
            },
            "agent_version" => {
                let version = value.parse::<i32>().ok().filter(|version| *version >= 1);
                let version =
                    version.ok_or_else(|| wrong("agent_version", "is a number from 1 on"));
                filter.agent_version = Some(version?.into());
            }
            "environment_id" => match value.parse() {
                Ok(id) => filter.environment = Some(id),
                Err(_) => self.finds_nothing = true,
            },
            // There are neither schedules nor memory stores.
            "deployment_id" | "memory_store_id" => self.finds_nothing = true,
            "created_at[gte]" => filter.created_from = time(value)?.max(filter.created_from),
            "created_at[gt]" => {
                let after = next_to(time(value)?, 1);
                filter.created_from = after.max(filter.created_from);
            }
            "created_at[lte]" => filter.created_until = time(value)?.min(filter.created_until),
            "created_at[lt]" => {
                let before = next_to(time(value)?, -1);
                filter.created_until = before.min(filter.created_until);
            }
            // SDKs send some that mean nothing here, such as `beta`.
            _ => {}
        }
        Ok(())
    }

    fn request(&self) -> Result<OrderedPageRequest<SessionId>, Failure> {
        let edge = self.page.as_deref().map(|page| edge(page, self.order));
        Ok(OrderedPageRequest {
            order: self.order,
            edge: edge.transpose()?,
            limit: self.limit,
        })
    }
}

fn limit(text: &str) -> Result<u32, Failure> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| wrong("limit", &format!("is a number from 1 to {MOST}")))
}

fn order(text: &str) -> Result<Order, Failure> {
    match text {
        "desc" => Ok(Order::NewestFirst),
        "asc" => Ok(Order::OldestFirst),
        _ => Err(wrong("order", "is `asc` or `desc`")),
    }
}

fn time(text: &str) -> Result<Timestamp, Failure> {
    let time = text.parse();
    time.map_err(|_| wrong("created_at", "is a time as in RFC 3339, with its zone"))
}

/// Times are stored in microseconds.
fn next_to(time: Timestamp, micros: i64) -> Timestamp {
    let moved = time.checked_add(SignedDuration::from_micros(micros));
    moved.unwrap_or(time)
}

/// The words of an order and a side in a cursor.
fn word(order: Order, is_next: bool) -> &'static str {
    match (order, is_next) {
        (Order::NewestFirst, true) => "dn_",
        (Order::NewestFirst, false) => "dp_",
        (Order::OldestFirst, true) => "an_",
        (Order::OldestFirst, false) => "ap_",
    }
}

fn cursor(order: Order, is_next: bool, id: Option<&SessionId>) -> Option<String> {
    id.map(|id| format!("{CURSOR}{}{id}", word(order, is_next)))
}

/// A cursor is one of the order that it was made for.
fn edge(page: &str, order: Order) -> Result<Edge<SessionId>, Failure> {
    let text = page.strip_prefix(CURSOR).unwrap_or_default();
    let side = |is_next| text.strip_prefix(word(order, is_next)).map(str::parse);
    match (side(true), side(false)) {
        (Some(Ok(id)), _) => Ok(Edge::After(id)),
        (_, Some(Ok(id))) => Ok(Edge::Before(id)),
        _ => Err(wrong("page", "is not a cursor of this list in this order")),
    }
}

fn shown(view: &SessionView) -> Result<Response, Failure> {
    Ok(Json(WireSession::of(view)?).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.create_session(&caller, &body).await?)
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
) -> Result<Response, Failure> {
    shown(&control.session(&caller, &id).await?)
}

async fn list_sessions(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    caller.require(Permission::SessionRead)?;
    let query = Query::of(&parameters)?;
    let request = query.request()?;
    if query.finds_nothing {
        let none = List {
            data: Vec::new(),
            next_page: None,
            prev_page: None,
        };
        return Ok(Json(none).into_response());
    }
    let found = control.sessions(&caller, &request, &query.filter).await?;
    let data = found.items.iter().map(WireSession::of);
    let list = List {
        data: data.collect::<Result<_, _>>()?,
        next_page: cursor(query.order, true, found.next.as_ref()),
        prev_page: cursor(query.order, false, found.previous.as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(&control.update_session(&caller, &id, &body).await?)
}

async fn archive(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
) -> Result<Response, Failure> {
    shown(&control.archive_session(&caller, &id).await?)
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
) -> Result<Response, Failure> {
    control.delete_session(&caller, &id).await?;
    Ok(Json(json!({"id": id, "type": "session_deleted"})).into_response())
}
