//! What a worker does for an honest service.

use std::time::Duration;

use bailiwick_runtime::fake::{Fake, FakeBuilder};
use bailiwick_runtime::{Error, Runtime, Verb};
use bailiwick_worker::{Journal, JournalError, WorkerError};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::Scene;
use crate::service::{asks, call, rests};

#[tokio::test]
async fn calls_are_run_in_their_order_and_answered_with_the_token_of_the_item() {
    let scene = Scene::new().await;
    let service = &scene.service;
    service.happens(
        "sesn_1",
        call(
            "sevt_1",
            "write",
            json!({"file_path": "a", "content": "one"}),
        ),
    );
    service.happens("sesn_1", call("sevt_2", "read", json!({"file_path": "a"})));
    service.queue("sesn_1");
    let working = scene.works();
    assert_eq!(
        scene.result("sesn_1", "sevt_1").await,
        ("wrote 3 bytes to /workspace/a".to_owned(), false)
    );
    assert_eq!(
        scene.result("sesn_1", "sevt_2").await,
        ("one".to_owned(), false)
    );
    // What comes later is seen on the stream.
    service.happens("sesn_1", call("sevt_3", "read", json!({"file_path": "b"})));
    assert!(scene.result("sesn_1", "sevt_3").await.1);
    service.happens("sesn_1", rests("sevt_4"));
    scene.asked("/stop", 1).await;
    working.ends().await;
    for asked in service.asked() {
        let is_poll = asked.path.ends_with("/poll") || asked.path.ends_with("/ack");
        let key = if is_poll {
            "bwe_key"
        } else {
            "token-of-sesn_1"
        };
        assert_eq!(asked.key, key, "{asked:?}");
    }
}

#[tokio::test]
async fn a_call_is_not_run_before_it_is_allowed_nor_when_it_is_denied() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let write = |file: &str| json!({"file_path": file, "content": "x"});
    service.happens("sesn_1", asks("sevt_1", "write", write("one")));
    service.happens("sesn_1", asks("sevt_2", "write", write("two")));
    service.happens("sesn_1", call("sevt_3", "glob", json!({"pattern": "*"})));
    service.queue("sesn_1");
    let working = scene.works();
    assert!(scene.result("sesn_1", "sevt_3").await.1);
    let confirm = |call: &str, result: &str| json!({"type": "user.tool_confirmation", "id": format!("c{call}"), "tool_use_id": call, "result": result});
    service.happens("sesn_1", confirm("sevt_2", "deny"));
    service.happens("sesn_1", confirm("sevt_1", "allow"));
    scene.result("sesn_1", "sevt_1").await;
    service.happens("sesn_1", call("sevt_4", "glob", json!({"pattern": "*"})));
    assert_eq!(scene.result("sesn_1", "sevt_4").await.0, "/workspace/one");
    assert!(service.results("sesn_1", "sevt_2").is_empty());
    working.ends().await;
}

#[tokio::test]
async fn an_interrupt_stops_what_runs_and_nothing_is_said_of_it() {
    let slow = FakeBuilder::default()
        .slow(Duration::from_millis(300))
        .build();
    let scene = Scene::on(slow).await;
    let service = &scene.service;
    service.queue("sesn_1");
    service.happens(
        "sesn_1",
        call("sevt_1", "write", json!({"file_path": "a", "content": "x"})),
    );
    service.happens(
        "sesn_1",
        call("sevt_2", "write", json!({"file_path": "b", "content": "x"})),
    );
    let working = scene.works();
    crate::until("the first call to begin", || {
        scene
            .record("sesn_1")
            .filter(|text| text.contains("sevt_1"))
    })
    .await;
    service.happens("sesn_1", json!({"type": "user.interrupt", "id": "sevt_3"}));
    service.happens("sesn_1", call("sevt_4", "glob", json!({"pattern": "*"})));
    scene.result("sesn_1", "sevt_4").await;
    assert!(service.results("sesn_1", "sevt_1").is_empty());
    assert!(service.results("sesn_1", "sevt_2").is_empty());
    working.ends().await;
}

/// The files are those of before, in another sandbox.
#[tokio::test]
async fn a_session_that_rested_goes_on_with_its_files() {
    let scene = Scene::new().await;
    let service = &scene.service;
    service.happens(
        "sesn_1",
        call(
            "sevt_1",
            "write",
            json!({"file_path": "/home/agent/a", "content": "kept"}),
        ),
    );
    service.queue("sesn_1");
    let working = scene.works();
    scene.result("sesn_1", "sevt_1").await;
    service.happens("sesn_1", rests("sevt_2"));
    scene.asked("/stop", 1).await;
    assert!(scene.fake.list().await.unwrap().is_empty());
    service.happens(
        "sesn_1",
        call("sevt_3", "read", json!({"file_path": "/home/agent/a"})),
    );
    service.queue("sesn_1");
    assert_eq!(scene.result("sesn_1", "sevt_3").await.0, "kept");
    // What is over leaves nothing.
    service.happens("sesn_1", json!({"type": "session.deleted", "id": "sevt_4"}));
    scene.asked("/stop", 2).await;
    working.ends().await;
    assert_eq!(scene.record("sesn_1"), None);
}

/// As after kill -9: nothing of the worker runs on, and its sandboxes are gone.
#[tokio::test]
async fn a_call_that_had_begun_when_its_worker_died_is_reported_and_not_run_again() {
    let slow = FakeBuilder::default()
        .slow(Duration::from_millis(300))
        .build();
    let scene = Scene::on(slow).await;
    let service = &scene.service;
    service.happens(
        "sesn_1",
        call("sevt_1", "write", json!({"file_path": "a", "content": "x"})),
    );
    service.happens("sesn_1", call("sevt_2", "glob", json!({"pattern": "*"})));
    service.queue("sesn_1");
    let working = scene.works();
    crate::until("the call to begin", || {
        scene
            .record("sesn_1")
            .filter(|text| text.contains("sevt_1"))
    })
    .await;
    working.task.abort();
    assert!(working.task.await.unwrap_err().is_cancelled());
    crate::until("what it served to end", || {
        Journal::open(scene.directory.path().join("worker")).ok()
    })
    .await;
    for left in scene.fake.list().await.unwrap() {
        let running = scene.fake.adopt(&left.id).await.unwrap();
        running.sandbox.stop(Duration::ZERO).await.unwrap();
    }
    assert!(service.results("sesn_1", "sevt_1").is_empty());
    service.queue("sesn_1");
    let working = scene.works();
    let (told, is_error) = scene.result("sesn_1", "sevt_1").await;
    assert!(is_error && told.contains("was not run again"), "{told}");
    // What had not begun is run, and says that the files of before are gone.
    let (told, is_error) = scene.result("sesn_1", "sevt_2").await;
    assert!(
        is_error && told.contains("no such file") && told.contains("started anew"),
        "{told}"
    );
    working.ends().await;
}

#[tokio::test]
async fn whoever_is_asked_to_end_says_what_was_cut_off_and_gives_the_item_back() {
    let slow = FakeBuilder::default()
        .slow(Duration::from_millis(300))
        .build();
    let scene = Scene::on(slow).await;
    let service = &scene.service;
    service.happens(
        "sesn_1",
        call("sevt_1", "write", json!({"file_path": "a", "content": "x"})),
    );
    service.queue("sesn_1");
    let working = scene.works();
    crate::until("the call to begin", || {
        scene
            .record("sesn_1")
            .filter(|text| text.contains("sevt_1"))
    })
    .await;
    working.ends().await;
    let (told, is_error) = scene.result("sesn_1", "sevt_1").await;
    assert!(is_error && told.contains("look before"), "{told}");
    // The session is not at rest: its item goes to whoever polls next, at once.
    assert_eq!(service.count("/stop"), 0);
    let is_beat = |path: &str| path.ends_with("/heartbeat");
    let asked = service.asked();
    let last = asked.iter().rfind(|asked| is_beat(&asked.path)).unwrap();
    assert!(last.query.contains("desired_ttl_seconds=1"), "{last:?}");
    assert!(
        last.query.contains("expected_last_heartbeat=beat-"),
        "{last:?}"
    );
    assert!(scene.fake.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_sandbox_nothing_is_asked_for() {
    let scene = Scene::new().await;
    scene
        .fake
        .fail_next_start(Error::Unsupported(Verb::Terminal));
    scene.service.queue("sesn_1");
    let worked = scene.worker().run(CancellationToken::new()).await;
    assert!(matches!(worked, Err(WorkerError::NoSandbox(_))));
    assert!(scene.service.asked().is_empty());
}

#[tokio::test]
async fn two_workers_of_one_name_are_one_too_many() {
    let scene = Scene::new().await;
    let _first = scene.worker();
    let second = Journal::open(scene.directory.path().join("worker"));
    assert!(matches!(second, Err(JournalError::Locked(_))));
}

#[tokio::test]
async fn a_service_that_cannot_now_is_asked_again() {
    let scene = Scene::on(Fake::new()).await;
    let service = &scene.service;
    service.happens("sesn_1", call("sevt_1", "glob", json!({"pattern": "*"})));
    service.queue("sesn_1");
    let count = std::sync::atomic::AtomicUsize::new(0);
    service.lies(move |asked| {
        let is_result = asked.path.ends_with("/events") && asked.method == "POST";
        let first = is_result && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2;
        first.then(|| (503, "{}".to_owned()))
    });
    let working = scene.works();
    scene.result("sesn_1", "sevt_1").await;
    working.ends().await;
}
