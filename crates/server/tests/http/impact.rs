//! What a change of policy would do, before it is made.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, on_both};

on_both!(
    what_would_open_and_close_is_told_and_nothing_is_written,
    who_is_concerned_is_told,
    a_change_without_effect_concerns_nobody,
    a_change_is_refused_as_the_real_one_would_be,
    a_floor_and_a_default_policy_tell_which_environments_change,
    pages_of_concerned_environments_follow_each_other_to_the_end,
    only_who_could_make_the_change_is_told,
);

async fn environment(server: &Server, name: &str, networking: Value) -> String {
    let body = json!({"name": name, "config": {"type": "cloud", "networking": networking}});
    let made = server.post("/v1/environments", body).await;
    made.text("id").to_owned()
}

async fn place(server: &Server, environment: &str) -> Value {
    let made = server
        .post("/v1/agents", json!({"name": "a", "model": "m"}))
        .await;
    let path = format!("/api/agents/{}", made.text("id"));
    let there = json!({"environment_id": environment});
    server.send(Method::PATCH, &path, Some(there)).await.ok();
    made.body["id"].clone()
}

async fn impact(server: &Server, id: &str, change: Value) -> Answer {
    let path = format!("/api/environments/{id}/impact");
    server.post(&path, change).await
}

fn destinations(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["destination"].as_str().unwrap())
        .collect()
}

async fn what_would_open_and_close_is_told_and_nothing_is_written(server: Server) {
    let networking = json!({"type": "limited", "allowed_hosts": ["a.example.com"]});
    let id = environment(&server, "dev", networking).await;
    let before = server.get(&format!("/api/environments/{id}")).await.ok();
    let change = json!({"config": {"networking": {"allowed_hosts": ["b.example.com"]}}});
    let told = impact(&server, &id, change).await.ok();
    assert_eq!(destinations(&told["opened"]), ["b.example.com"]);
    assert_eq!(destinations(&told["closed"]), ["a.example.com"]);
    assert_eq!(
        (&told["opened"][0]["before"], &told["opened"][0]["after"]),
        (&json!("no_rule"), &json!("host_rule"))
    );
    assert_eq!(told["mode"], Value::Null);
    assert_eq!(
        server.get(&format!("/api/environments/{id}")).await.ok(),
        before
    );
}

async fn who_is_concerned_is_told(server: Server) {
    let id = environment(&server, "dev", json!({"type": "unrestricted"})).await;
    let agent = place(&server, &id).await;
    let change = json!({"config": {"networking": {"type": "limited"}}});
    let told = impact(&server, &id, change).await.ok();
    assert_eq!(
        told["mode"],
        json!({"before": "unrestricted", "after": "limited"})
    );
    assert_eq!(
        (&told["concerned"]["counts"], &told["concerned"]["data"]),
        (
            &json!({"agent": 1}),
            &json!([{"kind": "agent", "id": agent}])
        )
    );
    // To inherit what says the same changes nothing but where it comes from.
    let told = impact(&server, &id, json!({"inherits_policy": true}))
        .await
        .ok();
    assert_eq!((&told["opened"], &told["closed"]), (&json!([]), &json!([])));
    assert_eq!(told["source"]["after"]["kind"], "built_in");
}

async fn a_change_without_effect_concerns_nobody(server: Server) {
    let id = environment(&server, "dev", json!({"type": "unrestricted"})).await;
    place(&server, &id).await;
    let change = json!({"description": "x", "restricted": true});
    let told = impact(&server, &id, change).await.ok();
    assert_eq!(told["concerned"]["data"], json!([]));
    let body = json!({"name": "workers", "config": {"type": "self_hosted"}});
    let made = server.post("/v1/environments", body).await;
    let told = impact(&server, made.text("id"), json!({"name": "w"})).await;
    assert_eq!(told.ok()["source"], Value::Null);
}

async fn a_change_is_refused_as_the_real_one_would_be(server: Server) {
    let id = environment(&server, "dev", json!({"type": "limited"})).await;
    let bad = json!({"config": {"networking": {"allowed_hosts": ["*.com"]}}});
    let refused = impact(&server, &id, bad).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.body["errors"][0]["field"],
        "config.networking.allowed_hosts[0]"
    );
    let refused = impact(&server, &id, json!({"colour": "red"})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let stale = server
        .request(Method::POST, &format!("/api/environments/{id}/impact"))
        .header("x-api-key", &server.key)
        .header("if-match", "\"7\"");
    let stale = crate::answer(stale.json(&json!({}))).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let path = "/api/organization/impact";
    for (body, status) in [
        (json!({"denied_hosts": ["*.com"]}), StatusCode::BAD_REQUEST),
        (json!({"colour": "red"}), StatusCode::BAD_REQUEST),
        (json!({"version": 7}), StatusCode::CONFLICT),
    ] {
        assert_eq!(server.post(path, body).await.status, status);
    }
    let archive = format!("/v1/environments/{id}/archive");
    server.send(Method::POST, &archive, None).await.ok();
    let refused = impact(&server, &id, json!({})).await;
    assert_eq!(refused.text("code"), "environment_archived");
}

async fn a_floor_and_a_default_policy_tell_which_environments_change(server: Server) {
    let limited = json!({"type": "limited", "allowed_hosts": ["db.prod.example.com"]});
    let own = environment(&server, "own", limited).await;
    let agent = place(&server, &own).await;
    let closed = json!({"type": "limited"});
    environment(&server, "closed", closed.clone()).await;
    let made = server
        .post("/v1/environments", json!({"name": "inherits"}))
        .await;
    let before = server.get("/api/organization").await.ok();
    let path = "/api/organization/impact";
    let names = |told: &Value| {
        let data = told["data"].as_array().unwrap().iter();
        data.map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // The default: those that inherit it.
    let told = server
        .post(path, json!({"default_networking": closed}))
        .await
        .ok();
    assert_eq!(names(&told), ["inherits", "Default"]);
    assert_eq!(told["data"][0]["environment_id"], made.body["id"]);
    assert_eq!(
        told["data"][0]["source"]["after"]["kind"],
        "organization_default"
    );
    // The floor: those that could reach it.
    let told = server
        .post(path, json!({"denied_hosts": ["*.prod.example.com"]}))
        .await
        .ok();
    assert_eq!(names(&told), ["inherits", "own", "Default"]);
    let of_own = &told["data"][1];
    assert_eq!(destinations(&of_own["closed"]), ["db.prod.example.com"]);
    assert_eq!(of_own["closed"][0]["after"], "organization_floor");
    assert_eq!(of_own["concerned"]["data"][0]["id"], agent);
    assert_eq!(server.get("/api/organization").await.ok(), before);
}

async fn pages_of_concerned_environments_follow_each_other_to_the_end(server: Server) {
    for number in 0..4 {
        let body = json!({"name": format!("e{number}")});
        server.post("/v1/environments", body).await.ok();
    }
    let change = json!({"default_networking": {"type": "limited"}});
    let (mut found, mut query) = (0, "/api/organization/impact?limit=2".to_owned());
    loop {
        let page = server.post(&query, change.clone()).await.ok();
        found += page["data"].as_array().unwrap().len();
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("/api/organization/impact?limit=2&page={next}");
    }
    assert_eq!(found, 5);
    for bad in ["limit=0", "limit=101", "page=page_x", "x=1"] {
        let path = format!("/api/organization/impact?{bad}");
        let refused = server.post(&path, json!({})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

async fn only_who_could_make_the_change_is_told(server: Server) {
    let id = environment(&server, "dev", json!({"type": "limited"})).await;
    let other = server.other_organization().await;
    let path = format!("/api/environments/{id}/impact");
    let answer = server
        .send_as(&other, Method::POST, &path, Some(json!({})))
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let theirs = server
        .send_as(
            &other,
            Method::POST,
            "/api/organization/impact",
            Some(json!({"default_networking": {"type": "limited"}})),
        )
        .await
        .ok();
    assert_eq!(theirs["data"].as_array().unwrap().len(), 1);
}
