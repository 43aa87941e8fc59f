//! Sessions that are held to what their environment allows by now.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sessions::{agent, id_of, key_with};
use crate::{Answer, Server, on_both};
use bailiwick_model::{Permission, ResourceId as _, SessionId};

on_both!(
    a_session_is_held_to_what_its_environment_allows_now_and_never_gets_more,
    the_same_again_changes_nothing_and_the_audit_log_has_each_change_once,
    a_default_policy_that_changed_is_held_to_as_well,
    an_environment_at_another_version_tightens_nothing,
    who_may_not_is_refused_and_what_is_not_there_is_not_found,
    a_self_hosted_session_is_its_workers_business,
    a_session_that_has_ended_is_not_tightened,
    a_session_has_a_number_of_policies_and_no_more,
);

/// An environment that allows these, and a session in it.
async fn session(server: &Server, hosts: &[&str]) -> (String, String) {
    let networking = json!({"type": "limited", "allowed_hosts": hosts});
    let body = json!({"name": "dev", "config": {"type": "cloud", "networking": networking}});
    let environment = id_of(server, "/v1/environments", body).await;
    let body = json!({"agent": agent(server).await, "environment_id": environment});
    (environment, id_of(server, "/v1/sessions", body).await)
}

async fn allow(server: &Server, environment: &str, hosts: &[&str]) -> i64 {
    let networking = json!({"type": "limited", "allowed_hosts": hosts});
    let body = json!({"config": {"networking": networking}});
    let path = format!("/api/environments/{environment}");
    let changed = server.send(Method::PATCH, &path, Some(body)).await.ok();
    changed["version"].as_i64().unwrap()
}

async fn tighten(server: &Server, session: &str) -> Answer {
    let path = format!("/api/sessions/{session}/tighten");
    server.send(Method::POST, &path, None).await
}

fn destinations(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["destination"].as_str().unwrap())
        .collect()
}

async fn entries(server: &Server, session: &str) -> Vec<Value> {
    let log = server.get("/api/audit-log?limit=100").await.ok();
    let entries = log["data"].as_array().unwrap().iter();
    let own =
        |entry: &&Value| entry["action"] == "session.tighten" && entry["resource"]["id"] == session;
    entries.filter(own).cloned().collect()
}

async fn a_session_is_held_to_what_its_environment_allows_now_and_never_gets_more(server: Server) {
    let (environment, session) = session(&server, &["a.example", "b.example"]).await;
    let told = tighten(&server, &session).await.ok();
    assert_eq!(told["tightened_by"], json!([]), "nothing changed yet");
    assert_eq!(told["closed"], json!([]));
    let narrower = allow(&server, &environment, &["b.example", "c.example"]).await;
    let told = tighten(&server, &session).await.ok();
    assert_eq!(destinations(&told["closed"]), ["a.example"]);
    assert_eq!(told["opened"], json!([]));
    assert_eq!(told["session_id"], session);
    assert_eq!(told["environment_id"], environment);
    assert_eq!(told["tightened_by"][0]["environment_revision"], narrower);
    let hosts = &told["tightened_by"][0]["networking"]["allowed_hosts"];
    assert_eq!(hosts, &json!(["b.example", "c.example"]));
    // Wider than before is no way back.
    allow(
        &server,
        &environment,
        &["a.example", "b.example", "c.example"],
    )
    .await;
    let told = tighten(&server, &session).await.ok();
    assert_eq!((&told["opened"], &told["closed"]), (&json!([]), &json!([])));
    allow(&server, &environment, &["a.example"]).await;
    let told = tighten(&server, &session).await.ok();
    assert_eq!(destinations(&told["closed"]), ["b.example"]);
    assert_eq!(told["opened"], json!([]));
}

async fn the_same_again_changes_nothing_and_the_audit_log_has_each_change_once(server: Server) {
    let (environment, session) = session(&server, &["a.example"]).await;
    allow(&server, &environment, &[]).await;
    let first = tighten(&server, &session).await.ok();
    assert_eq!(destinations(&first["closed"]), ["a.example"]);
    let again = tighten(&server, &session).await.ok();
    assert_eq!(again["closed"], json!([]));
    assert_eq!(again["tightened_by"], first["tightened_by"]);
    let entries = entries(&server, &session).await;
    assert_eq!(entries.len(), 1, "{entries:#?}");
    assert_eq!(entries[0]["before"], json!({"tightened_by": []}));
    assert_eq!(
        entries[0]["after"],
        json!({"tightened_by": first["tightened_by"]})
    );
}

async fn a_default_policy_that_changed_is_held_to_as_well(server: Server) {
    let body = json!({"name": "dev", "config": {"type": "cloud"}});
    let environment = id_of(&server, "/v1/environments", body).await;
    let inherit = json!({"inherits_policy": true});
    let path = format!("/api/environments/{environment}");
    server.send(Method::PATCH, &path, Some(inherit)).await.ok();
    let body = json!({"agent": agent(&server).await, "environment_id": environment});
    let session = id_of(&server, "/v1/sessions", body).await;
    let default = json!({"default_networking": {"type": "limited"}});
    server
        .send(Method::PATCH, "/api/organization", Some(default))
        .await
        .ok();
    let told = tighten(&server, &session).await.ok();
    assert_eq!(
        told["mode"],
        json!({"before": "unrestricted", "after": "limited"})
    );
    assert_eq!(
        told["tightened_by"][0]["source"]["kind"],
        "organization_default"
    );
}

async fn an_environment_at_another_version_tightens_nothing(server: Server) {
    let (environment, session) = session(&server, &["a.example"]).await;
    let now = allow(&server, &environment, &[]).await;
    let path = format!("/api/sessions/{session}/tighten");
    let at = |version: i64| {
        let request = server.request(Method::POST, &path);
        let request = request.header("x-api-key", &server.key);
        crate::answer(request.header("if-match", format!("\"{version}\"")))
    };
    let refused = at(now - 1).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.body["code"], "stale");
    assert!(entries(&server, &session).await.is_empty());
    assert_eq!(destinations(&at(now).await.ok()["closed"]), ["a.example"]);
}

async fn who_may_not_is_refused_and_what_is_not_there_is_not_found(server: Server) {
    let (_, session) = session(&server, &[]).await;
    let path = format!("/api/sessions/{session}/tighten");
    for missing in [Permission::SessionWrite, Permission::EnvironmentRead] {
        let others: Vec<_> = Permission::ALL
            .iter()
            .copied()
            .filter(|one| *one != missing)
            .collect();
        let key = key_with(&server, missing.as_str(), &others).await;
        let refused = server.send_as(&key, Method::POST, &path, None).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{missing}");
    }
    let other = server.other_organization().await;
    let refused = server.send_as(&other, Method::POST, &path, None).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let nothing = SessionId::made(1_795_000_000_000, [7; 10]);
    let refused = tighten(&server, nothing.as_str()).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

async fn a_self_hosted_session_is_its_workers_business(server: Server) {
    let body = json!({"name": "racks", "config": {"type": "self_hosted"}});
    let environment = id_of(&server, "/v1/environments", body).await;
    let body = json!({"agent": agent(&server).await, "environment_id": environment});
    let session = id_of(&server, "/v1/sessions", body).await;
    let refused = tighten(&server, &session).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::BAD_REQUEST, &json!("self_hosted"))
    );
}

async fn a_session_that_has_ended_is_not_tightened(server: Server) {
    let (environment, session) = session(&server, &["a.example"]).await;
    let path = format!("/v1/sessions/{session}/archive");
    server.post(&path, json!({})).await.ok();
    allow(&server, &environment, &[]).await;
    let refused = tighten(&server, &session).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::BAD_REQUEST, &json!("session_archived"))
    );
    assert!(entries(&server, &session).await.is_empty());
}

async fn a_session_has_a_number_of_policies_and_no_more(server: Server) {
    let (environment, session) = session(&server, &["a.example"]).await;
    for number in 0..bailiwick_model::limits::SESSION_TIGHTENINGS {
        allow(&server, &environment, &[&format!("n{number}.example")]).await;
        tighten(&server, &session).await.ok();
    }
    allow(&server, &environment, &["one.more.example"]).await;
    let refused = tighten(&server, &session).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::BAD_REQUEST, &json!("full"))
    );
}
