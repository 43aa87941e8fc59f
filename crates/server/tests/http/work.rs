//! Work queues of self-hosted environments.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sessions::{agent, code, environment, id_of};
use crate::{Answer, Server, answer, on_both};

on_both!(
    a_worker_takes_an_item_through_its_life,
    of_many_who_poll_each_item_goes_to_one,
    who_waits_is_told_when_something_comes,
    an_item_that_nobody_acknowledges_is_handed_out_again,
    a_lease_ends_by_the_clock,
    a_heartbeat_that_expects_something_else_is_refused,
    of_two_first_heartbeats_one_wins,
    a_worker_is_asked_to_stop_and_does,
    what_is_forced_stops_at_once,
    a_session_that_ends_ends_its_work,
);

/// A self-hosted environment with the key of its workers.
pub(crate) struct Queue {
    pub(crate) server: Server,
    pub(crate) environment: String,
    pub(crate) key: String,
    pub(crate) agent: String,
}

impl Queue {
    pub(crate) async fn of(server: Server) -> Self {
        let environment = environment(&server, "workers", "self_hosted").await;
        let path = format!("/api/environments/{environment}/keys");
        let key = server.post(&path, json!({"name": "worker"})).await;
        let agent = agent(&server).await;
        Self {
            key: key.text("key").to_owned(),
            server,
            environment,
            agent,
        }
    }

    /// A new session; its id.
    pub(crate) async fn session(&self) -> String {
        let body = json!({"agent": self.agent, "environment_id": self.environment});
        id_of(&self.server, "/v1/sessions", body).await
    }

    pub(crate) async fn send_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let path = format!("/v1/environments/{}/work{path}", self.environment);
        self.server.send_as(key, method, &path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send_as(&self.key, Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.send_as(&self.key, Method::POST, path, None).await
    }

    pub(crate) async fn poll(&self) -> Value {
        self.get("/poll").await.ok()
    }

    pub(crate) async fn beat(&self, id: &str, expected: &str) -> Answer {
        self.post(&format!(
            "/{id}/heartbeat?expected_last_heartbeat={}",
            expected.replace('+', "%2B")
        ))
        .await
    }

    pub(crate) async fn stop(&self, id: &str, force: bool) -> Value {
        let body = Some(json!({"force": force}));
        let path = format!("/{id}/stop");
        self.send_as(&self.key, Method::POST, &path, body)
            .await
            .ok()
    }

    /// An item that somebody acknowledged.
    pub(crate) async fn started(&self) -> String {
        self.session().await;
        let id = text(&self.poll().await, "id");
        self.post(&format!("/{id}/ack")).await.ok();
        id
    }

    /// Changes an item beside the server, as time does.
    pub(crate) async fn set(&self, id: &str, column: &str, micros: i64) {
        let url = match &self.server.url {
            bailiwick_store::DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            bailiwick_store::DatabaseUrl::Postgres(url) => url.clone(),
        };
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        let sql = format!("UPDATE work SET {column} = {micros} WHERE id = $1");
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id.to_owned())
            .execute(&pool)
            .await;
        assert_eq!(done.unwrap().rows_affected(), 1);
    }
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in {value}"))
        .to_owned()
}

/// The token in what a poll tells.
pub(crate) fn token(work: &Value) -> String {
    let secret = URL_SAFE_NO_PAD.decode(text(work, "secret")).unwrap();
    let secret: Value = serde_json::from_slice(&secret).unwrap();
    text(&secret, "sessions_token")
}

async fn a_worker_takes_an_item_through_its_life(server: Server) {
    let queue = Queue::of(server).await;
    let empty = queue.get("/poll?beta=true").await;
    assert_eq!((empty.status, empty.raw.as_str()), (StatusCode::OK, "null"));
    let session = queue.session().await;
    let polled = queue.poll().await;
    let id = text(&polled, "id");
    let expected = json!({"id": id, "type": "work", "environment_id": queue.environment, "state": "queued",
        "data": {"type": "session", "id": session}, "metadata": {}, "secret": polled["secret"], "created_at": polled["created_at"],
        "acknowledged_at": null, "started_at": null, "latest_heartbeat_at": null, "stop_requested_at": null, "stopped_at": null});
    assert_eq!(polled, expected);
    assert!(token(&polled).starts_with("bws_"));
    assert_eq!(queue.poll().await, Value::Null);
    let acked = queue.post(&format!("/{id}/ack")).await.ok();
    assert_eq!(
        (&acked["state"], &acked["secret"]),
        (&json!("starting"), &Value::Null)
    );
    assert_eq!(queue.post(&format!("/{id}/ack")).await.ok(), acked);
    let first = queue.beat(&id, "NO_HEARTBEAT").await.ok();
    let last = text(&first, "last_heartbeat");
    let expected = json!({"type": "work_heartbeat", "last_heartbeat": last, "lease_extended": true, "state": "active", "ttl_seconds": 90});
    assert_eq!(first, expected);
    let second = queue.beat(&id, &last).await.ok();
    assert!(text(&second, "last_heartbeat") > last);
    let shown = queue.get(&format!("/{id}")).await.ok();
    assert_eq!(shown["latest_heartbeat_at"], second["last_heartbeat"]);
    assert_eq!(shown["started_at"], json!(last));
    assert_eq!(shown["acknowledged_at"], acked["acknowledged_at"]);
    let stopped = queue.stop(&id, true).await;
    assert_eq!(
        (&stopped["state"], &stopped["stopped_at"]),
        (&json!("stopped"), &stopped["stop_requested_at"])
    );
    assert_eq!(queue.stop(&id, true).await, stopped);
    assert_eq!(queue.poll().await, Value::Null);
    let late = queue.post(&format!("/{id}/ack")).await;
    assert_eq!(
        (late.status, code(&late)),
        (StatusCode::CONFLICT, "work_stopped")
    );
    assert_eq!(late.header("x-should-retry"), "false");
    // A session of a cloud environment is no work.
    let cloud = environment(&queue.server, "cloud", "cloud").await;
    let body = json!({"agent": queue.agent, "environment_id": cloud});
    queue.server.post("/v1/sessions", body).await.ok();
    let list = queue
        .server
        .get(&format!("/v1/environments/{cloud}/work"))
        .await
        .ok();
    assert_eq!(list, json!({"data": [], "next_page": null}));
}

async fn of_many_who_poll_each_item_goes_to_one(server: Server) {
    let queue = Queue::of(server).await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(queue.session().await);
    }
    let mut polls = Vec::new();
    for _ in 0..16 {
        let (client, address) = (queue.server.client.clone(), queue.server.address);
        let path = format!(
            "http://{address}/v1/environments/{}/work/poll",
            queue.environment
        );
        let request = client.get(path).bearer_auth(&queue.key);
        polls.push(tokio::spawn(answer(request)));
    }
    let mut taken = Vec::new();
    for poll in polls {
        let work = poll.await.unwrap().ok();
        taken.extend(work["data"]["id"].as_str().map(str::to_owned));
    }
    taken.sort();
    sessions.sort();
    assert_eq!(taken, sessions);
}

async fn who_waits_is_told_when_something_comes(server: Server) {
    let queue = Queue::of(server).await;
    let begun = std::time::Instant::now();
    assert_eq!(queue.get("/poll?block_ms=300").await.ok(), Value::Null);
    assert!(begun.elapsed().as_millis() >= 300);
    let begun = std::time::Instant::now();
    let waiting = queue.get("/poll?block_ms=999");
    let coming = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        queue.session().await
    };
    let (found, session) = tokio::join!(waiting, coming);
    assert_eq!(found.ok()["data"]["id"], session);
    assert!(begun.elapsed().as_millis() < 900, "it was not woken");
}

async fn an_item_that_nobody_acknowledges_is_handed_out_again(server: Server) {
    let queue = Queue::of(server).await;
    queue.session().await;
    let first = queue.poll().await;
    assert_eq!(
        queue.get("/poll?reclaim_older_than_ms=60000").await.ok(),
        Value::Null
    );
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let second = queue.get("/poll?reclaim_older_than_ms=10").await.ok();
    assert_eq!(first["id"], second["id"]);
    assert_ne!(first["secret"], second["secret"]);
    // One that was acknowledged is leased, however old that is.
    queue
        .post(&format!("/{}/ack", text(&first, "id")))
        .await
        .ok();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(
        queue.get("/poll?reclaim_older_than_ms=10").await.ok(),
        Value::Null
    );
}

async fn a_lease_ends_by_the_clock(server: Server) {
    let queue = Queue::of(server).await;
    let id = queue.started().await;
    let beat =
        format!("/{id}/heartbeat?desired_ttl_seconds=1&expected_last_heartbeat=NO_HEARTBEAT");
    let first = queue.post(&beat).await.ok();
    assert_eq!(first["ttl_seconds"], 1);
    let last = text(&first, "last_heartbeat");
    assert_eq!(queue.poll().await, Value::Null);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // It is too late, although nobody else has it.
    let late = queue.beat(&id, &last).await;
    assert_eq!(
        (late.status, code(&late)),
        (
            StatusCode::PRECONDITION_FAILED,
            "heartbeat_precondition_failed"
        )
    );
    let state = &late.body["error"]["details"]["current_state"];
    assert_eq!(
        *state,
        json!({"last_heartbeat": last, "lease_extended": false, "state": "active", "ttl_seconds": 1})
    );
    let again = queue.poll().await;
    assert_eq!(
        (text(&again, "id"), &again["state"]),
        (id.clone(), &json!("queued"))
    );
    assert_eq!(
        (&again["acknowledged_at"], &again["latest_heartbeat_at"]),
        (&Value::Null, &Value::Null)
    );
    queue.post(&format!("/{id}/ack")).await.ok();
    queue.beat(&id, "NO_HEARTBEAT").await.ok();
    // Who had it before learns that it is somebody else's.
    let stale = queue.beat(&id, &last).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    // A worker that died before its first heartbeat loses it too.
    queue.stop(&id, true).await;
    let id = queue.started().await;
    queue.set(&id, "lease_ends_at", 1).await;
    assert_eq!(text(&queue.poll().await, "id"), id);
    // Nobody waits for ever for one that was asked to stop.
    queue.post(&format!("/{id}/ack")).await.ok();
    assert_eq!(queue.stop(&id, false).await["state"], "stopping");
    queue.set(&id, "lease_ends_at", 1).await;
    assert_eq!(queue.poll().await, Value::Null);
    assert_eq!(queue.get(&format!("/{id}")).await.text("state"), "stopped");
}

async fn a_heartbeat_that_expects_something_else_is_refused(server: Server) {
    let queue = Queue::of(server).await;
    queue.session().await;
    let id = text(&queue.poll().await, "id");
    // Not before it was acknowledged.
    let early = queue.beat(&id, "NO_HEARTBEAT").await;
    assert_eq!(
        early.body["error"]["details"]["current_state"]["state"],
        "queued"
    );
    assert_eq!(
        early.body["error"]["details"]["current_state"]["last_heartbeat"],
        Value::Null
    );
    queue.post(&format!("/{id}/ack")).await.ok();
    let last = text(
        &queue.beat(&id, "NO_HEARTBEAT").await.ok(),
        "last_heartbeat",
    );
    let same = last.replace('Z', "+00:00");
    for wrong in ["NO_HEARTBEAT", "", "x", "2020-01-01T00:00:00Z", &same] {
        let refused = queue.beat(&id, wrong).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (
                StatusCode::PRECONDITION_FAILED,
                "heartbeat_precondition_failed"
            ),
            "{wrong}"
        );
        assert_eq!(refused.header("x-should-retry"), "false");
    }
    let longer =
        format!("/{id}/heartbeat?desired_ttl_seconds=100000&expected_last_heartbeat={last}");
    assert_eq!(queue.post(&longer).await.ok()["ttl_seconds"], 3600);
    // Without an expectation it is what it is.
    queue.post(&format!("/{id}/heartbeat")).await.ok();
}

async fn of_two_first_heartbeats_one_wins(server: Server) {
    let queue = Queue::of(server).await;
    let id = queue.started().await;
    let beats = (0..8).map(|_| {
        let path = format!(
            "/v1/environments/{}/work/{id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT",
            queue.environment
        );
        let request = queue.server.request(Method::POST, &path);
        tokio::spawn(answer(request.bearer_auth(&queue.key)))
    });
    let beats: Vec<_> = beats.collect();
    let mut statuses = Vec::new();
    for beat in beats {
        statuses.push(beat.await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
}

async fn a_worker_is_asked_to_stop_and_does(server: Server) {
    let queue = Queue::of(server).await;
    let id = queue.started().await;
    let last = text(
        &queue.beat(&id, "NO_HEARTBEAT").await.ok(),
        "last_heartbeat",
    );
    let stopping = queue.stop(&id, false).await;
    assert_eq!(
        (&stopping["state"], &stopping["stopped_at"]),
        (&json!("stopping"), &Value::Null)
    );
    assert_eq!(queue.stop(&id, false).await, stopping);
    // What the worker expects does not matter any more.
    for expected in [last.as_str(), "NO_HEARTBEAT"] {
        let told = queue.beat(&id, expected).await.ok();
        let expected = json!({"type": "work_heartbeat", "last_heartbeat": last, "lease_extended": false, "state": "stopping", "ttl_seconds": 90});
        assert_eq!(told, expected);
    }
    assert_eq!(queue.stop(&id, true).await["state"], "stopped");
    assert_eq!(queue.beat(&id, &last).await.ok()["state"], "stopped");
}

async fn what_is_forced_stops_at_once(server: Server) {
    let queue = Queue::of(server).await;
    queue.session().await;
    let list = queue.get("").await.ok();
    let id = text(&list["data"][0], "id");
    // Nobody has it, so nobody need be told.
    assert_eq!(queue.stop(&id, false).await["state"], "stopped");
    assert_eq!(queue.poll().await, Value::Null);
    let id = queue.started().await;
    assert_eq!(queue.stop(&id, true).await["state"], "stopped");
    let told = queue.beat(&id, "NO_HEARTBEAT").await.ok();
    assert_eq!(
        (&told["last_heartbeat"], &told["lease_extended"]),
        (&json!(""), &json!(false))
    );
    for body in [json!({"force": "yes"}), json!({"quick": true})] {
        let path = format!("/{id}/stop");
        let refused = queue
            .send_as(&queue.key, Method::POST, &path, Some(body))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
    queue.post(&format!("/{id}/stop")).await.ok();
}

async fn a_session_that_ends_ends_its_work(server: Server) {
    let queue = Queue::of(server).await;
    let session = queue.session().await;
    let path = format!("/v1/sessions/{session}");
    let archive = format!("{path}/archive");
    queue.server.post(&archive, json!({})).await.ok();
    assert_eq!(queue.poll().await, Value::Null);
    let id = queue.started().await;
    let session = text(&queue.get(&format!("/{id}")).await.ok()["data"], "id");
    let path = format!("/v1/sessions/{session}");
    queue
        .server
        .post(&format!("{path}/archive"), json!({}))
        .await
        .ok();
    assert_eq!(queue.get(&format!("/{id}")).await.text("state"), "stopping");
    queue.server.send(Method::DELETE, &path, None).await.ok();
    // The worker of a session that is gone still learns so.
    assert_eq!(
        queue.beat(&id, "NO_HEARTBEAT").await.text("state"),
        "stopped"
    );
}
