//! `/v1/sessions/{id}/events` and `/v1/sessions/{id}/threads`: what happens in sessions.

mod query;
mod stream;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, ThreadView};
use bailiwick_model::limits::{EVENT_KINDS_ASKED, EVENTS_BODY_BYTES};
use bailiwick_model::{Permission, SessionEventType, SessionId, SessionStatus, SessionThreadId};
use bailiwick_store::SessionEventFilter;
use bailiwick_wire::{Schema, UserEvent};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonObject, Parameters};
use crate::event_json::{WireThread, event_json, event_schema, raw_event};
use crate::failure::Failure;
use crate::operation::{Operation, Routes, get, post};
use query::{EventQuery, ThreadQuery};

/// The most of a page, and how many there are where nothing is said.
const MOST: u32 = 1000;

type Named = Parameters<Vec<(String, String)>>;

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("session_events")
        .add(
            post("send", "/sessions/{id}/events", send)
                .says("Sends events to a session: all of them, or none.")
                .needs_or_worker(P::SessionWrite)
                .takes_up_to(UserEvent::send_schema(), EVENTS_BODY_BYTES)
                .fails(StatusCode::CONFLICT)
                .answers(Schema::answer().has("data", Schema::list(event_schema()))),
        )
        .add(filtered(get("list", "/sessions/{id}/events", list).says(
            "What happened in a session, in its order unless `order` says otherwise.",
        )))
        .add(streamed(
            get("stream", "/sessions/{id}/events/stream", stream_session)
                .says("What happens in a session, as it happens (text/event-stream)."),
        ))
}

pub(super) fn thread_routes() -> Routes {
    use Permission as P;
    let statuses = Schema::words(SessionStatus::ALL.map(SessionStatus::as_str));
    Routes::of("session_threads")
        .add(
            get("list", "/sessions/{id}/threads", list_threads)
                .says("The threads of a session, the oldest first.")
                .needs_or_worker(P::SessionRead)
                .pages_of(MOST, MOST)
                .query("statuses[]", Schema::list(statuses))
                .lists(WireThread::schema()),
        )
        .add(
            get(
                "retrieve",
                "/sessions/{id}/threads/{thread}",
                retrieve_thread,
            )
            .says("One thread of a session.")
            .needs_or_worker(P::SessionRead)
            .answers(WireThread::schema()),
        )
        .add(
            post(
                "archive",
                "/sessions/{id}/threads/{thread}/archive",
                archive_thread,
            )
            .says("Ends a thread that waits, and is not the primary one.")
            .needs(P::SessionWrite)
            .fails(StatusCode::CONFLICT)
            .answers(WireThread::schema()),
        )
        .add(filtered(
            get(
                "events",
                "/sessions/{id}/threads/{thread}/events",
                list_of_thread,
            )
            .says("What happened in a thread, in its order unless `order` says otherwise."),
        ))
        .add(streamed(
            get(
                "stream",
                "/sessions/{id}/threads/{thread}/stream",
                stream_thread,
            )
            .says("What happens in a thread, as it happens (text/event-stream)."),
        ))
}

fn filtered(operation: Operation) -> Operation {
    let kinds = Schema::words(SessionEventType::ALL.iter().map(|kind| kind.as_str()));
    operation
        .needs_or_worker(Permission::SessionRead)
        .pages_of(MOST, MOST)
        .query("order", Schema::words(["asc", "desc"]))
        .query("types[]", Schema::list_of(0..=EVENT_KINDS_ASKED, kinds))
        .query(
            "created_at[gte]",
            Schema::moment().says("Of `processed_at`."),
        )
        .query("created_at[gt]", Schema::moment())
        .query("created_at[lte]", Schema::moment())
        .query("created_at[lt]", Schema::moment())
        .lists(event_schema())
}

fn streamed(operation: Operation) -> Operation {
    let kinds = Schema::words(["agent.message", "agent.thinking"]);
    let parts = Schema::list_of(0..=EVENT_KINDS_ASKED, kinds);
    operation
        .needs_or_worker(Permission::SessionRead)
        .query(
            "event_deltas[]",
            parts.says("Of which events parts are streamed as they are written."),
        )
        .header(
            "Last-Event-ID",
            Schema::text().says(
                "The id of the last event that was seen: what came after it is streamed first.",
            ),
        )
        .answers_events()
}

#[derive(Serialize)]
struct List {
    data: Vec<Box<RawValue>>,
    next_page: Option<String>,
}

#[derive(Serialize)]
struct Sent {
    data: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct ThreadList<'a> {
    data: Vec<WireThread<'a>>,
    next_page: Option<String>,
}

async fn send(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let echoes = control.send_events(&caller, &id, &body).await?;
    let data = echoes.iter().map(|event| raw_event(event, None));
    let data = data.collect::<Result<_, _>>()?;
    Ok(Json(Sent { data }).into_response())
}

async fn listed(
    control: &Control,
    caller: &bailiwick_control::Caller,
    session: &SessionId,
    thread: Option<SessionThreadId>,
    parameters: &[(String, String)],
) -> Result<Response, Failure> {
    let query = EventQuery::of(parameters, MOST)?;
    let filter = SessionEventFilter {
        thread: thread.filter(|thread| *thread != SessionThreadId::primary_of(session)),
        ..query.filter.clone()
    };
    let found = control
        .session_events(caller, session, query.page, &filter)
        .await?;
    let data = found
        .iter()
        .map(|event| raw_event(event, filter.thread.as_ref()));
    let list = List {
        next_page: query.next(&found),
        data: data.collect::<Result<_, _>>()?,
    };
    Ok(Json(list).into_response())
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    Parameters(parameters): Named,
) -> Result<Response, Failure> {
    listed(&control, &caller, &id, None, &parameters).await
}

async fn list_of_thread(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(id, thread): IdsOf<SessionId, SessionThreadId>,
    Parameters(parameters): Named,
) -> Result<Response, Failure> {
    control.session_thread(&caller, &id, &thread).await?;
    listed(&control, &caller, &id, Some(thread), &parameters).await
}

async fn stream_session(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    Parameters(parameters): Named,
    parts: Parts,
) -> Result<Response, Failure> {
    stream::open(control, &caller, id, None, &parameters, parts).await
}

async fn stream_thread(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(id, thread): IdsOf<SessionId, SessionThreadId>,
    Parameters(parameters): Named,
    parts: Parts,
) -> Result<Response, Failure> {
    stream::open(control, &caller, id, Some(thread), &parameters, parts).await
}

async fn list_threads(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<SessionId>,
    Parameters(parameters): Named,
) -> Result<Response, Failure> {
    let query = ThreadQuery::of(&parameters, MOST)?;
    let found = control
        .session_threads(&caller, &id, &query.statuses)
        .await?;
    let (page, next_page) = query.page(&found);
    let list = ThreadList {
        data: page.map(WireThread::of).collect::<Result<_, _>>()?,
        next_page,
    };
    Ok(Json(list).into_response())
}

fn shown(view: &ThreadView) -> Result<Response, Failure> {
    Ok(Json(WireThread::of(view)?).into_response())
}

async fn retrieve_thread(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(id, thread): IdsOf<SessionId, SessionThreadId>,
) -> Result<Response, Failure> {
    shown(&control.session_thread(&caller, &id, &thread).await?)
}

async fn archive_thread(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(id, thread): IdsOf<SessionId, SessionThreadId>,
) -> Result<Response, Failure> {
    shown(
        &control
            .archive_session_thread(&caller, &id, &thread)
            .await?,
    )
}
