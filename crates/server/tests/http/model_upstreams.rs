//! Servers that answer for models: what is kept of them, who sees what, and where their keys are not.

use bailiwick_control::{Control, ModelRules, ServerUpstream};
use bailiwick_model::PredefinedRole;
use bailiwick_store::DatabaseUrl;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::secrets::{everything, holds};
use crate::{Answer, Server, on_both, sealing_keys};

on_both!(
    an_upstream_is_made_shown_changed_and_deleted,
    what_is_wrong_is_told_all_at_once,
    a_key_is_in_no_answer_no_entry_of_the_audit_log_and_no_row,
    another_server_needs_the_key_again,
    only_what_is_public_can_be_asked,
    another_organizations_are_not_there,
    a_change_of_another_version_is_none,
    editors_and_members_see_them_and_change_none,
    a_rotation_reseals_keys,
);

const KEY: &str = "sk-CANARY-8c1f0e";
const OTHER_KEY: &str = "sk-CANARY-another-77";
const PATH: &str = "/api/model-upstreams";

fn body(name: &str) -> Value {
    json!({
        "name": name,
        "protocol": "anthropic",
        "base_url": "https://models.example.com/llm",
        "models": ["claude-*", {"model": "fast", "upstream_model": "claude-haiku-4-5"}],
        "api_key": KEY,
    })
}

async fn made(server: &Server, name: &str) -> String {
    let made = server.post(PATH, body(name)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    format!("{PATH}/{}", made.text("id"))
}

async fn change(server: &Server, path: &str, change: Value) -> Answer {
    server.send(Method::PATCH, path, Some(change)).await
}

/// The fields that are refused, with their codes.
fn refused(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    let errors = answer.body["errors"].as_array().unwrap();
    let text = |error: &Value, field: &str| error[field].as_str().unwrap().to_owned();
    let pairs = errors
        .iter()
        .map(|error| (text(error, "field"), text(error, "code")));
    pairs.collect()
}

async fn an_upstream_is_made_shown_changed_and_deleted(server: Server) {
    let path = made(&server, "main").await;
    let found = server.get(&path).await;
    assert_eq!(found.header("etag"), "\"1\"");
    let shown = found.ok();
    assert_eq!(shown["base_url"], "https://models.example.com/llm");
    assert_eq!(shown["source"], "organization");
    assert_eq!(shown["priority"], 100);
    assert_eq!(shown["has_key"], true);
    let fast = json!({"model": "fast", "upstream_model": "claude-haiku-4-5"});
    assert_eq!(
        shown["models"],
        json!([{"model": "claude-*", "upstream_model": null}, fast])
    );
    let other = json!({"protocol": "openai", "key_header": "x-api-key", "max_tokens_field": "max_completion_tokens",
        "timeout_seconds": 20, "priority": 3, "name": " Renamed ", "models": ["*"]});
    let changed = change(&server, &path, other).await;
    assert_eq!(changed.header("etag"), "\"2\"");
    let changed = changed.ok();
    assert_eq!(changed["name"], "Renamed");
    assert_eq!(changed["timeout_seconds"], 20);
    assert_eq!(changed["has_key"], true, "it stays");
    let nothing = change(&server, &path, json!({"priority": 3})).await.ok();
    assert_eq!(nothing["version"], 2, "nothing changed");
    let without = change(&server, &path, json!({"api_key": null})).await.ok();
    assert_eq!(without["has_key"], false);
    let later = made(&server, "later").await;
    let taken = server.post(PATH, body("RENAMED")).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let list = server.get(PATH).await.ok();
    let names: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["Renamed", "later"], "by priority");
    for path in [&path, &later] {
        let gone = server.send(Method::DELETE, path, None).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(server.get(path).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(server.get(PATH).await.ok()["data"], json!([]));
}

async fn what_is_wrong_is_told_all_at_once(server: Server) {
    let wrong = json!({"name": "x", "protocol": "openai", "base_url": "http://models.example.com", "models": ["a*b", {"model": "ok", "upstream_model": ""}],
        "timeout_seconds": 0, "api_key": "a b"});
    let answer = server.post(PATH, wrong).await;
    let fields: Vec<_> = refused(&answer)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    let expected = [
        "base_url",
        "models[0].model",
        "models[1].upstream_model",
        "timeout_seconds",
        "api_key",
    ];
    assert_eq!(fields, expected);
    for (field, value) in [
        ("base_url", json!("https://user:key@models.example.com")),
        ("base_url", json!("https://models.example.com?key=a")),
        ("base_url", json!("file:///etc/passwd")),
        ("priority", json!(-1)),
        ("models", json!([])),
        ("name", json!(" ")),
    ] {
        let mut wrong = body("x");
        wrong[field] = value;
        assert_eq!(refused(&server.post(PATH, wrong).await)[0].0, field);
    }
    for unknown in [
        json!({"organisation": 1}),
        json!({"protocol": "smtp"}),
        json!({"key_header": "cookie"}),
    ] {
        let path = made(&server, &format!("m{unknown}")).await;
        let answer = change(&server, &path, unknown).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let mut plain = body("plain");
    plain["base_url"] = json!("http://models.example.com");
    plain["allow_plain_http"] = json!(true);
    server.post(PATH, plain).await.ok();
}

async fn a_key_is_in_no_answer_no_entry_of_the_audit_log_and_no_row(server: Server) {
    let answer = server.post(PATH, body("main")).await;
    let path = format!("{PATH}/{}", answer.text("id"));
    let mut answers = format!("{answer:?}");
    for answer in [
        server.get(PATH).await,
        server.get(&path).await,
        change(&server, &path, json!({"api_key": OTHER_KEY})).await,
        change(
            &server,
            &path,
            json!({"api_key": OTHER_KEY, "timeout_seconds": 0}),
        )
        .await,
        change(&server, &path, json!({"api_key": OTHER_KEY, "unknown": 0})).await,
        change(
            &server,
            &path,
            json!({"api_key": format!("{OTHER_KEY} with a space")}),
        )
        .await,
        server.get("/api/audit-log").await,
    ] {
        answers += &format!("{answer:?}");
    }
    assert!(answers.contains("model_upstream.update"), "{answers}");
    assert!(answers.contains("replaced"));
    assert!(!answers.contains("CANARY"), "{answers}");
    let bytes = everything(&server).await;
    assert!(holds(&bytes, "claude-haiku-4-5"), "the control");
    assert!(!holds(&bytes, "CANARY"));
}

async fn another_server_needs_the_key_again(server: Server) {
    let path = made(&server, "main").await;
    for elsewhere in [
        "https://evil.example.com/llm",
        "https://models.example.com:8443/llm",
        "https://models.example.com.evil.example.com",
    ] {
        let answer = change(&server, &path, json!({"base_url": elsewhere})).await;
        let expected = ("api_key".to_owned(), "key_needed".to_owned());
        assert_eq!(refused(&answer), [expected], "{elsewhere}");
    }
    let plain = json!({"base_url": "http://models.example.com/llm", "allow_plain_http": true});
    assert_eq!(
        refused(&change(&server, &path, plain).await)[0].1,
        "key_needed"
    );
    let same = json!({"base_url": "https://models.example.com/other"});
    change(&server, &path, same).await.ok();
    let with_key = json!({"base_url": "https://evil.example.com", "api_key": OTHER_KEY});
    change(&server, &path, with_key).await.ok();
    let without = json!({"base_url": "https://third.example.com", "api_key": null});
    change(&server, &path, without).await.ok();
}

async fn only_what_is_public_can_be_asked(server: Server) {
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "metadata.google.internal",
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "[fd00:ec2::254]",
    ] {
        let mut denied = body("x");
        denied["base_url"] = json!(format!("https://{host}:8443/v1"));
        let expected = ("base_url".to_owned(), "denied".to_owned());
        assert_eq!(
            refused(&server.post(PATH, denied).await),
            [expected],
            "{host}"
        );
    }
    let floor = json!({"denied_hosts": ["*.prod.example.com"]});
    server
        .send(Method::PATCH, "/api/organization", Some(floor))
        .await
        .ok();
    let mut denied = body("x");
    denied["base_url"] = json!("https://models.prod.example.com");
    assert_eq!(refused(&server.post(PATH, denied).await)[0].1, "denied");
    made(&server, "allowed").await;
}

async fn another_organizations_are_not_there(server: Server) {
    let path = made(&server, "main").await;
    let stranger = server.other_organization().await;
    for (method, body) in [
        (Method::GET, None),
        (Method::PATCH, Some(json!({"api_key": OTHER_KEY}))),
        (Method::DELETE, None),
    ] {
        let answer = server.send_as(&stranger, method, &path, body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    let list = server.send_as(&stranger, Method::GET, PATH, None).await;
    assert_eq!(list.ok()["data"], json!([]));
    assert_eq!(server.get(&path).await.ok()["version"], 1);
}

async fn a_change_of_another_version_is_none(server: Server) {
    let path = made(&server, "main").await;
    let at = async |version: &str| {
        let request = server
            .request(Method::PATCH, &path)
            .header("x-api-key", &server.key);
        let request = request
            .header("if-match", version)
            .json(&json!({"priority": 1}));
        crate::answer(request).await.status
    };
    assert_eq!(at("\"2\"").await, StatusCode::CONFLICT);
    assert_eq!(at("nonsense").await, StatusCode::BAD_REQUEST);
    assert_eq!(at("\"1\"").await, StatusCode::OK);
    assert_eq!(at("\"1\"").await, StatusCode::CONFLICT);
}

async fn editors_and_members_see_them_and_change_none(server: Server) {
    let path = made(&server, "main").await;
    for role in [PredefinedRole::Editor, PredefinedRole::Member] {
        let key = server.key_of(role).await;
        server.send_as(&key, Method::GET, &path, None).await.ok();
        for (method, path, body) in [
            (Method::POST, PATH, Some(body("other"))),
            (Method::PATCH, path.as_str(), Some(json!({"priority": 1}))),
            (Method::DELETE, path.as_str(), None),
        ] {
            let answer = server.send_as(&key, method, path, body).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
        }
    }
}

async fn a_rotation_reseals_keys(server: Server) {
    made(&server, "main").await;
    made(&server, "other").await;
    let rotated = Control::new(server.store.clone(), sealing_keys(&[2, 1]));
    assert_eq!(
        rotated.missing_sealing_keys().await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(rotated.reseal().await.unwrap().secrets, 2);
    let in_use = server.store.sealing_keys_in_use().await.unwrap();
    assert_eq!(in_use, [sealing_keys(&[2]).current().to_owned()]);
}

#[tokio::test]
async fn the_servers_own_is_listed_last_and_cannot_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
    let rules = ModelRules {
        server: Some(ServerUpstream { has_key: true }),
        allowed_cidrs: vec!["10.20.0.0/16:8000".parse().unwrap()],
    };
    let set = |control: Control| control.with_model_rules(rules);
    let server = Server::set_up(url, directory, None, set).await;
    let mut private = body("own");
    private["base_url"] = json!("https://10.20.1.2:8000/v1");
    server.post(PATH, private.clone()).await.ok();
    private["base_url"] = json!("https://10.20.1.2:8001/v1");
    private["name"] = json!("other port");
    assert_eq!(refused(&server.post(PATH, private).await)[0].1, "denied");
    let list = server.get(PATH).await.ok();
    let last = list["data"].as_array().unwrap().last().unwrap();
    assert_eq!(last["source"], "server");
    assert_eq!(last["id"], Value::Null);
    assert_eq!(last["base_url"], Value::Null);
    assert_eq!(last["has_key"], true);
    for id in ["server", "null", "mdlu_server"] {
        let answer = change(&server, &format!("{PATH}/{id}"), json!({"priority": 1})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
}
