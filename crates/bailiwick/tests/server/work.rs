//! Agents at work: `bailiwick up` with a scripted model, and real sandboxes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bailiwick_testkit::{Bailiwick, HttpServer, ModelScript, ModelServer, ModelStep};
use serde_json::{Value, json};

use crate::{PATIENCE, Up, machine};

/// A server whose agents do what a script says.
struct Place {
    machine: Bailiwick,
    up: Up,
    model: ModelServer,
}

impl Place {
    fn new(steps: impl IntoIterator<Item = ModelStep>, options: &[&str]) -> Self {
        let model = ModelServer::start(ModelScript::of(steps));
        let machine = machine();
        let url = model.url();
        let variables = [
            ("ANTHROPIC_API_KEY", "sk-test"),
            ("ANTHROPIC_BASE_URL", url.as_str()),
        ];
        let up = Up::start_with(&machine, options, &variables);
        Self { machine, up, model }
    }

    /// Asks the API for something, and gets it.
    #[track_caller]
    fn asks(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.exchange(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer:#}");
        answer
    }

    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    fn exchange(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let address = self.up.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\nanthropic-version: 2023-06-01\r\n\
             anthropic-beta: managed-agents-2026-04-01\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.up.key,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn environment(&self, networking: &Value) -> String {
        let body = json!({"name": "work", "config": {"type": "cloud", "networking": networking}});
        id(&self.asks("POST", "/v1/environments", &body))
    }

    fn session(&self, environment: &str, more: &Value) -> String {
        let agent = json!({
            "name": "worker",
            "model": "claude-sonnet-4-5",
            "tools": [{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_allow"}}}],
        });
        let agent = id(&self.asks("POST", "/v1/agents", &agent));
        let mut body = json!({"agent": agent, "environment_id": environment});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        id(&self.asks("POST", "/v1/sessions", &body))
    }

    /// Says something, and waits until the agent has done its part: what its tools answered since the beginning.
    fn says(&self, session: &str, text: &str) -> Vec<String> {
        let event = json!({"type": "user.message", "content": [{"type": "text", "text": text}]});
        let path = format!("/v1/sessions/{session}/events");
        let idle = self.count(session, "session.status_idle");
        self.asks("POST", &path, &json!({"events": [event]}));
        let begun = Instant::now();
        while self.count(session, "session.status_idle") == idle {
            assert!(
                begun.elapsed() < PATIENCE,
                "it does not rest: {:#?}",
                self.events(session)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        let events = self.events(session);
        let results = events
            .iter()
            .filter(|event| event["type"] == "agent.tool_result");
        let text = |event: &Value| {
            let blocks = event["content"].as_array().into_iter().flatten();
            let texts = blocks.filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        };
        results.map(text).collect()
    }

    fn events(&self, session: &str) -> Vec<Value> {
        let path = format!("/v1/sessions/{session}/events?limit=1000");
        let page = self.asks("GET", &path, &Value::Null);
        page["data"].as_array().unwrap().clone()
    }

    fn count(&self, session: &str, kind: &str) -> usize {
        let events = self.events(session);
        events.iter().filter(|event| event["type"] == kind).count()
    }
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

fn bash(command: &str) -> ModelStep {
    ModelStep::tool("bash", json!({"command": command}))
}

#[test]
fn system_a_session_s_bash_runs_in_a_sandbox_under_the_policy_of_its_environment() {
    let server = HttpServer::start();
    let port = server.address().port();
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let options = ["--resolve", &pins[0], "--resolve", &pins[1]];
    let place = Place::new(
        [
            bash(&format!(
                "id -un; pwd; curl -sS -m 20 http://allowed.test:{port}/here"
            )),
            bash(&format!(
                "curl -sS -m 20 http://denied.test:{port}/there; echo ended $?"
            )),
            bash(&format!(
                "curl -sS -m 5 {}/readyz; echo ended $?",
                "http://127.0.0.1:1"
            )),
            ModelStep::text("Done."),
        ],
        &options,
    );
    let environment =
        place.environment(&json!({"type": "limited", "allowed_hosts": ["allowed.test"]}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert_eq!(results.len(), 3, "{results:#?}");
    assert!(results[0].contains("agent\n/workspace\n"), "{results:#?}");
    assert!(results[0].contains("GET /here"), "{results:#?}");
    assert!(
        results[1].contains("network denied: denied.test"),
        "{results:#?}"
    );
    assert!(!results[1].contains("ended 0"), "{results:#?}");
    assert_eq!(server.connections(), 1);
    assert_eq!(place.model.unscripted(), 0);
    place.up.stop();
}
