//! What holds in an environment, and why.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Server, on_both};

on_both!(
    the_organizations_policy_holds_where_there_is_none,
    the_floor_holds_whatever_a_policy_says,
    a_floor_that_is_wrong_is_refused_with_its_field,
);

async fn explain(server: &Server, id: &str, destination: &str) -> Value {
    server
        .get(&format!(
            "/api/environments/{id}/explain?destination={destination}"
        ))
        .await
        .ok()
}

async fn set(server: &Server, change: Value) -> Value {
    server
        .send(Method::PATCH, "/api/organization", Some(change))
        .await
        .ok()
}

async fn the_organizations_policy_holds_where_there_is_none(server: Server) {
    let made = server
        .post("/v1/environments", json!({"name": "dev"}))
        .await;
    let id = made.text("id");
    let before = explain(&server, id, "api.example.com:443").await;
    assert_eq!(
        (&before["verdict"], &before["source"]["kind"]),
        (&json!("allow"), &json!("built_in"))
    );
    set(
        &server,
        json!({"default_networking": {"type": "limited", "allowed_hosts": ["api.example.com"]}}),
    )
    .await;
    let allowed = explain(&server, id, "api.example.com:443").await;
    assert_eq!(
        (&allowed["reason"], &allowed["source"]["kind"]),
        (&json!("host_rule"), &json!("organization_default"))
    );
    assert_eq!(
        explain(&server, id, "example.org:443").await["verdict"],
        "deny"
    );
    // What it inherits is shown, and that it is inherited.
    let shown = server.get(&format!("/api/environments/{id}")).await.ok();
    assert_eq!(
        (
            &shown["inherits_policy"],
            &shown["config"]["networking"]["type"]
        ),
        (&json!(true), &json!("limited"))
    );
    // One of its own, and back.
    let path = format!("/api/environments/{id}");
    let own = json!({"config": {"networking": {"type": "unrestricted"}}});
    server.send(Method::PATCH, &path, Some(own)).await.ok();
    assert_eq!(
        explain(&server, id, "example.org:443").await["source"],
        json!({"kind": "environment", "name": "dev"})
    );
    server
        .send(Method::PATCH, &path, Some(json!({"inherits_policy": true})))
        .await
        .ok();
    assert_eq!(
        explain(&server, id, "example.org:443").await["verdict"],
        "deny"
    );
    set(&server, json!({"default_networking": null})).await;
    assert_eq!(
        explain(&server, id, "example.org:443").await["verdict"],
        "allow"
    );
}

async fn the_floor_holds_whatever_a_policy_says(server: Server) {
    let body = json!({"name": "dev", "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["db.prod.example.com"]}}});
    let made = server.post("/v1/environments", body).await;
    let id = made.text("id");
    assert_eq!(
        explain(&server, id, "db.prod.example.com:5432").await["verdict"],
        "allow"
    );
    set(
        &server,
        json!({"denied_hosts": ["*.prod.example.com"], "denied_cidrs": ["203.0.113.0/24"]}),
    )
    .await;
    let denied = explain(&server, id, "db.prod.example.com:5432").await;
    assert_eq!(
        (&denied["verdict"], &denied["reason"]),
        (&json!("deny"), &json!("organization_floor"))
    );
    // What is not named stays.
    let after = set(&server, json!({"denied_cidrs": []})).await;
    assert_eq!(
        (&after["denied_hosts"], &after["denied_cidrs"]),
        (&json!(["*.prod.example.com"]), &json!([]))
    );
    assert_eq!(after["allow_body_injection"], true);
    let after = set(&server, json!({"allow_body_injection": false})).await;
    assert_eq!(
        (&after["denied_hosts"], &after["allow_body_injection"]),
        (&json!(["*.prod.example.com"]), &json!(false))
    );
    let after = set(&server, json!({"denied_hosts": []})).await;
    assert_eq!(after["allow_body_injection"], false);
}

async fn a_floor_that_is_wrong_is_refused_with_its_field(server: Server) {
    let refused = server
        .send(
            Method::PATCH,
            "/api/organization",
            Some(json!({"denied_hosts": ["*.com"]})),
        )
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.body["errors"][0]["field"], "denied_hosts[0]");
    let stale = server
        .send(
            Method::PATCH,
            "/api/organization",
            Some(json!({"version": 7})),
        )
        .await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
}
