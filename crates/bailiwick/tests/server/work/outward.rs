//! What the server itself reaches for sessions, and what is kept of what their sandboxes reach.

use std::time::{Duration, Instant};

use bailiwick_testkit::{Authority, HttpServer, McpServer, ModelScript, ModelServer, ModelStep};
use serde_json::{Value, json};

use super::{Place, bash, id};
use crate::PATIENCE;

/// The server calls tools of MCP servers, with a token that neither the model nor the sandbox ever has.
#[test]
fn system_an_mcp_server_is_called_by_the_server_and_its_token_stays_there() {
    let authority = Authority::new();
    let token = "canary-5f1c9e7a";
    let server = McpServer::official(&authority, &["mcp.test"], token);
    let pin = format!("mcp.test={}", server.address());
    let certificate = authority.certificate().display().to_string();
    let steps = [
        ModelStep::tool("mcp__docs__whoami", json!({})),
        bash("env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'"),
        ModelStep::text("Done."),
    ];
    let trust = [("SSL_CERT_FILE", certificate.as_str())];
    let place = Place::with(steps, &["--resolve", &pin], &trust);
    let url = format!("https://mcp.test:{}/mcp", server.address().port());
    let vault = id(&place.asks("POST", "/v1/vaults", &json!({"display_name": "v"})));
    let auth = json!({"type": "static_bearer", "mcp_server_url": url, "token": token});
    let credentials = format!("/v1/vaults/{vault}/credentials");
    place.asks("POST", &credentials, &json!({"auth": auth}));
    let agent = json!({
        "name": "worker",
        "model": "claude-sonnet-4-5",
        "mcp_servers": [{"type": "url", "name": "docs", "url": url}],
        "tools": [
            {"type": "agent_toolset_20260401"},
            {"type": "mcp_toolset", "mcp_server_name": "docs", "default_config": {"permission_policy": {"type": "always_allow"}}},
        ],
    });
    let agent = id(&place.asks("POST", "/v1/agents", &agent));
    let environment = place.environment(&json!({"type": "limited", "allow_mcp_servers": true}));
    let body = json!({"agent": agent, "environment_id": environment, "vault_ids": [vault]});
    let session = id(&place.asks("POST", "/v1/sessions", &body));
    let inside = place.says(&session, "Go.");
    assert!(inside[0].contains("HOME="), "{inside:#?}");
    let events = place.events(&session);
    let result = events
        .iter()
        .find(|event| event["type"] == "agent.mcp_tool_result");
    let result = result.unwrap_or_else(|| panic!("no result: {events:#?}"));
    assert_eq!(result["content"][0]["text"], "Bearer [redacted]");
    assert!(!json!(events).to_string().contains(token));
    assert!(!json!(place.model.asked()).to_string().contains(token));
    place.up.stop();
}

/// What a sandbox tried to reach is there afterwards, and goes to where flows are exported.
#[test]
fn system_flows_of_a_session_are_kept_and_exported() {
    let server = HttpServer::start();
    let port = server.address().port();
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let directory = tempfile::tempdir().unwrap();
    let exported = directory.path().join("flows.jsonl");
    let export = format!("flows=file:{}", exported.display());
    let options = [
        "--sandbox-resolve",
        &pins[0],
        "--sandbox-resolve",
        &pins[1],
        "--export",
        &export,
    ];
    let fetch = bash(&format!(
        "for host in allowed denied; do curl -sS -m 20 http://$host.test:{port}/; done"
    ));
    let place = Place::new([fetch, ModelStep::text("Done.")], &options);
    let environment =
        place.environment(&json!({"type": "limited", "allowed_hosts": ["allowed.test"]}));
    let session = place.session(&environment, &Value::Null);
    place.says(&session, "Go.");
    let listed = |more: &[&str]| {
        let arguments = [&["flow", "list", "--session", &session], more].concat();
        let flows = place.up.json(&place.machine, &arguments);
        flows.as_array().unwrap().clone()
    };
    let begun = Instant::now();
    while listed(&["--verdict", "allow"]).is_empty() || listed(&["--verdict", "deny"]).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{:#?}", listed(&[]));
        std::thread::sleep(Duration::from_millis(50));
    }
    for (verdict, host) in [("allow", "allowed.test"), ("deny", "denied.test")] {
        let flows = listed(&["--verdict", verdict]);
        assert!(
            flows.iter().all(|flow| flow.to_string().contains(host)),
            "{flows:#?}"
        );
        assert!(flows.iter().all(|flow| flow["session_id"] == *session));
    }
    let name = place.name();
    let arguments = ["flow", "list", "--environment", &name, "--limit", "1"];
    let one = place.up.asks(&place.machine, &arguments).exits(0);
    assert!(
        one.stderr.contains("there are more: --after 1"),
        "{}",
        one.stderr
    );
    let all = listed(&[]);
    // A server that ends as it should has lost none.
    place.up.stop();
    let lines = std::fs::read_to_string(&exported).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.starts_with(&all), "{lines:#?}\n{all:#?}");
}

#[test]
fn a_page_is_fetched_as_sandboxes_reach_it_where_none_run() {
    let server = HttpServer::start();
    let port = server.address().port();
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let fetch = |url: String| ModelStep::tool("web_fetch", json!({"url": url}));
    let place = Place::new(
        [
            fetch(format!("http://allowed.test:{port}/here")),
            fetch(format!("http://denied.test:{port}/there")),
            ModelStep::text("Done."),
        ],
        &[
            "--no-sandboxes",
            "--sandbox-resolve",
            &pins[0],
            "--sandbox-resolve",
            &pins[1],
        ],
    );
    let environment =
        place.environment(&json!({"type": "limited", "allowed_hosts": ["allowed.test"]}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert!(results[0].contains("GET /here"), "{results:#?}");
    assert!(results[1].contains("no_rule"), "{results:#?}");
    assert_eq!(server.connections(), 1);
    let flows = || {
        let arguments = ["flow", "list", "--session", &session];
        place.up.json(&place.machine, &arguments)
    };
    let begun = Instant::now();
    while flows().as_array().is_none_or(|flows| flows.len() < 2) {
        assert!(begun.elapsed() < PATIENCE, "{:#}", flows());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(flows()[0]["verdict"], "allow");
    assert_eq!(flows()[1]["verdict"], "deny");
    place.up.stop();
}

#[test]
fn an_organizations_upstream_is_asked_by_its_own_key_which_nobody_sees() {
    const KEY: &str = "sk-CANARY-of-the-organization";
    let own = ModelServer::start(ModelScript::of([ModelStep::text("I am its own.")]));
    let pin = format!("own.test={}", own.address());
    let place = Place::new([], &["--no-sandboxes", "--resolve", &pin]);
    let body = json!({"name": "own", "protocol": "anthropic", "base_url": format!("http://own.test:{}", own.address().port()),
        "models": ["claude-*"], "allow_plain_http": true, "api_key": KEY});
    let (status, made) = place.exchange("POST", "/api/model-upstreams", &body);
    assert_eq!(status, 201, "{made:#}");
    let listed = place.asks("GET", "/api/model-upstreams", &Value::Null);
    assert_eq!(listed["data"][1]["source"], "server");
    let environment = place.environment(&json!({"type": "unrestricted"}));
    let session = place.session(&environment, &Value::Null);
    place.says(&session, "Who are you?");
    let events = Value::from(place.events(&session)).to_string();
    assert!(events.contains("I am its own."), "{events}");
    let asked = own.requests();
    assert_eq!(asked[0].headers["x-api-key"], KEY);
    assert_eq!(place.model.asked().len(), 0);
    let log = place.up.process.complained();
    for told in [&events, &log, &listed.to_string(), &made.to_string()] {
        assert!(!told.contains("CANARY"), "{told}");
    }
    place.up.stop();
}
