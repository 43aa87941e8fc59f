//! `/llm`, where no model is asked.

use std::sync::Arc;

use bailiwick_control::{ControlError, PortFuture, RegistryTools};
use bailiwick_model::{EnvironmentId, OrganizationId, PredefinedRole};
use bailiwick_store::DatabaseUrl;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Server;

/// A registry in which one tool belongs to some environment other than this one.
#[derive(Debug)]
struct Registry;

impl RegistryTools for Registry {
    fn foreign<'a>(
        &'a self,
        _: &'a OrganizationId,
        _: &'a EnvironmentId,
        names: &'a [&'a str],
    ) -> PortFuture<'a, Result<Option<String>, ControlError>> {
        let found = names.iter().find(|name| **name == "ledger__transfer");
        let found = found.map(|name| (*name).to_owned());
        Box::pin(async move { Ok(found) })
    }
}

async fn with_a_proxy() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
    let server = Server::set_up(url, directory, None, |control| {
        control.with_registry_tools(Arc::new(Registry))
    });
    let server = server.await;
    let environments = server.get("/api/environments").await.ok();
    let environment = &environments["data"][0]["id"];
    let made = json!({"name": "door", "environment_id": environment});
    server.post("/api/llm-proxies", made).await.ok();
    server
}

fn asking(tool: &Value) -> Value {
    json!({"model": "m", "max_tokens": 1, "messages": [], "tools": [tool]})
}

#[tokio::test]
async fn a_request_that_defines_a_tool_of_another_environment_is_refused() {
    let server = with_a_proxy().await;
    let path = "/llm/door/anthropic/v1/messages";
    for name in ["ledger__transfer", "mcp__gateway__ledger__transfer"] {
        let refused = server.post(path, asking(&json!({"name": name}))).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        let error = &refused.body["error"];
        assert_eq!(error["type"], "permission_error");
        assert_eq!(error["code"], "tool_of_another_environment");
        let words = error["message"].as_str().unwrap();
        assert!(words.contains("ledger__transfer"), "{words}");
    }
    let path = "/llm/door/openai/v1/chat/completions";
    let tool = json!({"type": "function", "function": {"name": "ledger__transfer"}});
    let refused = server.post(path, asking(&tool)).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(refused.body["error"]["param"], "tools");
    // There is no model; but nothing was wrong with the tool.
    let other = server
        .post(path, asking(&json!({"name": "own__transfer"})))
        .await;
    assert_eq!(other.body["error"]["code"], "model_not_found", "{other:?}");
}

/// With the proxy `door` of an environment that reaches these hosts alone.
async fn with_a_limited_proxy(allowed_hosts: &[&str]) -> Server {
    let server = Server::sqlite().await;
    let networking = json!({"type": "limited", "allowed_hosts": allowed_hosts});
    let environment = json!({"name": "dev", "config": {"type": "cloud", "networking": networking}});
    let environment = server.post("/v1/environments", environment).await;
    let door = json!({"name": "door", "environment_id": environment.text("id")});
    server.post("/api/llm-proxies", door).await.ok();
    server
}

/// The provider would connect, to where the environment of the proxy may not.
#[tokio::test]
async fn a_request_has_the_provider_connect_to_no_mcp_server_that_the_environment_denies() {
    let server = with_a_limited_proxy(&["mcp.example.com"]).await;
    let ask = async |url: &str| {
        let servers = json!([{"type": "url", "name": "tools", "url": url}]);
        let body = json!({"model": "m", "max_tokens": 1, "messages": [], "mcp_servers": servers});
        let path = "/llm/door/anthropic/v1/messages";
        let of_anthropic = server.post(path, body).await;
        let tool = json!({"type": "mcp", "server_label": "tools", "server_url": url});
        let body = json!({"model": "m", "input": "a", "tools": [tool]});
        let of_openai = server.post("/llm/door/openai/v1/responses", body).await;
        [of_anthropic, of_openai]
    };
    for denied in [
        "https://prod.example.com/mcp",
        "https://mcp.example.com.evil.example.com/mcp",
        "https://mcp.example.com@evil.example.com/mcp",
        "https://169.254.169.254/",
        "http://localhost/",
        "no URL",
    ] {
        for refused in ask(denied).await {
            assert_eq!(refused.status, 403, "{denied}: {refused:?}");
            let words = refused.body["error"]["message"].as_str().unwrap();
            assert!(words.contains("\"tools\""), "{words}");
        }
    }
    for asked in ask("https://mcp.example.com/mcp").await {
        assert_eq!(asked.status, 404, "the control has no model: {asked:?}");
    }
    let connector =
        json!({"type": "mcp", "server_label": "mail", "connector_id": "connector_mail"});
    let body = json!({"model": "m", "input": "a", "tools": [connector]});
    let refused = server.post("/llm/door/openai/v1/responses", body).await;
    assert_eq!(refused.status, 403, "{refused:?}");
}

/// A tool that the provider runs goes where the model says: out of an environment that names its hosts.
#[tokio::test]
async fn a_tool_of_the_provider_that_reaches_the_web_is_no_way_out_of_an_environment() {
    let limited = with_a_limited_proxy(&["a.example.com"]).await;
    let open = with_a_proxy().await;
    let messages = "/llm/door/anthropic/v1/messages";
    let responses = "/llm/door/openai/v1/responses";
    let chat = "/llm/door/openai/v1/chat/completions";
    let of = |kind: &str| json!({"model": "m", "max_tokens": 1, "messages": [], "input": "a", "tools": [{"type": kind, "name": "t"}]});
    let search = json!({"model": "m", "messages": [], "web_search_options": {}});
    for (path, body, reaches) in [
        (messages, of("web_fetch_20250910"), true),
        (messages, of("web_search_20250305"), true),
        (messages, of("what_is_new_20270101"), true),
        (messages, of("code_execution_20250825"), false),
        (messages, of("bash_20250124"), false),
        (responses, of("web_search"), true),
        (responses, of("web_search_preview"), true),
        (responses, of("file_search"), false),
        (chat, search, true),
    ] {
        let answer = limited.post(path, body.clone()).await;
        let expect = if reaches { 403 } else { 404 };
        assert_eq!(answer.status, expect, "{body}: {answer:?}");
        let control = open.post(path, body.clone()).await;
        assert_eq!(
            control.status, 404,
            "{body}: there is no model: {control:?}"
        );
    }
}

/// A provider fetches what a message names by its URL, and the URL may say anything to whoever is asked.
#[tokio::test]
async fn a_url_of_a_message_is_no_way_out_of_an_environment() {
    let server = with_a_limited_proxy(&["a.example.com"]).await;
    let ask = async |url: &str| {
        let image = json!({"type": "image", "source": {"type": "url", "url": url}});
        let body = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [image]}]});
        let of_anthropic = server.post("/llm/door/anthropic/v1/messages", body).await;
        let image = json!({"type": "image_url", "image_url": {"url": url}});
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [image]}]});
        let in_chat = server
            .post("/llm/door/openai/v1/chat/completions", body)
            .await;
        let file = json!({"type": "input_file", "file_url": url});
        let body = json!({"model": "m", "input": [{"role": "user", "content": [file]}]});
        let in_response = server.post("/llm/door/openai/v1/responses", body).await;
        [of_anthropic, in_chat, in_response]
    };
    for denied in [
        "https://evil.example.com/?secret",
        "https://a.example.com@evil.example.com/",
        "gopher://a.example.com/",
    ] {
        for refused in ask(denied).await {
            assert_eq!(refused.status, 403, "{denied}: {refused:?}");
        }
    }
    for allowed in ["https://a.example.com/a.png", "data:image/png;base64,AAAA"] {
        for asked in ask(allowed).await {
            assert_eq!(asked.status, 404, "the control has no model: {asked:?}");
        }
    }
}

#[tokio::test]
async fn what_an_api_does_not_have_is_told_in_its_own_form() {
    let server = with_a_proxy().await;
    let of_anthropic = server.get("/llm/door/anthropic/v1/messages").await;
    assert_eq!(of_anthropic.status, 404);
    assert_eq!(of_anthropic.body["type"], "error", "{of_anthropic:?}");
    let of_openai = server.post("/llm/door/openai/v1/images", json!({})).await;
    assert_eq!(of_openai.status, 404);
    assert_eq!(
        of_openai.body["error"]["code"], "unknown_url",
        "{of_openai:?}"
    );
}

/// The catalog is the registry.
#[tokio::test]
async fn a_tool_of_a_server_that_is_in_the_catalog_of_another_environment_alone_is_refused() {
    let server = Server::sqlite().await;
    let environments = server.get("/api/environments").await.ok();
    let own = &environments["data"][0]["id"];
    let prod = server
        .post("/api/environments", json!({"name": "prod"}))
        .await;
    let door = json!({"name": "door", "environment_id": own});
    server.post("/api/llm-proxies", door).await.ok();
    let entry = |environment: &Value| json!({"name": "ledger", "environment_id": environment, "command": "ledger"});
    let prod = json!(prod.text("id"));
    server.post("/api/mcp-catalog", entry(&prod)).await.ok();
    let path = "/llm/door/anthropic/v1/messages";
    for name in ["ledger__transfer", "mcp__gateway__LEDGER__transfer"] {
        let refused = server.post(path, asking(&json!({"name": name}))).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert_eq!(refused.body["error"]["code"], "tool_of_another_environment");
    }
    for name in ["transfer", "ledger_transfer", "other__transfer"] {
        let asked = server.post(path, asking(&json!({"name": name}))).await;
        assert_ne!(asked.status, 403, "the control: {asked:?}");
    }
    server.post("/api/mcp-catalog", entry(own)).await.ok();
    let asked = server
        .post(path, asking(&json!({"name": "ledger__transfer"})))
        .await;
    assert_ne!(asked.status, 403, "it is here by now: {asked:?}");
}

/// Else whoever has used up their own limit would make themselves a key that counts for nobody.
#[tokio::test]
async fn a_key_of_a_proxy_counts_for_whoever_makes_it_unless_they_may_change_limits() {
    let server = with_a_proxy().await;
    let proxies = server.get("/api/llm-proxies").await.ok();
    let path = format!(
        "/api/llm-proxies/{}/keys",
        proxies["data"][0]["id"].as_str().unwrap()
    );
    let id_of = async |key: &str| {
        let who = server
            .send_as(key, Method::GET, "/api/whoami", None)
            .await
            .ok();
        who["actor"]["id"].clone()
    };
    let editor = server.key_of(PredefinedRole::Editor).await;
    let (own, other) = (id_of(&editor).await, id_of(&server.key).await);
    let made_by = async |key: &str, user: &Value| {
        let body = json!({"name": "k", "user_id": user});
        let made = server.send_as(key, Method::POST, &path, Some(body)).await;
        if !made.status.is_success() {
            return Err(made.status.as_u16());
        }
        let keys = server.get(&path).await.ok();
        let mut keys = keys["data"].as_array().unwrap().iter();
        let key = keys.find(|key| key["id"] == made.body["id"]);
        Ok(key.unwrap()["user_id"].clone())
    };
    assert_eq!(made_by(&editor, &Value::Null).await, Ok(own.clone()));
    assert_eq!(made_by(&editor, &own).await, Ok(own.clone()));
    assert_eq!(made_by(&editor, &other).await, Err(403));
    assert_eq!(made_by(&server.key, &Value::Null).await, Ok(Value::Null));
    assert_eq!(made_by(&server.key, &own).await, Ok(own.clone()));
    // Who made each, and for whom it counts.
    let log = server.get("/api/audit-log").await.ok();
    let entries = log["data"].as_array().unwrap().iter();
    let made = entries.filter(|entry| entry["after"]["owner"]["kind"] == "llm_proxy");
    let made: Vec<_> = made
        .map(|entry| (&entry["actor"]["id"], &entry["after"]["owner"]["user_id"]))
        .collect();
    let expected = [
        (&own, &own),
        (&own, &own),
        (&other, &Value::Null),
        (&other, &own),
    ];
    assert_eq!(made, expected);
}
