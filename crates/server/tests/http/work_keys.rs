//! What opens work queues.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::Server;
use crate::on_both;
use crate::sessions::{environment, key_with};
use crate::work::{Queue, text, token};

on_both!(
    what_was_handed_out_opens_its_item_and_its_session_alone,
    a_token_ends_with_the_key_that_fetched_it,
    a_token_ends_with_what_whoever_fetched_it_may_do,
    the_key_of_an_environment_opens_that_environment_alone,
    what_is_another_organizations_does_not_exist,
);

async fn what_was_handed_out_opens_its_item_and_its_session_alone(server: Server) {
    let queue = Queue::of(server).await;
    let (first, second) = (queue.session().await, queue.session().await);
    let work = queue.poll().await;
    let (id, token) = (text(&work, "id"), token(&work));
    let own = text(&work["data"], "id");
    let other = if own == first { second } else { first };
    let session = async |id: &str| {
        let path = format!("/v1/sessions/{id}");
        queue
            .server
            .send_as(&token, Method::GET, &path, None)
            .await
            .status
            .as_u16()
    };
    assert_eq!((session(&own).await, session(&other).await), (200, 404));
    // Acknowledging is the poller's.
    let as_item = async |method: Method, path: &str| {
        let answer = queue.send_as(&token, method, path, None).await;
        answer.status.as_u16()
    };
    assert_eq!(as_item(Method::POST, &format!("/{id}/ack")).await, 403);
    queue.post(&format!("/{id}/ack")).await.ok();
    let beat = format!("/{id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT");
    assert_eq!(as_item(Method::POST, &beat).await, 200);
    let next = text(&queue.poll().await, "id");
    assert_eq!(
        as_item(Method::POST, &format!("/{next}/heartbeat")).await,
        401
    );
    assert_eq!(as_item(Method::POST, &format!("/{next}/stop")).await, 401);
    for path in ["/poll", "/stats", ""] {
        assert_eq!(as_item(Method::GET, path).await, 403, "{path}");
    }
    for (method, path) in [
        (Method::GET, "/v1/sessions"),
        (Method::GET, "/api/whoami"),
        (Method::POST, "/v1/agents"),
    ] {
        let answer = queue.server.send_as(&token, method, path, None).await;
        let allowed = path == "/api/whoami";
        assert_eq!(answer.status.is_success(), allowed, "{path}");
    }
    assert_eq!(as_item(Method::POST, &format!("/{id}/stop")).await, 200);
    queue.stop(&id, true).await;
    // For a while it is told that it is over, and then it is nobody.
    assert_eq!(as_item(Method::POST, &beat).await, 200);
    queue.set(&id, "stopped_at", 1).await;
    assert_eq!(as_item(Method::POST, &beat).await, 401);
}

async fn a_token_ends_with_the_key_that_fetched_it(server: Server) {
    let queue = Queue::of(server).await;
    queue.session().await;
    let work = queue.poll().await;
    let path = format!("/v1/sessions/{}", text(&work["data"], "id"));
    let token = token(&work);
    let status = async || {
        queue
            .server
            .send_as(&token, Method::GET, &path, None)
            .await
            .status
            .as_u16()
    };
    assert_eq!(status().await, 200);
    let keys = queue.server.get("/api/keys").await.ok();
    let keys = keys["data"].as_array().unwrap();
    let key = keys.iter().find(|key| key["name"] == "worker").unwrap();
    let path_of_key = format!("/api/keys/{}", text(key, "id"));
    let revoked = queue.server.send(Method::DELETE, &path_of_key, None).await;
    assert!(revoked.status.is_success());
    assert_eq!(status().await, 401);
    assert_eq!(queue.get("/poll").await.status, StatusCode::UNAUTHORIZED);
}

/// Polled with the key of somebody who may serve queues: who may not any more, or is gone, has nothing of what they were handed.
async fn a_token_ends_with_what_whoever_fetched_it_may_do(server: Server) {
    let queue = Queue::of(server).await;
    let poll = format!("/v1/environments/{}/work/poll", queue.environment);
    for end in ["role", "owner"] {
        queue.session().await;
        let name = format!("worker of {end}");
        let role = json!({"name": name, "permissions": ["work:write", "work:read"]});
        let role = queue.server.post("/api/roles", role).await.ok();
        let account = json!({"name": name, "role_id": role["id"]});
        let account = queue
            .server
            .post("/api/service-accounts", account)
            .await
            .ok();
        let account = format!("/api/service-accounts/{}", text(&account, "id"));
        let key = queue
            .server
            .post(&format!("{account}/keys"), json!({"name": "k"}))
            .await;
        let work = queue
            .server
            .send_as(key.text("key"), Method::GET, &poll, None);
        let work = work.await.ok();
        let path = format!("/v1/sessions/{}", text(&work["data"], "id"));
        let token = token(&work);
        let status = async || {
            let asked = queue.server.send_as(&token, Method::GET, &path, None);
            asked.await.status.as_u16()
        };
        assert_eq!(status().await, 200, "the control");
        let (method, path, body) = if end == "role" {
            let less = json!({"name": name, "permissions": ["work:read"]});
            (
                Method::PUT,
                format!("/api/roles/{}", text(&role, "id")),
                Some(less),
            )
        } else {
            (Method::DELETE, account.clone(), None)
        };
        let taken = queue.server.send(method, &path, body).await;
        assert!(taken.status.is_success(), "{taken:?}");
        assert_eq!(status().await, 401, "{end}");
    }
}

async fn the_key_of_an_environment_opens_that_environment_alone(server: Server) {
    let queue = Queue::of(server).await;
    let id = queue.started().await;
    let work = queue.get(&format!("/{id}")).await.ok();
    let session = text(&work["data"], "id");
    let other = environment(&queue.server, "others", "self_hosted").await;
    let path = format!("/api/environments/{other}/keys");
    let stranger = queue
        .server
        .post(&path, json!({"name": "other"}))
        .await
        .text("key")
        .to_owned();
    for (method, path) in [
        (Method::GET, "/poll".to_owned()),
        (Method::GET, "/stats".to_owned()),
        (Method::GET, String::new()),
        (Method::GET, format!("/{id}")),
        (Method::POST, format!("/{id}/ack")),
        (Method::POST, format!("/{id}/heartbeat")),
        (Method::POST, format!("/{id}/stop")),
    ] {
        let refused = queue.send_as(&stranger, method, &path, None).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let path = format!("/v1/sessions/{session}");
    for (key, status) in [(&stranger, 404), (&queue.key, 200)] {
        let answer = queue.server.send_as(key, Method::GET, &path, None).await;
        assert_eq!(answer.status.as_u16(), status);
    }
    for (method, path) in [
        (Method::POST, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, "/v1/sessions".to_owned()),
        (Method::POST, "/v1/sessions".to_owned()),
        (Method::GET, format!("{path}/resources")),
        (Method::GET, "/v1/environments".to_owned()),
    ] {
        let body = Some(json!({}));
        let refused = queue.server.send_as(&queue.key, method, &path, body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    // What API keys may is their owner's.
    use bailiwick_model::Permission as P;
    let reader = key_with(&queue.server, "reader", &[P::WorkRead]).await;
    for (path, status) in [("/stats", 200), ("", 200), ("/poll", 403)] {
        let answer = queue.send_as(&reader, Method::GET, path, None).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
    }
    let path = format!("/{id}/heartbeat");
    let refused = queue.send_as(&reader, Method::POST, &path, None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

async fn what_is_another_organizations_does_not_exist(server: Server) {
    let queue = Queue::of(server).await;
    let id = queue.started().await;
    let stranger = queue.server.other_organization().await;
    for (method, path) in [
        (Method::GET, "/poll".to_owned()),
        (Method::GET, "/stats".to_owned()),
        (Method::GET, String::new()),
        (Method::GET, format!("/{id}")),
        (Method::POST, format!("/{id}")),
        (Method::POST, format!("/{id}/ack")),
        (Method::POST, format!("/{id}/heartbeat")),
        (Method::POST, format!("/{id}/stop")),
    ] {
        let answer = queue.send_as(&stranger, method, &path, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    // Nor is an item of one queue in another.
    let other = environment(&queue.server, "others", "self_hosted").await;
    let path = format!("/v1/environments/{other}/work/{id}");
    assert_eq!(queue.server.get(&path).await.status, StatusCode::NOT_FOUND);
}
