//! What a worker keeps of sessions that rest, for how long and how much of it.

use std::time::{Duration, SystemTime};

use bailiwick_runtime::{Checkpoint, Error, Runtime};
use serde_json::{Value, json};

use crate::service::{call, rests};
use crate::{Scene, until};

const FILE: &str = "/home/agent/a";

fn read(id: &str) -> Value {
    call(id, "read", json!({"file_path": FILE}))
}

/// A session writes a file of this many bytes, and rests.
async fn writes(scene: &Scene, session: &str, bytes: usize) {
    let service = &scene.service;
    let write = json!({"file_path": FILE, "content": "x".repeat(bytes)});
    service.happens(session, call("sevt_1", "write", write));
    service.queue(session);
    scene.result(session, "sevt_1").await;
    service.happens(session, rests("sevt_2"));
    scene.asked(&format!("work_{session}/stop"), 1).await;
    assert!(kept(scene, session).is_some());
}

/// What was kept of a session, as it is written down.
fn kept(scene: &Scene, session: &str) -> Option<Checkpoint> {
    let record: Value = serde_json::from_str(&scene.record(session)?).unwrap();
    let name = record["sandbox"]["kept"]["checkpoint"].as_str()?;
    Some(Checkpoint(name.into()))
}

/// Whether anybody could bring it back.
async fn is_there(scene: &Scene, checkpoint: &Checkpoint) -> bool {
    scene.fake.checkpoint_bytes(checkpoint).await.is_ok()
}

/// A month later.
#[tokio::test]
async fn what_was_kept_for_long_is_thrown_away_and_that_is_told() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let working = scene.works();
    writes(&scene, "sesn_1", 4).await;
    working.ends().await;
    let file = scene.directory.path().join("worker/sesn_1.json");
    let file = std::fs::File::options().write(true).open(file).unwrap();
    let month = Duration::from_secs(31 * 24 * 60 * 60);
    let then = SystemTime::now() - month;
    file.set_modified(then).unwrap();
    let working = scene.works();
    let is_gone = || kept(&scene, "sesn_1").is_none().then_some(());
    until("the files to go", is_gone).await;
    service.happens("sesn_1", read("sevt_3"));
    service.queue("sesn_1");
    let (told, is_error) = scene.result("sesn_1", "sevt_3").await;
    assert!(is_error && told.contains("started anew"), "{told}");
    working.ends().await;
}

#[tokio::test]
async fn of_files_above_the_total_those_that_rest_for_the_longest_go_and_that_is_told() {
    let mut scene = Scene::new().await;
    scene.kept_bytes = 100;
    let service = &scene.service;
    let working = scene.works();
    writes(&scene, "sesn_1", 60).await;
    let first = kept(&scene, "sesn_1").unwrap();
    assert!(is_there(&scene, &first).await, "control");
    writes(&scene, "sesn_2", 60).await;
    let is_gone = || kept(&scene, "sesn_1").is_none().then_some(());
    until("the files to go", is_gone).await;
    assert!(!is_there(&scene, &first).await);
    // The other one goes on with its files.
    service.happens("sesn_2", read("sevt_3"));
    service.queue("sesn_2");
    let (told, is_error) = scene.result("sesn_2", "sevt_3").await;
    assert_eq!((told, is_error), ("x".repeat(60), false));
    service.happens("sesn_1", read("sevt_3"));
    service.queue("sesn_1");
    let (told, is_error) = scene.result("sesn_1", "sevt_3").await;
    assert!(is_error && told.contains("started anew"), "{told}");
    working.ends().await;
}

#[tokio::test]
async fn what_is_larger_than_the_total_by_itself_is_not_kept() {
    let mut scene = Scene::new().await;
    scene.kept_bytes = 100;
    let service = &scene.service;
    let write = json!({"file_path": FILE, "content": "x".repeat(200)});
    service.happens("sesn_1", call("sevt_1", "write", write));
    service.happens("sesn_1", read("sevt_2"));
    service.queue("sesn_1");
    let working = scene.works();
    assert_eq!(scene.result("sesn_1", "sevt_2").await.0, "x".repeat(200));
    service.happens("sesn_1", rests("sevt_3"));
    scene.asked("/stop", 1).await;
    let lost = || {
        let record = scene.record("sesn_1")?;
        record.contains("running").then_some(())
    };
    until("the files to go", lost).await;
    service.happens("sesn_1", read("sevt_4"));
    service.queue("sesn_1");
    let (told, is_error) = scene.result("sesn_1", "sevt_4").await;
    assert!(is_error && told.contains("started anew"), "{told}");
    working.ends().await;
}

#[tokio::test]
async fn what_was_kept_and_is_damaged_is_thrown_away_and_that_is_told() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let working = scene.works();
    writes(&scene, "sesn_1", 4).await;
    let checkpoint = kept(&scene, "sesn_1").unwrap();
    let damaged = Error::CheckpointDamaged(checkpoint.clone());
    scene.fake.fail_next_start(damaged);
    service.happens("sesn_1", read("sevt_3"));
    service.queue("sesn_1");
    let (told, is_error) = scene.result("sesn_1", "sevt_3").await;
    assert!(is_error && told.contains("started anew"), "{told}");
    assert!(!is_there(&scene, &checkpoint).await);
    // Once is enough.
    service.happens("sesn_1", call("sevt_4", "glob", json!({"pattern": "*"})));
    let (told, _) = scene.result("sesn_1", "sevt_4").await;
    assert!(!told.contains("started anew"), "{told}");
    working.ends().await;
}

/// What is not known to be damaged may come back: it is not thrown away.
#[tokio::test]
async fn what_was_kept_stays_while_no_sandbox_can_be_started() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let working = scene.works();
    writes(&scene, "sesn_1", 4).await;
    scene.fake.fail_next_start(Error::Full);
    service.happens("sesn_1", read("sevt_3"));
    service.happens("sesn_1", read("sevt_4"));
    service.queue("sesn_1");
    let (told, is_error) = scene.result("sesn_1", "sevt_3").await;
    assert!(
        is_error && told.contains("no sandbox could be started"),
        "{told}"
    );
    assert_eq!(scene.result("sesn_1", "sevt_4").await.0, "xxxx");
    working.ends().await;
}
