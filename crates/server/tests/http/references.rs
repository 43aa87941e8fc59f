//! What refers to an environment, and that it is not deleted before nothing does.

use bailiwick_model::PredefinedRole;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, on_both};

on_both!(
    what_refers_to_an_environment_is_told_by_kind_and_id,
    an_environment_goes_when_nothing_refers_to_it,
    the_wire_tells_what_stands_in_the_way_too,
    a_key_that_is_not_taken_any_more_holds_nothing,
    pages_of_references_follow_each_other_to_the_end,
    references_are_no_other_organizations,
    what_comes_to_refer_to_it_meanwhile_is_never_lost,
);

/// An environment with a placed agent, a key and a grant; the ids of these.
async fn used(server: &Server) -> (String, Value, Value, Value) {
    let made = hosted(server, "dev").await;
    let id = made.text("id").to_owned();
    let restricted = json!({"restricted": true});
    let path = format!("/api/environments/{id}");
    server
        .send(Method::PATCH, &path, Some(restricted))
        .await
        .ok();
    let agent = server
        .post("/v1/agents", json!({"name": "a", "model": "m"}))
        .await
        .ok()["id"]
        .clone();
    let path = format!("/api/agents/{}", agent.as_str().unwrap());
    let place = json!({"environment_id": id});
    server.send(Method::PATCH, &path, Some(place)).await.ok();
    let path = format!("/api/environments/{id}");
    let key = server
        .post(&format!("{path}/keys"), json!({"name": "worker"}))
        .await;
    let team = server.post("/api/teams", json!({"name": "t"})).await.ok();
    let grant = json!({"team_id": team["id"]});
    let grant = server.post(&format!("{path}/grants"), grant).await.ok();
    (id, agent, key.ok()["id"].clone(), grant["id"].clone())
}

/// An environment whose workers may have keys.
async fn hosted(server: &Server, name: &str) -> Answer {
    let body = json!({"name": name, "config": {"type": "self_hosted"}});
    server.post("/v1/environments", body).await
}

async fn what_refers_to_an_environment_is_told_by_kind_and_id(server: Server) {
    let (id, agent, key, grant) = used(&server).await;
    let path = format!("/api/environments/{id}/references");
    let told = server.get(&path).await.ok();
    let all = json!([
        {"kind": "agent", "id": agent},
        {"kind": "environment_key", "id": key},
        {"kind": "grant", "id": grant},
    ]);
    assert_eq!(told["data"], all);
    let counts = json!({"agent": 1, "environment_key": 1, "grant": 1});
    assert_eq!(
        (&told["counts"], &told["next_page"]),
        (&counts, &Value::Null)
    );
    let member = server.key_of(PredefinedRole::Member).await;
    let read = server.send_as(&member, Method::GET, &path, None).await;
    assert_eq!(read.ok(), told);
}

async fn an_environment_goes_when_nothing_refers_to_it(server: Server) {
    let (id, agent, key, grant) = used(&server).await;
    let path = format!("/api/environments/{id}");
    let refused = server.send(Method::DELETE, &path, None).await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (StatusCode::CONFLICT, "referred")
    );
    let counts = json!({"agent": 1, "environment_key": 1, "grant": 1});
    assert_eq!(refused.body["references"]["counts"], counts);
    let agent = format!("/api/agents/{}", agent.as_str().unwrap());
    let nowhere = json!({"environment_id": null});
    server.send(Method::PATCH, &agent, Some(nowhere)).await.ok();
    let key = format!("/api/keys/{}", key.as_str().unwrap());
    server.send(Method::DELETE, &key, None).await.ok();
    let refused = server.send(Method::DELETE, &path, None).await;
    assert_eq!(
        refused.body["references"]["data"],
        json!([{"kind": "grant", "id": grant}])
    );
    let grant = format!("{path}/grants/{}", grant.as_str().unwrap());
    server.send(Method::DELETE, &grant, None).await.ok();
    let deleted = server.send(Method::DELETE, &path, None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
}

async fn the_wire_tells_what_stands_in_the_way_too(server: Server) {
    let (id, agent, ..) = used(&server).await;
    // Archived or not.
    let path = format!("/v1/environments/{id}");
    let archive = format!("{path}/archive");
    server.send(Method::POST, &archive, None).await.ok();
    // Nothing new comes to refer to it.
    let team = server.post("/api/teams", json!({"name": "u"})).await.ok();
    for (path, body) in [
        ("keys", json!({"name": "k"})),
        ("grants", json!({"team_id": team["id"]})),
    ] {
        let path = format!("/api/environments/{id}/{path}");
        let refused = server.post(&path, body).await;
        assert_eq!(refused.text("code"), "environment_archived");
    }
    let refused = server.send(Method::DELETE, &path, None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.header("x-should-retry"), "false");
    let details = &refused.body["error"]["details"];
    assert_eq!(details["error_code"], "referred");
    assert_eq!(details["references"]["data"][0]["id"], agent);
}

async fn a_key_that_is_not_taken_any_more_holds_nothing(server: Server) {
    let made = hosted(&server, "dev").await;
    let path = format!("/api/environments/{}", made.text("id"));
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1500);
    let key = json!({"name": "short", "expires_at": soon});
    server.post(&format!("{path}/keys"), key).await.ok();
    let refused = server.send(Method::DELETE, &path, None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let deleted = server.send(Method::DELETE, &path, None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
}

async fn pages_of_references_follow_each_other_to_the_end(server: Server) {
    let (id, ..) = used(&server).await;
    let path = format!("/api/environments/{id}");
    for number in 0..3 {
        let key = json!({"name": format!("k{number}")});
        server.post(&format!("{path}/keys"), key).await.ok();
    }
    let all = server.get(&format!("{path}/references")).await.ok();
    assert_eq!(all["data"].as_array().unwrap().len(), 6);
    let (mut found, mut query) = (Vec::new(), format!("{path}/references?limit=2"));
    loop {
        let page = server.get(&query).await.ok();
        found.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("{path}/references?limit=2&page={next}");
    }
    assert_eq!(Value::Array(found), all["data"]);
    for bad in [
        "limit=0",
        "limit=1001",
        "page=page_x",
        "page=page_mcp.x",
        "x=1",
    ] {
        let refused = server.get(&format!("{path}/references?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

async fn references_are_no_other_organizations(server: Server) {
    let (id, ..) = used(&server).await;
    let other = server.other_organization().await;
    let path = format!("/api/environments/{id}/references");
    let answer = server.send_as(&other, Method::GET, &path, None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get(&path).await.status, StatusCode::OK);
}

async fn what_comes_to_refer_to_it_meanwhile_is_never_lost(server: Server) {
    let team = server.post("/api/teams", json!({"name": "t"})).await.ok();
    for round in 0..8 {
        let made = hosted(&server, &format!("e{round}")).await;
        let path = format!("/api/environments/{}", made.text("id"));
        let (keys, grants) = (format!("{path}/keys"), format!("{path}/grants"));
        let (key, grant, deleted) = tokio::join!(
            server.post(&keys, json!({"name": "k"})),
            server.post(&grants, json!({"team_id": team["id"]})),
            server.send(Method::DELETE, &path, None),
        );
        let made = [key.status, grant.status];
        if deleted.status == StatusCode::NO_CONTENT {
            assert_eq!(made, [StatusCode::NOT_FOUND; 2]);
        } else {
            assert_eq!(deleted.status, StatusCode::CONFLICT, "{deleted:?}");
            assert!(made.contains(&StatusCode::CREATED), "{made:?}");
        }
    }
}
