//! `/v1/environments/{id}/work`: the queue of a self-hosted environment, for its workers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, HeartbeatRequest, Lease, PollRequest};
use bailiwick_model::limits::{
    WORK_BLOCK_MS, WORK_LEASE_MOST_SECONDS, WORK_LEASE_SECONDS, WORK_RECLAIM_MOST_MS,
    WORK_RECLAIM_MS, WORKER_ID_BYTES,
};
use bailiwick_model::{EnvironmentId, Permission, SessionId, WorkId, WorkState};
use bailiwick_store::Work;
use bailiwick_wire::{Schema, work_update_schema};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::cursor::{cursor, page_request};
use crate::authenticated::{Authenticated, AuthenticatedToChange};
use crate::body::{IdOf, IdsOf, JsonBody, JsonObject, Parameters};
use crate::failure::{Failure, corrupt};
use crate::operation::{Operation, Routes, get, post};

/// The most of a page.
const MOST: u32 = 1000;
/// What a worker calls itself.
const WORKER_ID: &str = "anthropic-worker-id";

pub(super) fn routes() -> Routes {
    use Permission as P;
    const ONE: &str = "/environments/{id}/work/{work}";
    Routes::of("work")
        .add(
            get("list", "/environments/{id}/work", list)
                .says("The items of a queue, the newest first.")
                .needs_or_worker(P::WorkRead)
                .pages(MOST)
                .lists(WireWork::schema()),
        )
        .add(polling())
        .add(
            get("stats", "/environments/{id}/work/stats", stats)
                .says("A queue in numbers.")
                .needs_or_worker(P::WorkRead)
                .answers(stats_schema()),
        )
        .add(
            get("retrieve", ONE, retrieve)
                .says("One item of a queue.")
                .needs_or_worker(P::WorkRead)
                .answers(WireWork::schema()),
        )
        .add(
            post("update", ONE, update)
                .says("Changes the pairs of an item.")
                .needs(P::WorkWrite)
                .takes(work_update_schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireWork::schema()),
        )
        .add(
            post(
                "acknowledge",
                "/environments/{id}/work/{work}/ack",
                acknowledge,
            )
            .says("Acknowledges an item that was handed out: from here on it is leased.")
            .needs_or_worker(P::WorkWrite)
            .fails(StatusCode::CONFLICT)
            .answers(WireWork::schema()),
        )
        .add(beating())
        .add(
            post("stop", "/environments/{id}/work/{work}/stop", stop)
                .says("Ends an item: with `force` at once, else once its worker was told.")
                .needs_or_worker(P::WorkWrite)
                .takes(StopBody::schema())
                .fails(StatusCode::CONFLICT)
                .answers(WireWork::schema()),
        )
}

fn polling() -> Operation {
    let millis = |most: u64| Schema::number(1..=i64::try_from(most).unwrap_or(i64::MAX));
    let name = Schema::chars(1..=WORKER_ID_BYTES).matching("^[\\t -~]*[!-~][\\t -~]*$");
    get("poll", "/environments/{id}/work/poll", poll)
        .says("Hands out the oldest item that is nobody's, or null.")
        .needs_or_worker(Permission::WorkWrite)
        .query(
            "block_ms",
            millis(WORK_BLOCK_MS).says("How long to wait for one, in milliseconds."),
        )
        .query(
            "reclaim_older_than_ms",
            millis(WORK_RECLAIM_MOST_MS).otherwise(WORK_RECLAIM_MS.into()).says(
                "After how long without an acknowledgement an item is handed out again, in milliseconds.",
            ),
        )
        .header(
            "Anthropic-Worker-ID",
            name.says("What the worker calls itself, to be counted."),
        )
        .fails(StatusCode::CONFLICT)
        .answers(WireWork::schema().or_null())
}

fn beating() -> Operation {
    let lease = Schema::version()
        .otherwise(WORK_LEASE_SECONDS.into())
        .says(&format!(
            "Seconds; {WORK_LEASE_MOST_SECONDS} at most are given."
        ));
    let expected = Schema::text().says(
        "Only if `last_heartbeat` of the answer before was this, to the letter; `NO_HEARTBEAT` if there was none.",
    );
    let answer = Schema::answer()
        .has("type", Schema::word("work_heartbeat"))
        .has(
            "last_heartbeat",
            Schema::text().says("A moment, or empty if there was none."),
        )
        .has("lease_extended", Schema::boolean())
        .has("state", states())
        .has("ttl_seconds", Schema::number(1..=WORK_LEASE_MOST_SECONDS))
        .named("WorkHeartbeat");
    post(
        "heartbeat",
        "/environments/{id}/work/{work}/heartbeat",
        heartbeat,
    )
    .says("Keeps an item for a worker, if it is still theirs.")
    .needs_or_worker(Permission::WorkWrite)
    .query("desired_ttl_seconds", lease)
    .query("expected_last_heartbeat", expected)
    .fails(StatusCode::PRECONDITION_FAILED)
    .answers(answer)
}

fn states() -> Schema {
    Schema::words(WorkState::ALL.map(WorkState::as_str))
}

fn stats_schema() -> Schema {
    Schema::answer()
        .has("type", Schema::word("work_queue_stats"))
        .has("depth", Schema::count())
        .has("pending", Schema::count())
        .has("oldest_queued_at", Schema::moment().or_null())
        .has("workers_polling", Schema::count())
        .named("WorkQueueStats")
}

#[derive(Deserialize)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
}

#[derive(Deserialize)]
struct PollParameters {
    block_ms: Option<u64>,
    reclaim_older_than_ms: Option<u64>,
}

#[derive(Deserialize)]
struct HeartbeatParameters {
    desired_ttl_seconds: Option<i64>,
    expected_last_heartbeat: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StopBody {
    #[serde(default)]
    force: Option<bool>,
}

impl StopBody {
    fn schema() -> Schema {
        Schema::object()
            .may_be("force", Schema::boolean().otherwise(false.into()))
            .example(json!({"force": true}))
            .named("WorkStop")
    }
}

/// The wire's work: every key always there.
#[derive(Serialize)]
struct WireWork<'a> {
    id: &'a WorkId,
    r#type: &'static str,
    environment_id: &'a EnvironmentId,
    state: WorkState,
    data: Data<'a>,
    metadata: &'a RawValue,
    /// Only in the answer to a poll.
    secret: Option<&'a str>,
    created_at: Timestamp,
    acknowledged_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    latest_heartbeat_at: Option<Timestamp>,
    stop_requested_at: Option<Timestamp>,
    stopped_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Data<'a> {
    r#type: &'static str,
    id: &'a SessionId,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireWork<'a>>,
    next_page: Option<String>,
}

impl<'a> WireWork<'a> {
    fn schema() -> Schema {
        let moment = || Schema::moment().or_null();
        let session = Schema::answer()
            .has("type", Schema::word("session"))
            .has("id", Schema::id::<SessionId>());
        let secret = Schema::text()
            .or_null()
            .says("Of a poll alone: base 64 (RFC 4648, section 5) of a JSON object whose `sessions_token` serves the item.");
        Schema::answer()
            .has("id", Schema::id::<WorkId>())
            .has("type", Schema::word("work"))
            .has("environment_id", Schema::id::<EnvironmentId>())
            .has("state", states())
            .has("data", session)
            .has("metadata", Schema::metadata())
            .has("secret", secret)
            .has("created_at", Schema::moment())
            .has("acknowledged_at", moment())
            .has("started_at", moment())
            .has("latest_heartbeat_at", moment())
            .has("stop_requested_at", moment())
            .has("stopped_at", moment())
            .named("Work")
    }

    fn of(work: &'a Work, secret: Option<&'a str>) -> Result<Self, Failure> {
        Ok(Self {
            id: &work.id,
            r#type: "work",
            environment_id: &work.environment,
            state: work.state,
            data: Data {
                r#type: "session",
                id: &work.session,
            },
            metadata: serde_json::from_str(&work.metadata).map_err(|_| corrupt("metadata"))?,
            secret,
            created_at: work.created_at,
            acknowledged_at: work.acknowledged_at,
            started_at: work.started_at,
            latest_heartbeat_at: work.latest_heartbeat_at,
            stop_requested_at: work.stop_requested_at,
            stopped_at: work.stopped_at,
        })
    }
}

fn shown(work: &Work) -> Result<Response, Failure> {
    Ok(Json(WireWork::of(work, None)?).into_response())
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control.works(&caller, &id, &page).await?;
    let data = found.items.iter().map(|work| WireWork::of(work, None));
    let list = List {
        data: data.collect::<Result<_, _>>()?,
        next_page: cursor(found.next.as_ref()),
    };
    Ok(Json(list).into_response())
}

/// Milliseconds in a range.
fn millis(
    field: &'static str,
    said: Option<u64>,
    most: u64,
    usual: u64,
) -> Result<Duration, Failure> {
    match said {
        Some(said) if !(1..=most).contains(&said) => Err(Failure::Parameter {
            field,
            message: format!("is a number from 1 to {most}"),
        }),
        said => Ok(Duration::from_millis(said.unwrap_or(usual))),
    }
}

fn worker(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let Some(name) = headers.get(WORKER_ID) else {
        return Ok(None);
    };
    let name = name.to_str().ok().map(str::trim);
    let name = name.filter(|name| (1..=WORKER_ID_BYTES).contains(&name.len()));
    name.map(Some).ok_or_else(|| Failure::Parameter {
        field: "Anthropic-Worker-ID",
        message: format!("is a word of 1 to {WORKER_ID_BYTES} characters"),
    })
}

/// SDKs take `null` for nothing, and no other body.
async fn poll(
    State(control): State<Arc<Control>>,
    AuthenticatedToChange(caller): AuthenticatedToChange,
    IdOf(id): IdOf<EnvironmentId>,
    Parameters(parameters): Parameters<PollParameters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let PollParameters {
        block_ms,
        reclaim_older_than_ms: reclaim,
    } = parameters;
    let request = PollRequest {
        block: millis("block_ms", block_ms, WORK_BLOCK_MS, 0)?,
        reclaim: millis(
            "reclaim_older_than_ms",
            reclaim,
            WORK_RECLAIM_MOST_MS,
            WORK_RECLAIM_MS,
        )?,
        worker: worker(&headers)?,
    };
    match control.poll_work(&caller, &id, request).await? {
        Some(handed) => {
            let shown = WireWork::of(&handed.work, Some(&handed.secret))?;
            Ok(Json(shown).into_response())
        }
        None => Ok(Json(Value::Null).into_response()),
    }
}

async fn stats(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    let stats = control.work_stats(&caller, &id).await?;
    let answer = json!({
        "type": "work_queue_stats",
        "depth": stats.waiting,
        "pending": stats.handed,
        "oldest_queued_at": stats.oldest_queued_at,
        "workers_polling": stats.polling,
    });
    Ok(Json(answer).into_response())
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(environment, id): IdsOf<EnvironmentId, WorkId>,
) -> Result<Response, Failure> {
    shown(&control.work(&caller, &environment, &id).await?)
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(environment, id): IdsOf<EnvironmentId, WorkId>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    shown(
        &control
            .update_work(&caller, &environment, &id, &body)
            .await?,
    )
}

async fn acknowledge(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(environment, id): IdsOf<EnvironmentId, WorkId>,
) -> Result<Response, Failure> {
    shown(&control.acknowledge_work(&caller, &environment, &id).await?)
}

async fn heartbeat(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(environment, id): IdsOf<EnvironmentId, WorkId>,
    Parameters(parameters): Parameters<HeartbeatParameters>,
) -> Result<Response, Failure> {
    if parameters.desired_ttl_seconds.is_some_and(|ttl| ttl < 1) {
        return Err(Failure::Parameter {
            field: "desired_ttl_seconds",
            message: "is a number from 1 on".to_owned(),
        });
    }
    let request = HeartbeatRequest {
        lease_seconds: parameters.desired_ttl_seconds,
        expected: parameters.expected_last_heartbeat.as_deref(),
    };
    let lease = control
        .heartbeat(&caller, &environment, &id, request)
        .await?;
    let Lease { work, is_extended } = lease;
    let last = work.latest_heartbeat_at;
    let answer = json!({
        "type": "work_heartbeat",
        "last_heartbeat": last.map(|at| at.to_string()).unwrap_or_default(),
        "lease_extended": is_extended,
        "state": work.state,
        "ttl_seconds": work.lease_seconds,
    });
    Ok(Json(answer).into_response())
}

async fn stop(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(environment, id): IdsOf<EnvironmentId, WorkId>,
    JsonBody(StopBody { force }): JsonBody<StopBody>,
) -> Result<Response, Failure> {
    let force = force.unwrap_or(false);
    shown(&control.stop_work(&caller, &environment, &id, force).await?)
}
