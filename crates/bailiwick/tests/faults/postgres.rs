//! PostgreSQL goes away under load, and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_testkit::{Crash, Postgres, eventually};
use reqwest::StatusCode;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::consistency::{assert_chained, assert_whole};
use crate::ledger::{Ledger, Pen, assert_unavailable};
use crate::{BOUND, Face, Up, machine};

const WRITERS: usize = 8;
/// How many writes there are at least before and after each crash.
const LOAD: usize = 20;
/// How long the database is away, at least.
const AWAY: Duration = Duration::from_millis(200);
/// How soon after the database is back everything is as before.
const RECOVERY: Duration = Duration::from_secs(10);

fn write(runtime: &Runtime, face: &Face, pen: &Arc<Pen>) -> Vec<JoinHandle<Ledger>> {
    (0..WRITERS)
        .map(|_| runtime.spawn(Ledger::write(face.clone(), Arc::clone(pen))))
        .collect()
}

/// Waits for more writes.
fn loaded(pen: &Pen) {
    let wanted = pen.acknowledged() + LOAD;
    eventually("there is load", BOUND, || {
        (pen.acknowledged() >= wanted).then_some(())
    });
}

/// Waits until something can be written again.
async fn recovered(face: &Face, name: &str) {
    let begun = Instant::now();
    loop {
        let answer = face.post("/v1/environments", json!({"name": name})).await;
        let answer = answer.expect("the server is there");
        if answer.status == StatusCode::OK {
            return;
        }
        // An attempt whose answer was lost has done it.
        if answer.status == StatusCode::CONFLICT {
            return;
        }
        assert_unavailable(&answer);
        assert!(begun.elapsed() < RECOVERY, "still not after {RECOVERY:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn alone_what_was_acknowledged_outlives_crashes_of_postgresql() {
    let (machine, mut database) = (machine(), Postgres::durable());
    let url = database.url();
    let server = Up::start(&machine, &url);
    let runtime = Runtime::new().expect("a runtime");
    let mut all = Ledger::default();
    for (number, crash) in [Crash::Immediate, Crash::Killed]
        .repeat(4)
        .into_iter()
        .enumerate()
    {
        let pen = Arc::new(Pen::default());
        let writers = write(&runtime, &server.face, &pen);
        loaded(&pen);
        database.crash(crash);
        // Some requests come while it is away.
        std::thread::sleep(AWAY);
        database.start_again();
        runtime.block_on(recovered(&server.face, &format!("recovered-{number}")));
        loaded(&pen);
        pen.put_down();
        let mut ledger = Ledger::default();
        for writer in writers {
            ledger.add(runtime.block_on(writer).expect("a writer"));
        }
        runtime.block_on(async {
            ledger.compare(&server.face).await;
            assert_whole(&url).await;
        });
        all.add(ledger);
    }
    runtime.block_on(async {
        all.compare(&server.face).await;
        assert_chained(&url).await;
    });
    // The controls: there was load, and it was cut off in the middle.
    assert!(all.acknowledged > 300, "{}", all.acknowledged);
    assert!(all.in_doubt > 8, "{}", all.in_doubt);
}

#[test]
fn alone_a_database_that_neither_answers_nor_goes_away_holds_nobody_for_ever() {
    let (machine, database) = (machine(), Postgres::start());
    let server = Up::start(&machine, &database.url());
    let runtime = Runtime::new().expect("a runtime");
    let face = &server.face;
    runtime.block_on(async {
        let made = face
            .post("/v1/environments", json!({"name": "before"}))
            .await;
        let path = format!("/v1/environments/{}", made.expect("an answer").text("id"));
        database.freeze();
        let begun = Instant::now();
        let (read, written, ready) = tokio::join!(
            face.get(&path),
            face.post("/v1/environments", json!({"name": "meanwhile"})),
            face.get("/readyz"),
        );
        assert!(begun.elapsed() < BOUND);
        assert_unavailable(&read.expect("an answer in time"));
        assert_unavailable(&written.expect("an answer in time"));
        let ready = ready.expect("an answer in time");
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        database.thaw();
        recovered(face, "after").await;
        let read = face.get(&path).await.expect("an answer");
        assert_eq!(read.status, StatusCode::OK);
    });
}
