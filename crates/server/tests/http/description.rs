//! `/api/openapi.json`, and what requests that were made from it have found.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::form::file;
use crate::{Server, answer, on_both};

on_both!(
    everybody_reads_the_document,
    a_list_below_what_is_not_there_is_not_found,
    who_administers_environments_and_nothing_else_changes_the_policies,
    who_makes_skills_and_does_not_read_them_is_told_what_they_made,
    a_name_with_a_character_that_cannot_be_seen_is_refused_at_its_ends_too,
    an_entry_of_the_audit_log_has_a_number,
    what_expires_in_the_last_second_of_all_is_listed,
);

/// The key of a service account with one permission.
async fn key_with(server: &Server, permission: &str) -> String {
    let role = json!({"name": permission, "permissions": [permission]});
    let role = server.post("/api/roles", role).await;
    let account = json!({"name": permission, "role_id": role.text("id")});
    let account = server.post("/api/service-accounts", account).await;
    let keys = format!("/api/service-accounts/{}/keys", account.text("id"));
    let key = server.post(&keys, json!({"name": "k"})).await;
    key.text("key").to_owned()
}

async fn everybody_reads_the_document(server: Server) {
    let answer = answer(server.request(Method::GET, "/api/openapi.json")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.ok(), bailiwick_server::openapi());
}

async fn a_list_below_what_is_not_there_is_not_found(server: Server) {
    let environment = server.post("/v1/environments", json!({"name": "a"})).await;
    let grants = format!("/api/environments/{}/grants", environment.text("id"));
    let team = server.post("/api/teams", json!({"name": "a"})).await;
    let members = format!("/api/teams/{}/members", team.text("id"));
    let other = server.other_organization().await;
    for path in [grants, members] {
        assert_eq!(server.get(&path).await.ok(), json!({"data": []}));
        let theirs = server.send_as(&other, Method::GET, &path, None).await;
        assert_eq!(theirs.status, StatusCode::NOT_FOUND, "{path}");
    }
}

async fn who_administers_environments_and_nothing_else_changes_the_policies(server: Server) {
    let key = key_with(&server, "environment:admin").await;
    let change = json!({"denied_hosts": ["*.prod.example.com"]});
    let changed = server.send_as(&key, Method::PATCH, "/api/organization", Some(change));
    assert_eq!(
        changed.await.ok()["denied_hosts"],
        json!(["*.prod.example.com"])
    );
}

async fn who_makes_skills_and_does_not_read_them_is_told_what_they_made(server: Server) {
    let key = key_with(&server, "skill:write").await;
    let text = "---\nname: notes\ndescription: Notes.\n---\n";
    let files = [file("files[]", "notes/SKILL.md", text.as_bytes())];
    let made = answer(server.form(&key, "/v1/skills", &files)).await;
    let versions = format!("/v1/skills/{}/versions", made.text("id"));
    answer(server.form(&key, &versions, &files)).await.ok();
    let read = server.send_as(&key, Method::GET, &versions, None).await;
    assert_eq!(read.status, StatusCode::FORBIDDEN);
}

async fn a_name_with_a_character_that_cannot_be_seen_is_refused_at_its_ends_too(server: Server) {
    for path in ["/api/teams", "/api/keys"] {
        for name in ["a\n", "\u{85}a", "a\u{1b}b"] {
            let answer = server.post(path, json!({"name": name})).await;
            assert_eq!(answer.text("code"), "invalid_name", "{path} {name:?}");
        }
        server.post(path, json!({"name": " a "})).await.ok();
    }
}

async fn an_entry_of_the_audit_log_has_a_number(server: Server) {
    server.get("/api/audit-log?after=0").await.ok();
    let answer = server.get("/api/audit-log?after=-1").await;
    assert_eq!(answer.text("code"), "invalid_parameter");
}

async fn what_expires_in_the_last_second_of_all_is_listed(server: Server) {
    let last = "9999-12-30T22:00:00.999999Z";
    let key = json!({"name": "k", "expires_at": last});
    server.post("/api/keys", key).await.ok();
    let keys = server.get("/api/keys").await.ok();
    assert_eq!(keys["data"][0]["expires_at"], last);
}
