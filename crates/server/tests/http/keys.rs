//! Keys and what they open.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::handing_on::key;
use crate::{Server, on_both};

on_both!(
    a_key_is_taken_in_either_header,
    what_is_no_key_is_refused_without_a_word_why,
    a_revoked_key_is_not_taken_any_more,
    who_makes_keys_sees_and_revokes_their_own_and_no_others,
    an_expired_key_is_not_taken,
    an_environment_without_workers_has_no_key_for_them,
    the_key_of_an_environment_opens_nothing_of_the_administration,
);

async fn a_key_is_taken_in_either_header(server: Server) {
    let bearer = server
        .request(Method::GET, "/v1/environments")
        .header("authorization", format!("Bearer {}", server.key));
    assert_eq!(crate::answer(bearer).await.status, StatusCode::OK);
    assert_eq!(server.get("/v1/environments").await.status, StatusCode::OK);
}

async fn what_is_no_key_is_refused_without_a_word_why(server: Server) {
    let mut bodies = Vec::new();
    for header in [
        None,
        Some(("x-api-key", "bwk_1")),
        Some(("authorization", "Basic YTpi")),
        Some(("authorization", "Bearer ")),
    ] {
        let request = server.request(Method::GET, "/v1/environments");
        let request = match header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        let answer = crate::answer(request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header:?}");
        assert_eq!(answer.header("request-id"), answer.text("request_id"));
        bodies.push(answer.body["error"].clone());
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

async fn a_revoked_key_is_not_taken_any_more(server: Server) {
    let made = server.post("/api/keys", json!({"name": "laptop"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (id, key) = (made.text("id"), made.text("key"));
    let with = || server.send_as(key, Method::GET, "/v1/environments", None);
    assert_eq!(with().await.status, StatusCode::OK);
    let revoked = server
        .send(Method::DELETE, &format!("/api/keys/{id}"), None)
        .await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(with().await.status, StatusCode::UNAUTHORIZED);
    let again = server
        .send(Method::DELETE, &format!("/api/keys/{id}"), None)
        .await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let listed = server.get("/api/keys").await.ok();
    assert!(!listed.to_string().contains(key), "the list shows the key");
}

async fn who_makes_keys_sees_and_revokes_their_own_and_no_others(server: Server) {
    let own = key(&server, &["key:write"]).await;
    let none = key(&server, &["environment:read"]).await;
    let name = |name: &str| Some(json!({"name": name}));
    let mine = server
        .send_as(&own, Method::POST, "/api/keys", name("mine"))
        .await;
    assert_eq!(mine.status, StatusCode::CREATED, "{mine:?}");
    let other = server.post("/api/keys", json!({"name": "other"})).await;
    let (mine, other) = (mine.text("id"), other.text("id"));
    let listed = |key: &str| {
        let (server, key) = (&server, key.to_owned());
        async move { server.send_as(&key, Method::GET, "/api/keys", None).await }
    };
    let all = server.get("/api/keys").await.ok().to_string();
    assert!(all.contains(mine) && all.contains(other), "{all}");
    let seen = listed(&own).await.ok().to_string();
    assert!(seen.contains(mine) && !seen.contains(other), "{seen}");
    assert_eq!(listed(&none).await.status, StatusCode::FORBIDDEN);

    let revoke = |key: &str, id: &str| {
        let (server, key, path) = (&server, key.to_owned(), format!("/api/keys/{id}"));
        async move {
            server
                .send_as(&key, Method::DELETE, &path, None)
                .await
                .status
        }
    };
    assert_eq!(revoke(&own, other).await, StatusCode::NOT_FOUND);
    assert_eq!(revoke(&none, mine).await, StatusCode::FORBIDDEN);
    assert_eq!(revoke(&own, mine).await, StatusCode::NO_CONTENT);
    let left = server.get("/api/keys").await.ok().to_string();
    assert!(left.contains(other), "{left}");
}

async fn an_expired_key_is_not_taken(server: Server) {
    let past = server
        .post(
            "/api/keys",
            json!({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}),
        )
        .await;
    assert_eq!(
        (past.status, past.text("code")),
        (StatusCode::BAD_REQUEST, "in_the_past")
    );
    let (key, soon) = used_before_it_expires(&server).await;
    while jiff::Timestamp::now() <= soon {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let late = server
        .send_as(&key, Method::GET, "/v1/environments", None)
        .await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
}

/// A key that was taken, and when it expires. On a busy machine a short life is over before a first request.
async fn used_before_it_expires(server: &Server) -> (String, jiff::Timestamp) {
    for milliseconds in [300, 3_000, 30_000] {
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(milliseconds);
        let made = server
            .post("/api/keys", json!({"name": "k", "expires_at": soon}))
            .await;
        let Some(key) = made.body["key"].as_str() else {
            continue;
        };
        let used = server
            .send_as(key, Method::GET, "/v1/environments", None)
            .await;
        if used.status == StatusCode::OK {
            return (key.to_owned(), soon);
        }
    }
    panic!("no key was ever taken");
}

async fn an_environment_without_workers_has_no_key_for_them(server: Server) {
    let make = |environment: Value| {
        let path = format!(
            "/api/environments/{}/keys",
            environment["id"].as_str().unwrap()
        );
        let server = &server;
        async move { server.post(&path, json!({"name": "worker"})).await }
    };
    let made = |kind: &str| json!({"name": kind, "config": {"type": kind}});
    let cloud = server.post("/v1/environments", made("cloud")).await.ok();
    let refused = make(cloud).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert_eq!(refused.body["code"], "not_self_hosted");
    let hosted = server
        .post("/v1/environments", made("self_hosted"))
        .await
        .ok();
    assert_eq!(make(hosted).await.status, StatusCode::CREATED);
}

async fn the_key_of_an_environment_opens_nothing_of_the_administration(server: Server) {
    let made = server
        .post(
            "/v1/environments",
            json!({"name": "w", "config": {"type": "self_hosted"}}),
        )
        .await;
    let id = made.text("id");
    let key = server
        .post(
            &format!("/api/environments/{id}/keys"),
            json!({"name": "worker"}),
        )
        .await;
    assert!(key.text("key").starts_with("bwe_"));
    for (method, path) in [
        (Method::GET, "/v1/environments".to_owned()),
        (Method::GET, format!("/v1/environments/{id}")),
        (Method::GET, "/api/keys".to_owned()),
        (Method::POST, "/api/keys".to_owned()),
        (Method::GET, "/api/organization".to_owned()),
    ] {
        let body = (method == Method::POST).then(|| json!({"name": "k"}));
        let answer = server
            .send_as(key.text("key"), method.clone(), &path, body)
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
}
