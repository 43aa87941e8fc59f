//! Two servers on one PostgreSQL are as one.

use std::time::{Duration, Instant};

use bailiwick_testkit::{Bailiwick, Postgres};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::consistency::assert_whole;
use crate::{Answer, Face, Up, machine};

const ROUNDS: usize = 40;
/// How long a replica believes what it was told of a key.
const KEYS_ARE_KNOWN_FOR: Duration = Duration::from_secs(1);

pub(crate) struct Replicas {
    pub(crate) database: Postgres,
    pub(crate) runtime: Runtime,
    servers: [Up; 2],
    _machines: [Bailiwick; 2],
}

impl Replicas {
    pub(crate) fn start() -> Self {
        let database = Postgres::start();
        let machines = [machine(), machine()];
        // At once: one makes the tables and the organization, the other finds them.
        let servers = std::thread::scope(|scope| {
            let starting = machines.each_ref().map(|machine| {
                let url = database.url();
                scope.spawn(move || Up::start(machine, &url))
            });
            starting.map(|starting| starting.join().expect("a server"))
        });
        Self {
            database,
            runtime: Runtime::new().expect("a runtime"),
            servers,
            _machines: machines,
        }
    }

    pub(crate) fn faces(&self) -> [&Face; 2] {
        self.servers.each_ref().map(|server| &server.face)
    }
}

/// Asks both for the same at once: exactly one does it, and the other is told that there was somebody.
async fn race<A: Future<Output = reqwest::Result<Answer>>>(
    faces: [&Face; 2],
    ask: impl Fn(Face) -> A,
) {
    let [first, second] = faces.map(|face| ask(face.clone()));
    let (first, second) = tokio::join!(first, second);
    let answers = [first, second].map(|answer| answer.expect("an answer"));
    let mut statuses = answers.each_ref().map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert!(
        matches!(statuses, [200..=299, 409]),
        "not one of the two: {answers:?}"
    );
}

#[test]
fn of_two_replicas_one_gives_a_name() {
    let replicas = Replicas::start();
    replicas.runtime.block_on(async {
        for round in 0..ROUNDS {
            let body = json!({"name": format!("name-{round}")});
            race(replicas.faces(), |face| {
                let body = body.clone();
                async move { face.post("/v1/environments", body).await }
            })
            .await;
        }
        assert_whole(&replicas.database.url()).await;
    });
}

#[test]
fn of_two_replicas_one_changes_a_version() {
    let replicas = Replicas::start();
    let [first, _] = replicas.faces();
    replicas.runtime.block_on(async {
        let made = first
            .post("/api/environments", json!({"name": "raced"}))
            .await;
        let made = made.expect("an answer");
        let path = &format!("/api/environments/{}", made.text("id"));
        for round in 1..=ROUNDS {
            let version = i64::try_from(round).expect("few");
            race(replicas.faces(), |face| async move {
                // No two say the same: what changes nothing wins always.
                let body = json!({"description": format!("{version} of {}", face.url)});
                let body = Some(body);
                face.ask_at(Method::PATCH, path, Some(version), body).await
            })
            .await;
        }
        assert_whole(&replicas.database.url()).await;
    });
}

#[test]
fn of_two_replicas_one_hands_out_an_item_of_a_queue() {
    let replicas = Replicas::start();
    let [first, _] = replicas.faces();
    replicas.runtime.block_on(async {
        let make = |path: String, body| async move { first.post(&path, body).await.expect("made") };
        let racks = json!({"name": "racks", "config": {"type": "self_hosted"}});
        let racks = make("/v1/environments".to_owned(), racks).await;
        let racks = racks.text("id");
        let agent = json!({"name": "raced", "model": "claude-sonnet-4-5"});
        let agent = make("/v1/agents".to_owned(), agent).await;
        let key = make(
            format!("/api/environments/{racks}/keys"),
            json!({"name": "w"}),
        )
        .await;
        let workers = replicas.faces().map(|face| face.with_key(key.text("key")));
        let queue = format!("/v1/environments/{racks}/work");
        let poll = &format!("{queue}/poll");
        for round in 0..ROUNDS {
            let session = json!({"agent": agent.text("id"), "environment_id": racks});
            make("/v1/sessions".to_owned(), session).await;
            let [one, other] = workers.each_ref().map(|worker| worker.get(poll));
            let (one, other) = tokio::join!(one, other);
            let answers = [one, other].map(|answer| answer.expect("an answer"));
            let handed = answers
                .iter()
                .filter_map(|answer| answer.body["id"].as_str());
            let [item] = handed.collect::<Vec<_>>()[..] else {
                panic!("round {round}, not to one of the two: {answers:?}");
            };
            let [worker, _] = &workers;
            let taken = worker.post(&format!("{queue}/{item}/ack"), json!({})).await;
            assert_eq!(taken.expect("an answer").status, StatusCode::OK);
        }
    });
}

#[test]
fn a_key_that_one_replica_revokes_the_other_refuses_within_a_second() {
    let replicas = Replicas::start();
    let [first, second] = replicas.faces();
    replicas.runtime.block_on(async {
        let made = first.post("/api/keys", json!({"name": "shared"})).await;
        let made = made.expect("an answer");
        let [mine, theirs] = [first, second].map(|face| face.with_key(made.text("key")));
        for face in [&mine, &theirs] {
            let read = face.get("/v1/environments").await.expect("an answer");
            assert_eq!(read.status, StatusCode::OK);
        }
        let path = format!("/api/keys/{}", made.text("id"));
        let revoked = first.ask(Method::DELETE, &path, None).await;
        assert_eq!(revoked.expect("an answer").status, StatusCode::NO_CONTENT);
        let begun = Instant::now();
        let read = mine.get("/v1/environments").await.expect("an answer");
        assert_eq!(read.status, StatusCode::UNAUTHORIZED);
        loop {
            let asked = begun.elapsed();
            let read = theirs.get("/v1/environments").await.expect("an answer");
            if read.status == StatusCode::UNAUTHORIZED {
                break;
            }
            assert!(asked < KEYS_ARE_KNOWN_FOR, "still taken after {asked:?}");
        }
    });
}
