//! Environments, through both faces.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Server, on_both};

on_both!(
    a_change_through_one_face_is_seen_through_the_other,
    what_the_wire_cannot_say_survives_what_it_changes,
    of_two_who_read_the_same_version_one_changes_it,
    a_change_of_nothing_is_no_revision,
    a_taken_name_is_a_conflict_that_is_not_tried_again,
    an_archived_environment_is_read_and_not_changed,
    the_default_environment_stays,
    pages_follow_each_other_to_the_end,
    what_does_not_exist_and_what_is_another_organizations_look_the_same,
);

async fn a_change_through_one_face_is_seen_through_the_other(server: Server) {
    let made = server
        .post("/v1/environments", json!({"name": "dev"}))
        .await
        .ok();
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        made["config"]["networking"],
        json!({"type": "unrestricted"})
    );
    let change = json!({"name": "Dev", "restricted": true, "namespace": "dev", "config": {"networking": {"type": "limited", "presets": ["package_managers"]}}});
    let api = server
        .send(
            Method::PATCH,
            &format!("/api/environments/{id}"),
            Some(change),
        )
        .await;
    assert_eq!((api.status, api.header("etag")), (StatusCode::OK, "\"2\""));
    let wire = server
        .get(&format!("/v1/environments/{id}?beta=true"))
        .await
        .ok();
    assert_eq!(wire["name"], "Dev");
    assert_eq!(
        wire["config"]["networking"]["presets"],
        json!(["package_managers"])
    );
    let both = server.get(&format!("/api/environments/{id}")).await.ok();
    assert_eq!(
        (&both["restricted"], &both["namespace"]),
        (&json!(true), &json!("dev"))
    );
}

async fn what_the_wire_cannot_say_survives_what_it_changes(server: Server) {
    let body = json!({"name": "dev", "restricted": true, "config": {"type": "cloud", "networking": {"type": "limited", "denied_hosts": ["*.prod.example.com"], "denied_cidrs": ["10.0.0.0/8"]}}});
    let made = server.post("/api/environments", body).await.ok();
    let id = made["id"].as_str().unwrap();
    let change = json!({"config": {"type": "cloud", "networking": {"type": "unrestricted"}}});
    let after = server
        .post(&format!("/v1/environments/{id}"), change)
        .await
        .ok();
    assert_eq!(
        after["config"]["networking"],
        json!({"type": "unrestricted", "denied_hosts": ["*.prod.example.com"], "denied_cidrs": ["10.0.0.0/8"]})
    );
    let both = server.get(&format!("/api/environments/{id}")).await.ok();
    assert_eq!(both["restricted"], true);
}

async fn of_two_who_read_the_same_version_one_changes_it(server: Server) {
    let made = server
        .post("/api/environments", json!({"name": "dev"}))
        .await;
    let path = format!("/api/environments/{}", made.text("id"));
    let change = |name: &'static str| {
        let request = server
            .request(Method::PATCH, &path)
            .header("x-api-key", &server.key);
        crate::answer(
            request
                .header("if-match", "\"1\"")
                .json(&json!({"description": name})),
        )
    };
    let (first, second) = tokio::join!(change("a"), change("b"));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CONFLICT]);
}

async fn a_change_of_nothing_is_no_revision(server: Server) {
    let made = server
        .post(
            "/api/environments",
            json!({"name": "dev", "metadata": {"a": "1"}}),
        )
        .await;
    let path = format!("/api/environments/{}", made.text("id"));
    let same = json!({"name": "dev", "metadata": {"a": "1"}, "config": {"type": "cloud"}});
    let after = server.send(Method::PATCH, &path, Some(same)).await.ok();
    assert_eq!(after["version"], 1);
}

async fn a_taken_name_is_a_conflict_that_is_not_tried_again(server: Server) {
    server
        .post("/v1/environments", json!({"name": "Dev"}))
        .await
        .ok();
    let second = server
        .post("/v1/environments", json!({"name": "dEV "}))
        .await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.body["error"]["type"], "conflict_error");
    assert_eq!(second.header("x-should-retry"), "false");
}

async fn an_archived_environment_is_read_and_not_changed(server: Server) {
    let made = server
        .post("/v1/environments", json!({"name": "dev"}))
        .await;
    let path = format!("/v1/environments/{}", made.text("id"));
    let archived = server
        .send(Method::POST, &format!("{path}/archive"), None)
        .await
        .ok();
    assert!(archived["archived_at"].is_string());
    let again = server
        .send(Method::POST, &format!("{path}/archive"), None)
        .await
        .ok();
    assert_eq!(again, archived);
    let refused = server.post(&path, json!({"name": "new"})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.body["error"]["details"]["error_code"],
        "environment_archived"
    );
    assert_eq!(server.get(&path).await.ok(), archived);
    // Its name is free.
    server
        .post("/v1/environments", json!({"name": "dev"}))
        .await
        .ok();
    let listed = |query: &'static str| server.get(query);
    let count = |list: Value| list["data"].as_array().unwrap().len();
    assert_eq!(count(listed("/v1/environments").await.ok()), 2);
    assert_eq!(
        count(listed("/v1/environments?include_archived=true").await.ok()),
        3
    );
    let deleted = server.send(Method::DELETE, &path, None).await.ok();
    assert_eq!(deleted["type"], "environment_deleted");
}

async fn the_default_environment_stays(server: Server) {
    let list = server.get("/api/environments").await.ok();
    let default = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["is_default"] == true)
        .unwrap();
    let path = format!("/v1/environments/{}", default["id"].as_str().unwrap());
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/archive")),
    ] {
        assert_eq!(
            server.send(method, &path, None).await.status,
            StatusCode::CONFLICT
        );
    }
    let renamed = server
        .post(&path, json!({"name": "Everything else"}))
        .await
        .ok();
    assert_eq!(renamed["name"], "Everything else");
}

async fn pages_follow_each_other_to_the_end(server: Server) {
    for number in 0..5 {
        server
            .post("/v1/environments", json!({"name": format!("e{number}")}))
            .await
            .ok();
    }
    let (mut names, mut query) = (Vec::new(), "/v1/environments?limit=2".to_owned());
    loop {
        let page = server.get(&query).await.ok();
        let data = page["data"].as_array().unwrap().clone();
        names.extend(data.iter().map(|e| e["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("/v1/environments?limit=2&page={next}");
    }
    assert_eq!(names, ["e4", "e3", "e2", "e1", "e0", "Default"]);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "page=page_x",
        "page=env_1",
        "include_archived=maybe",
    ] {
        let refused = server.get(&format!("/v1/environments?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

async fn what_does_not_exist_and_what_is_another_organizations_look_the_same(server: Server) {
    let made = server
        .post("/v1/environments", json!({"name": "dev"}))
        .await;
    let theirs = made.text("id");
    let other = server.other_organization().await;
    let nobodys = "env_1ChGqExyZXj8gBdypLbMAf";
    for id in [theirs, nobodys, "env_x", "..%2f..%2fetc"] {
        for (method, path) in [
            (Method::GET, format!("/v1/environments/{id}")),
            (Method::POST, format!("/v1/environments/{id}")),
            (Method::DELETE, format!("/v1/environments/{id}")),
            (Method::POST, format!("/v1/environments/{id}/archive")),
            (Method::GET, format!("/api/environments/{id}")),
            (Method::PATCH, format!("/api/environments/{id}")),
            (Method::GET, format!("/api/environments/{id}/policy")),
            (
                Method::GET,
                format!("/api/environments/{id}/explain?destination=example.com"),
            ),
        ] {
            let answer = server.send_as(&other, method.clone(), &path, None).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    // The control: its own organization sees it.
    assert_eq!(
        server
            .get(&format!("/v1/environments/{theirs}"))
            .await
            .status,
        StatusCode::OK
    );
}
