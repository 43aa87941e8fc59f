//! Skills and their versions.

use bailiwick_control::{Bootstrap, Control};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::form::{Part, field, file};
use crate::{Answer, Server, on_both};

on_both!(
    a_skill_has_the_fields_of_both_generations,
    versions_are_found_by_id_by_time_and_as_the_latest,
    an_archive_that_came_out_goes_in_again,
    a_name_is_taken_once_and_never_changes,
    a_skill_goes_with_its_versions_and_for_old_clients_after_them,
    files_that_are_no_skill_are_refused,
    pages_follow_each_other_to_the_end,
    who_may_not_is_refused,
    what_is_another_organizations_does_not_exist,
    of_versions_made_at_once_each_is_one,
);

const MANIFEST: &str = "---\nname: pdf\ndescription: Reads PDFs.\n---\n# PDF\n";
const OLD: (&str, &str) = ("anthropic-beta", "files-api-2025-04-14, Skills-2025-10-02");

fn manifest(name: &str) -> String {
    MANIFEST.replace("pdf", name)
}

async fn make(server: &Server, name: &str) -> Value {
    let manifest = manifest(name);
    let parts = [file("files[]", "d/SKILL.md", manifest.as_bytes())];
    server.send_form("/v1/skills", &parts).await.ok()
}

async fn version(server: &Server, skill: &str) -> Answer {
    let parts = [file("files[]", "d/SKILL.md", MANIFEST.as_bytes())];
    let path = format!("/v1/skills/{skill}/versions");
    server.send_form(&path, &parts).await
}

/// As clients of before 2026 ask.
async fn old(server: &Server, method: Method, path: &str) -> Answer {
    let request = server.request(method, path);
    let request = request.header("x-api-key", &server.key);
    crate::answer(request.header(OLD.0, OLD.1)).await
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

async fn a_skill_has_the_fields_of_both_generations(server: Server) {
    let parts = [
        file("files[]", "some/SKILL.md", MANIFEST.as_bytes()),
        field("display_name", " Reader of PDFs "),
        file("files[]", "some/scripts/read.py", b"print(1)"),
    ];
    let made = server.send_form("/v1/skills", &parts).await.ok();
    let path = format!("/v1/skills/{}", id(&made));
    let versions = format!("{path}/versions");
    let list = server.get(&versions).await.ok();
    let version = &list["data"][0];
    let micros = version["version"].as_str().unwrap();
    assert!(micros.parse::<u64>().is_ok());
    let expected = json!({
        "id": id(&made), "type": "skill", "display_name": "Reader of PDFs", "display_title": "Reader of PDFs",
        "source": {"type": "custom"}, "latest_version_id": id(version), "latest_version": micros,
        "created_at": made["created_at"], "updated_at": made["updated_at"],
    });
    assert_eq!(made, expected);
    assert_eq!(server.get(&path).await.ok(), made);
    let expected = json!({
        "id": id(version), "type": "skill_version", "skill_id": id(&made), "name": "pdf", "description": "Reads PDFs.",
        "directory": "pdf", "version": micros, "created_at": version["created_at"],
    });
    assert_eq!(*version, expected);
    let old = old(&server, Method::GET, &path).await.ok();
    assert_eq!(old["source"], "custom");
    // Without a name for people it has its own.
    let unnamed = make(&server, "unnamed").await;
    assert_eq!(unnamed["display_name"], "unnamed");
    // Clients of before 2026 send more than the files.
    let manifest = manifest("old");
    let parts = [
        field("files[][]", "d/SKILL.md"),
        field("files[][]", "b'---'"),
        file("files[]", "d/SKILL.md", manifest.as_bytes()),
    ];
    server.send_form("/v1/skills", &parts).await.ok();
}

async fn versions_are_found_by_id_by_time_and_as_the_latest(server: Server) {
    let skill = make(&server, "pdf").await;
    let second = version(&server, id(&skill)).await.ok();
    let path = format!("/v1/skills/{}/versions", id(&skill));
    for name in [id(&second), second["version"].as_str().unwrap(), "latest"] {
        let found = server.get(&format!("{path}/{name}")).await.ok();
        assert_eq!(found, second, "{name}");
    }
    let first = skill["latest_version_id"].as_str().unwrap();
    assert_ne!(server.get(&format!("{path}/{first}")).await.ok(), second);
    let other = make(&server, "other").await;
    let theirs = format!("/v1/skills/{}/versions/{first}", id(&other));
    for path in [
        theirs.as_str(),
        &format!("{path}/1"),
        &format!("{path}/x"),
        &format!("{path}/-9999999999999999999"),
    ] {
        assert_eq!(
            server.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

async fn an_archive_that_came_out_goes_in_again(server: Server) {
    let skill = make(&server, "pdf").await;
    let path = format!("/v1/skills/{}/versions", id(&skill));
    let (headers, archive) = server.bytes(&format!("{path}/latest/content")).await;
    assert_eq!(headers["content-type"], "application/zip");
    assert_eq!(
        headers["content-disposition"],
        "attachment; filename*=UTF-8''pdf.zip"
    );
    let part = Part {
        disposition: "name=\"files[]\"; filename=\"pdf.zip\"".to_owned(),
        media_type: Some("application/zip"),
        bytes: &archive,
    };
    let made = server.send_form(&path, &[part]).await.ok();
    let (again, bytes) = server.bytes(&format!("{path}/{}/content", id(&made))).await;
    assert_eq!(bytes, archive);
    assert_eq!(again["etag"], headers["etag"]);
}

async fn a_name_is_taken_once_and_never_changes(server: Server) {
    let skill = make(&server, "pdf").await;
    let parts = [file("files[]", "d/SKILL.md", MANIFEST.as_bytes())];
    let taken = server.send_form("/v1/skills", &parts).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let details = &taken.body["error"]["details"];
    assert_eq!(details["error_code"], "skill_name_taken");
    assert_eq!(taken.header("x-should-retry"), "false");
    let renamed = manifest("other");
    let parts = [file("files[]", "d/SKILL.md", renamed.as_bytes())];
    let path = format!("/v1/skills/{}/versions", id(&skill));
    let refused = server.send_form(&path, &parts).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let details = &refused.body["error"]["details"];
    assert_eq!(details["error_code"], "skill_name_changed");
    // What people call it may be the same.
    for name in ["a", "b"] {
        let manifest = manifest(name);
        let files = file("files[]", "d/SKILL.md", manifest.as_bytes());
        let parts = [files, field("display_title", "Same")];
        server.send_form("/v1/skills", &parts).await.ok();
    }
}

async fn a_skill_goes_with_its_versions_and_for_old_clients_after_them(server: Server) {
    let skill = make(&server, "pdf").await;
    let second = version(&server, id(&skill)).await.ok();
    let path = format!("/v1/skills/{}", id(&skill));
    let delete = async |path: String| server.send(Method::DELETE, &path, None).await;
    let latest = delete(format!("{path}/versions/latest")).await;
    assert_eq!(latest.status, StatusCode::NOT_FOUND);
    let deleted = delete(format!("{path}/versions/{}", id(&second)))
        .await
        .ok();
    assert_eq!(
        deleted,
        json!({"id": id(&second), "type": "skill_version_deleted"})
    );
    assert_eq!(
        server.get(&path).await.ok()["latest_version_id"],
        skill["latest_version_id"]
    );
    let first = skill["latest_version"].as_str().unwrap();
    let only = delete(format!("{path}/versions/{first}")).await;
    assert_eq!(only.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        only.body["error"]["details"]["error_code"],
        "only_skill_version"
    );
    let early = old(&server, Method::DELETE, &path).await;
    assert_eq!(early.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        early.body["error"]["details"]["error_code"],
        "skill_has_versions"
    );
    let last = format!("{path}/versions/{first}");
    let deleted = old(&server, Method::DELETE, &last).await.ok();
    assert_eq!(
        deleted,
        json!({"id": first, "type": "skill_version_deleted"})
    );
    assert_eq!(server.get(&path).await.ok()["latest_version"], Value::Null);
    old(&server, Method::DELETE, &path).await.ok();
    assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);

    let whole = make(&server, "pdf").await;
    version(&server, id(&whole)).await.ok();
    let path = format!("/v1/skills/{}", id(&whole));
    assert_eq!(
        delete(path.clone()).await.ok(),
        json!({"id": id(&whole), "type": "skill_deleted"})
    );
    for gone in [
        path.clone(),
        format!("{path}/versions"),
        format!("{path}/versions/latest"),
    ] {
        assert_eq!(
            server.get(&gone).await.status,
            StatusCode::NOT_FOUND,
            "{gone}"
        );
    }
    let control = Control::new(server.store.clone(), crate::sealing_keys(&[1]));
    assert_eq!(control.sweep_files().await.unwrap().contents, 4);
}

async fn files_that_are_no_skill_are_refused(server: Server) {
    let good = || file("files[]", "d/SKILL.md", MANIFEST.as_bytes());
    let long = "x".repeat(256);
    for (parts, code) in [
        (vec![], "missing_field"),
        (vec![field("display_name", "x")], "missing_field"),
        (vec![good(), field("colour", "red")], "unknown_field"),
        (vec![good(), field("display_name", "")], "invalid_name"),
        (vec![good(), field("display_name", "a\nb")], "invalid_name"),
        (vec![good(), field("display_name", &long)], "invalid_name"),
        (
            vec![
                field("display_name", "a"),
                field("display_title", "b"),
                good(),
            ],
            "duplicate",
        ),
        (vec![good(), file("files[]", "../x", b"x")], "invalid_path"),
        (
            vec![good(), file("files[]", "e/x", b"x")],
            "several_directories",
        ),
        (vec![file("files[]", "d/README.md", b"x")], "no_skill_md"),
        (vec![file("files[]", "SKILL.md", b"x")], "invalid_path"),
        (
            vec![file("files[]", "d/SKILL.md", b"# x")],
            "invalid_skill_md",
        ),
        (
            vec![file("files[]", "a.zip", b"PK\x03\x04xxx")],
            "invalid_archive",
        ),
    ] {
        let refused = server.send_form("/v1/skills", &parts).await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{code}: {refused:?}"
        );
        let details = &refused.body["error"]["details"];
        assert_eq!(details["error_code"], code, "{refused:?}");
    }
    let many: Vec<_> = (0..1001)
        .map(|n| file("files[]", &format!("d/{n}"), b"x"))
        .collect();
    let refused = server.send_form("/v1/skills", &many).await;
    assert_eq!(refused.body["error"]["details"]["error_code"], "too_much");
    let large = vec![0; (30 << 20) + 1];
    let parts = [good(), file("files[]", "d/x", &large)];
    let refused = server.send_form("/v1/skills", &parts).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let named = [good(), field("display_name", "x")];
    let skill = make(&server, "pdf").await;
    let path = format!("/v1/skills/{}/versions", id(&skill));
    let refused = server.send_form(&path, &named).await;
    assert_eq!(
        refused.body["error"]["details"]["error_code"],
        "unknown_field"
    );
    let nobodys = "/v1/skills/skill_1ChGqExyZXj8gBdypLbMAf/versions";
    let refused = server.send_form(nobodys, &[good()]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

async fn pages_follow_each_other_to_the_end(server: Server) {
    for name in ["a", "b", "c"] {
        make(&server, name).await;
    }
    let first = server.get("/v1/skills?limit=2&source=custom").await.ok();
    let cursor = first["next_page"].as_str().unwrap();
    let second = server.get(&format!("/v1/skills?page={cursor}")).await.ok();
    let names = |page: &Value| {
        let data = page["data"].as_array().unwrap().clone();
        data.iter()
            .map(|s| s["display_name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&first), names(&second)),
        (vec![json!("c"), json!("b")], vec![json!("a")])
    );
    assert_eq!(second["next_page"], Value::Null);
    let theirs = server.get("/v1/skills?source=anthropic").await.ok();
    assert_eq!(theirs["data"], json!([]));
    for bad in ["source=x", "limit=0", "limit=1001", "page=x"] {
        let refused = server.get(&format!("/v1/skills?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let skill = make(&server, "pdf").await;
    for _ in 0..2 {
        version(&server, id(&skill)).await.ok();
    }
    let path = format!("/v1/skills/{}/versions", id(&skill));
    let first = server.get(&format!("{path}?limit=2")).await.ok();
    let cursor = first["next_page"].as_str().unwrap();
    let second = server.get(&format!("{path}?page={cursor}")).await.ok();
    assert_eq!(second["data"][0]["id"], skill["latest_version_id"]);
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
}

/// Method, path, and whether a form goes with it.
fn operations(skill: &str) -> Vec<(Method, String, bool)> {
    let path = format!("/v1/skills/{skill}");
    vec![
        (Method::POST, "/v1/skills".to_owned(), true),
        (Method::GET, "/v1/skills".to_owned(), false),
        (Method::GET, path.clone(), false),
        (Method::POST, format!("{path}/versions"), true),
        (Method::GET, format!("{path}/versions"), false),
        (Method::GET, format!("{path}/versions/latest"), false),
        (
            Method::GET,
            format!("{path}/versions/latest/content"),
            false,
        ),
        (Method::DELETE, format!("{path}/versions/1"), false),
        (Method::DELETE, path, false),
    ]
}

async fn perform(
    server: &Server,
    key: &str,
    (method, path, is_form): &(Method, String, bool),
) -> Answer {
    if *is_form {
        let parts = [file("files[]", "d/SKILL.md", MANIFEST.as_bytes())];
        return crate::answer(server.form(key, path, &parts)).await;
    }
    server.send_as(key, method.clone(), path, None).await
}

/// What workers do read is in `session_workers`.
async fn who_may_not_is_refused(server: Server) {
    let skill = make(&server, "pdf").await;
    let worker = crate::worker_key(&server).await;
    for operation in operations(id(&skill)) {
        let (method, path, _) = &operation;
        let answer = perform(&server, "bwk_nothing", &operation).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let answer = perform(&server, &worker, &operation).await;
        let expected = if path.contains("/latest") {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
}

async fn what_is_another_organizations_does_not_exist(server: Server) {
    let skill = make(&server, "pdf").await;
    let control = Control::new(server.store.clone(), crate::sealing_keys(&[1]));
    let other = control
        .create_organization("Other", Bootstrap::default())
        .await
        .unwrap();
    for operation in operations(id(&skill)) {
        let (method, path, _) = &operation;
        let answer = perform(&server, &other.key, &operation).await;
        let expected = if path == "/v1/skills" {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
    // The control: it is there, and the other has one of the same name.
    let list = server.get("/v1/skills").await.ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

async fn of_versions_made_at_once_each_is_one(server: Server) {
    let skill = make(&server, "pdf").await;
    let one = || version(&server, id(&skill));
    let made = tokio::join!(one(), one(), one(), one());
    for answer in [&made.0, &made.1, &made.2, &made.3] {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let path = format!("/v1/skills/{}/versions", id(&skill));
    let list = server.get(&path).await.ok();
    let mut names: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["version"].as_str().unwrap().parse::<i64>().unwrap())
        .collect();
    assert!(
        names.is_sorted_by(|newer, older| newer > older),
        "{names:?}"
    );
    names.dedup();
    assert_eq!(names.len(), 5);
}
