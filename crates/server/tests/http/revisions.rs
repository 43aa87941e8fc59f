//! Revisions of environments: who changed what.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Server, on_both};

on_both!(
    each_change_is_a_revision_that_says_who_made_it_and_what_changed,
    a_change_through_either_face_is_a_revision_and_none_is_none,
    pages_of_revisions_follow_each_other_to_the_end,
    revisions_are_no_other_organizations,
    a_revision_of_before_is_shown_with_what_is_known,
);

async fn made(server: &Server) -> String {
    let body = json!({"name": "dev", "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.example.com"]}}});
    server
        .post("/api/environments", body)
        .await
        .text("id")
        .to_owned()
}

async fn change(server: &Server, id: &str, body: Value) {
    let path = format!("/api/environments/{id}");
    server.send(Method::PATCH, &path, Some(body)).await.ok();
}

async fn each_change_is_a_revision_that_says_who_made_it_and_what_changed(server: Server) {
    let id = made(&server).await;
    let networking =
        json!({"type": "limited", "allowed_hosts": ["a.example.com", "b.example.com"]});
    change(
        &server,
        &id,
        json!({"name": "Dev", "restricted": true, "config": {"type": "cloud", "networking": networking}}),
    )
    .await;
    server
        .post(&format!("/api/environments/{id}/archive"), json!({}))
        .await
        .ok();
    let all = server
        .get(&format!("/api/environments/{id}/revisions"))
        .await
        .ok();
    let numbers: Vec<_> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["number"])
        .collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(all["next_page"], Value::Null);
    let [archived, changed, first] = [0, 1, 2].map(|at| all["data"][at].clone());
    assert_eq!(
        archived["changes"],
        json!([{"field": "archived", "before": false, "after": true}])
    );
    assert_eq!(first["changes"], json!([]));
    assert_eq!(
        (&first["name"], &first["restricted"]),
        (&json!("dev"), &json!(false))
    );
    let fields: Vec<_> = changed["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["config.networking.allowed_hosts", "name", "restricted"]
    );
    assert_eq!(
        changed["changes"][0],
        json!({"field": "config.networking.allowed_hosts", "before": ["a.example.com"], "after": ["a.example.com", "b.example.com"]})
    );
    let log = server.get("/api/audit-log").await.ok();
    let entries = log["data"].as_array().unwrap();
    let update = entries
        .iter()
        .find(|entry| entry["action"] == "environment.update")
        .unwrap();
    assert_eq!(
        changed["created_by"],
        json!({"type": "user", "id": update["actor"]["id"]})
    );
    assert_eq!(changed["created_at"], update["at"]);
    for one in [archived, changed, first] {
        let path = format!("/api/environments/{id}/revisions/{}", one["number"]);
        assert_eq!(server.get(&path).await.ok(), one);
    }
}

async fn a_change_through_either_face_is_a_revision_and_none_is_none(server: Server) {
    let id = made(&server).await;
    let path = format!("/v1/environments/{id}");
    server.post(&path, json!({"description": "x"})).await.ok();
    server.post(&path, json!({"description": "x"})).await.ok();
    let all = server
        .get(&format!("/api/environments/{id}/revisions"))
        .await
        .ok();
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        all["data"][0]["changes"],
        json!([{"field": "description", "before": null, "after": "x"}])
    );
    let default = server.get("/api/environments").await.ok()["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["is_default"] == true)
        .unwrap()
        .clone();
    let path = format!(
        "/api/environments/{}/revisions/1",
        default["id"].as_str().unwrap()
    );
    assert_eq!(
        server.get(&path).await.ok()["created_by"],
        json!({"type": "system", "id": "bailiwick"})
    );
}

async fn pages_of_revisions_follow_each_other_to_the_end(server: Server) {
    let id = made(&server).await;
    for number in 0..6 {
        change(&server, &id, json!({"description": format!("{number}")})).await;
    }
    let (mut page, mut seen) = (String::new(), Vec::new());
    loop {
        let path = format!("/api/environments/{id}/revisions?limit=2{page}");
        let found = server.get(&path).await.ok();
        for one in found["data"].as_array().unwrap() {
            let number = one["number"].as_i64().unwrap();
            // The one before is known across pages.
            assert_eq!(
                one["changes"].as_array().unwrap().len(),
                usize::from(number > 1)
            );
            seen.push(number);
        }
        match found["next_page"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    for wrong in ["limit=0", "limit=101", "page=page_x", "x=1"] {
        let path = format!("/api/environments/{id}/revisions?{wrong}");
        assert_eq!(
            server.get(&path).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
}

async fn revisions_are_no_other_organizations(server: Server) {
    let id = made(&server).await;
    let other = server.other_organization().await;
    for path in ["", "/1"].map(|end| format!("/api/environments/{id}/revisions{end}")) {
        let answer = server.send_as(&other, Method::GET, &path, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        server.get(&path).await.ok();
    }
    for number in [
        "0",
        "2",
        "-1",
        "x",
        "9223372036854775807",
        "99999999999999999999",
    ] {
        let path = format!("/api/environments/{id}/revisions/{number}");
        assert_eq!(
            server.get(&path).await.status,
            StatusCode::NOT_FOUND,
            "{number}"
        );
    }
}

async fn a_revision_of_before_is_shown_with_what_is_known(server: Server) {
    let id = made(&server).await;
    change(&server, &id, json!({"name": "later"})).await;
    // As a version before this one writes it.
    let nothing = "name = NULL, description = NULL, restricted = NULL, namespace = NULL, metadata = NULL, archived = NULL, actor_kind = NULL, actor_id = NULL";
    let sql = format!(
        "UPDATE environment_revision SET {nothing} WHERE number = 1 AND environment_id = '{id}'"
    );
    crate::retention::run(&server, sql).await;
    let all = server
        .get(&format!("/api/environments/{id}/revisions"))
        .await
        .ok();
    let first = &all["data"][1];
    assert_eq!(
        (&first["name"], &first["created_by"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(first["config"]["type"], "cloud");
    assert_eq!(all["data"][0]["changes"], json!([]));
}
