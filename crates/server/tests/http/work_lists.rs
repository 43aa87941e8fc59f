//! What is told of work queues, and what may be said to them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sessions::code;
use crate::work::{Queue, text};
use crate::{Server, answer, on_both};

on_both!(
    pages_and_numbers_tell_of_the_queue,
    parameters_out_of_range_are_refused,
    self_hosted_sessions_have_no_resources,
    marks_of_an_item_are_changed_one_by_one,
);

async fn marks_of_an_item_are_changed_one_by_one(server: Server) {
    let queue = Queue::of(server).await;
    let id = queue.started().await;
    let path = format!("/{id}");
    let update = async |metadata: Value| {
        let body = Some(json!({"metadata": metadata}));
        let key = queue.server.key.clone();
        queue.send_as(&key, Method::POST, &path, body).await
    };
    update(json!({"a": "1", "b": "2"})).await.ok();
    let changed = update(json!({"a": null, "c": "3"})).await.ok();
    assert_eq!(changed["metadata"], json!({"b": "2", "c": "3"}));
    assert_eq!(changed["state"], "starting");
    let bad = json!({"bailiwick.x": "1", "k".repeat(65): "2", "d": "3"});
    let refused = update(bad).await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::BAD_REQUEST, "invalid_metadata")
    );
    let told = refused.body["error"]["message"].as_str().unwrap();
    assert!(
        told.contains("bailiwick.x") && told.contains(&"k".repeat(65)),
        "{told}"
    );
    let many: serde_json::Map<_, _> = (0..15).map(|n| (format!("k{n}"), json!("v"))).collect();
    assert_eq!(code(&update(json!(many)).await), "invalid_metadata");
    let refused = queue
        .send_as(
            &queue.server.key,
            Method::POST,
            &path,
            Some(json!({"state": "queued"})),
        )
        .await;
    assert_eq!(code(&refused), "unknown_field");
    // Workers do not mark.
    let refused = queue
        .send_as(
            &queue.key,
            Method::POST,
            &path,
            Some(json!({"metadata": {}})),
        )
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

async fn pages_and_numbers_tell_of_the_queue(server: Server) {
    let queue = Queue::of(server).await;
    let stats = async || queue.get("/stats").await.ok();
    let none = json!({"type": "work_queue_stats", "depth": 0, "pending": 0, "oldest_queued_at": null, "workers_polling": 0});
    assert_eq!(stats().await, none);
    for _ in 0..3 {
        queue.session().await;
    }
    for worker in ["one", "two", "one"] {
        let path = format!("/v1/environments/{}/work/poll", queue.environment);
        let request = queue.server.request(Method::GET, &path);
        let request = request
            .bearer_auth(&queue.key)
            .header("Anthropic-Worker-ID", worker);
        answer(request).await.ok();
    }
    let list = queue.get("?limit=1000").await.ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 3);
    assert!(
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["secret"].is_null())
    );
    let now = stats().await;
    assert_eq!(
        (&now["depth"], &now["pending"], &now["workers_polling"]),
        (&json!(0), &json!(3), &json!(2))
    );
    let oldest = now["oldest_queued_at"].as_str().unwrap();
    let oldest_made = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(one, "created_at"))
        .min();
    assert_eq!(Some(oldest.to_owned()), oldest_made);
    let id = text(&list["data"][2], "id");
    queue.post(&format!("/{id}/ack")).await.ok();
    assert_eq!(stats().await["pending"], 2);
    // One whose worker died waits again.
    queue.set(&id, "lease_ends_at", 1).await;
    assert_eq!(stats().await["depth"], 1);
    let (mut seen, mut page) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let list = queue.get(&page).await.ok();
        seen.extend(
            list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| text(one, "id")),
        );
        match list["next_page"].as_str() {
            Some(next) => page = format!("?limit=2&page={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 3);
}

async fn parameters_out_of_range_are_refused(server: Server) {
    let queue = Queue::of(server).await;
    let id = queue.started().await;
    for path in [
        "/poll?block_ms=0".to_owned(),
        "/poll?block_ms=1000".to_owned(),
        "/poll?block_ms=-1".to_owned(),
        "/poll?reclaim_older_than_ms=0".to_owned(),
        "/poll?reclaim_older_than_ms=86400001".to_owned(),
        "?limit=0".to_owned(),
        "?limit=1001".to_owned(),
        "?page=x".to_owned(),
    ] {
        assert_eq!(
            queue.get(&path).await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    for ttl in ["0", "-1", "x"] {
        let path = format!("/{id}/heartbeat?desired_ttl_seconds={ttl}");
        assert_eq!(queue.post(&path).await.status, StatusCode::BAD_REQUEST);
    }
    let long = "w".repeat(257);
    let path = format!("/v1/environments/{}/work/poll", queue.environment);
    let request = queue
        .server
        .request(Method::GET, &path)
        .bearer_auth(&queue.key);
    let refused = answer(request.header("Anthropic-Worker-ID", long)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for path in [
        "/poll?block_ms=999&reclaim_older_than_ms=1",
        "/poll?block_ms=1",
        "/poll?reclaim_older_than_ms=86400000",
    ] {
        queue.get(path).await.ok();
    }
}

async fn self_hosted_sessions_have_no_resources(server: Server) {
    let queue = Queue::of(server).await;
    let resources = json!([{"type": "github_repository", "url": "https://github.com/a/b"}]);
    let body =
        json!({"agent": queue.agent, "environment_id": queue.environment, "resources": resources});
    let refused = queue.server.post("/v1/sessions", body).await;
    let told = format!(
        "resources: Environment {} is a self-hosted environment. `resources` are not supported with self-hosted environments.",
        queue.environment
    );
    assert_eq!(
        (
            refused.status,
            refused.body["error"]["message"].as_str().unwrap()
        ),
        (StatusCode::BAD_REQUEST, told.as_str())
    );
    assert_eq!(queue.get("").await.ok()["data"], json!([]));
}
