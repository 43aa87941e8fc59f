//! Who gets more than they have, or keeps what was taken from them: attacks, each beside what may be done.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Server, on_both};

on_both!(
    a_request_begun_with_a_key_that_is_revoked_meanwhile_changes_nothing,
    who_administers_keys_gets_no_key_for_what_they_may_not_do,
    a_key_that_ends_makes_none_that_lives_longer,
    a_key_sets_no_password_of_its_owner,
    who_administers_members_gets_no_grant_by_way_of_a_team,
    an_object_of_many_unknown_fields_is_refused_at_once,
);

/// The key of a service account that may do just this.
pub(crate) async fn key(server: &Server, permissions: &[&str]) -> String {
    let name = permissions.join(" ");
    let role = json!({"name": name, "permissions": permissions});
    let role = server.post("/api/roles", role).await.ok();
    let account = json!({"name": name, "role_id": role["id"]});
    let account = server.post("/api/service-accounts", account).await.ok();
    let id = account["id"].as_str().unwrap();
    let path = format!("/api/service-accounts/{id}/keys");
    let made = server.post(&path, json!({"name": "k"})).await;
    made.text("key").to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client that sends half a request, to the server of the test"
)]
async fn begun(server: &Server, key: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (first, _) = body.split_at(body.len() - 1);
    stream.write_all(first.as_bytes()).await.unwrap();
    stream
}

async fn finished(mut stream: TcpStream) -> String {
    stream.write_all(b"}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn a_request_begun_with_a_key_that_is_revoked_meanwhile_changes_nothing(server: Server) {
    let made = server.post("/api/keys", json!({"name": "leaked"})).await;
    let body = r#"{"name":"persist"}"#;
    let (waits, control) = (
        begun(&server, made.text("key"), body).await,
        begun(&server, &server.key, body).await,
    );
    // So that the server has read the head, and knows whose it is.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let path = format!("/api/keys/{}", made.text("id"));
    let revoked = server.send(Method::DELETE, &path, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    let answer = finished(waits).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let answer = finished(control).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

async fn who_administers_keys_gets_no_key_for_what_they_may_not_do(server: Server) {
    let hosted = json!({"name": "rack", "config": {"type": "self_hosted"}});
    let hosted = server.post("/v1/environments", hosted).await.ok();
    let path = format!("/api/environments/{}/keys", hosted["id"].as_str().unwrap());
    let few = key(&server, &["key:admin"]).await;
    let all = [
        "key:admin",
        "session:read",
        "session:write",
        "work:read",
        "work:write",
        "skill:read",
    ];
    let enough = key(&server, &all).await;
    let make = |key: String| {
        let (server, path) = (&server, path.clone());
        async move {
            let body = Some(json!({"name": "w"}));
            server.send_as(&key, Method::POST, &path, body).await.status
        }
    };
    assert_eq!(make(few).await, StatusCode::FORBIDDEN);
    assert_eq!(make(enough.clone()).await, StatusCode::CREATED);
    let id = hosted["id"].as_str().unwrap();
    let restricted = json!({"restricted": true});
    let changed = server
        .send(
            Method::PATCH,
            &format!("/api/environments/{id}"),
            Some(restricted),
        )
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(make(enough).await, StatusCode::FORBIDDEN);
    assert_eq!(make(server.key.clone()).await, StatusCode::CREATED);
}

async fn a_key_that_ends_makes_none_that_lives_longer(server: Server) {
    let ends = "2099-01-01T00:00:00Z";
    let body = json!({"name": "short", "expires_at": ends});
    let short = server.post("/api/keys", body).await;
    let make = async |body: Value| {
        let made = server
            .send_as(short.text("key"), Method::POST, "/api/keys", Some(body))
            .await;
        made.ok()["expires_at"].clone()
    };
    assert_eq!(make(json!({"name": "forever"})).await, json!(ends));
    let later = json!({"name": "later", "expires_at": "2100-01-01T00:00:00Z"});
    assert_eq!(make(later).await, json!(ends));
    let sooner = "2098-01-01T00:00:00Z";
    let body = json!({"name": "sooner", "expires_at": sooner});
    assert_eq!(make(body).await, json!(sooner));
}

async fn a_key_sets_no_password_of_its_owner(server: Server) {
    let who = server.get("/api/whoami").await.ok();
    let path = format!(
        "/api/members/{}/password",
        who["actor"]["id"].as_str().unwrap()
    );
    let body = json!({"password": "four words nobody puts"});
    let without = key(&server, &["member:read"]).await;
    let refused = server
        .send_as(&without, Method::PUT, &path, Some(body.clone()))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    // Who administers members may set it by that right.
    let set = server.send(Method::PUT, &path, Some(body)).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{set:?}");
}

async fn who_administers_members_gets_no_grant_by_way_of_a_team(server: Server) {
    let restricted = json!({"name": "prod", "restricted": true});
    let environment = server.post("/api/environments", restricted).await.ok();
    let team = |name: &str| json!({"name": name});
    let (granted, plain) = (
        server.post("/api/teams", team("granted")).await.ok(),
        server.post("/api/teams", team("plain")).await.ok(),
    );
    let path = format!(
        "/api/environments/{}/grants",
        environment["id"].as_str().unwrap()
    );
    let grant = json!({"team_id": granted["id"]});
    let made = server.post(&path, grant).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let members = key(&server, &["member:admin", "member:read"]).await;
    let who = server.get("/api/whoami").await.ok();
    let who = who["actor"]["id"].as_str().unwrap();
    let join = |team: &Value| format!("/api/teams/{}/members/{who}", team["id"].as_str().unwrap());
    let refused = server
        .send_as(&members, Method::PUT, &join(&granted), None)
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    let joined = server
        .send_as(&members, Method::PUT, &join(&plain), None)
        .await;
    assert_eq!(joined.status, StatusCode::NO_CONTENT, "{joined:?}");
    let delete = |team: &Value| format!("/api/teams/{}", team["id"].as_str().unwrap());
    let refused = server
        .send_as(&members, Method::DELETE, &delete(&granted), None)
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    let deleted = server
        .send_as(&members, Method::DELETE, &delete(&plain), None)
        .await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
}

/// Comparing each with all that there are took a processor ten seconds for four megabytes.
async fn an_object_of_many_unknown_fields_is_refused_at_once(server: Server) {
    let fields = (0..100_000).map(|number| (format!("field-{number}"), json!(1)));
    let body = Value::Object(fields.collect());
    let refused = server.post("/v1/agents", body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.len() < 8 * 1024, "{}", message.len());
}
