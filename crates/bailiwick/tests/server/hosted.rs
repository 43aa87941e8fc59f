//! Self-hosted MCP servers and Playwright by way of a gateway: real ones, of their registries, in real sandboxes.

mod attacks;
mod playwright;

use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_testkit::{Bailiwick, Child, Sdk};
use serde_json::{Value, json};

use crate::{Up, machine};

const PYTHON: &str = "1.30.0";
const EVERYTHING: &str = "2026.8.31";
/// An image is built, of packages of real registries.
const BUILD: Duration = Duration::from_secs(600);
/// A server that tries what it is told to.
const TRYING: &str = include_str!("hosted/server.py");
/// The official client.
const CLIENT: &str = include_str!("hosted/client.py");

/// A server with an environment `dev`, which may reach `allowed.test`, and a gateway `door` to all that is in it.
struct Place {
    machine: Bailiwick,
    up: Up,
    key: String,
}

impl Place {
    fn new(options: &[&str]) -> Self {
        Self::allowing("allowed.test", options)
    }

    fn allowing(host: &str, options: &[&str]) -> Self {
        let machine = machine();
        let up = Up::start(&machine, options);
        let mut place = Self {
            machine,
            up,
            key: String::new(),
        };
        place.environment("dev", host);
        place.key = place.gateway("door", "dev");
        place
    }

    fn environment(&self, name: &str, host: &str) {
        let networking = format!("{{type: limited, allowed_hosts: [{host}]}}");
        let file = format!("name: {name}\nconfig: {{type: cloud, networking: {networking}}}\n");
        let path = format!("{name}.yaml");
        self.machine.write(&path, file);
        self.does(&["environment", "create", "-f", &path]);
    }

    /// A gateway to all of an environment, and a key of it.
    fn gateway(&self, name: &str, environment: &str) -> String {
        let create = ["mcp-gateway", "create", name, "--environment", environment];
        self.does(&[&create[..], &["--all-tools"]].concat());
        let key = ["mcp-gateway", "key", "create", name, "--name", "test"];
        let made = self.up.json(&self.machine, &key);
        made["key"].as_str().unwrap().to_owned()
    }

    fn does(&self, arguments: &[&str]) -> String {
        self.up.does(&self.machine, arguments)
    }

    /// Enters a server of `dev` that runs here.
    fn enters(&self, name: &str, how: &[&str]) {
        let create = ["mcp-catalog", "create", name, "--environment", "dev"];
        self.does(&[&create[..], how].concat());
    }

    /// Enters one that tries what it is told to.
    fn enters_trying(&self, name: &str, more: &[&str]) {
        let package = format!("pip:mcp=={PYTHON}");
        let how = ["--package", &package, "--command", "python3"];
        let program = ["--arg", "-c", "--arg", TRYING];
        self.enters(name, &[&how[..], &program, more].concat());
    }

    /// What the official client is answered at a gateway.
    fn calls(&self, calls: &Value) -> Value {
        self.calls_at("door", &self.key, calls)
    }

    fn calls_at(&self, gateway: &str, key: &str, calls: &Value) -> Value {
        let mut client = Child::start(&mut self.client(gateway, key, calls));
        assert_eq!(client.wait(BUILD), 0, "{}", client.complained());
        serde_json::from_str(client.printed().trim()).unwrap()
    }

    /// The official client, to be started.
    fn client(&self, gateway: &str, key: &str, calls: &Value) -> Command {
        let url = format!("{}/mcp/{gateway}", self.up.url);
        let mut client = Sdk::mcp_python(PYTHON).command(CLIENT);
        client.arg(url).arg(key).arg(calls.to_string());
        client
    }

    /// Waits until so many sandboxes of an environment run.
    fn until_sandboxes(&self, environment: &str, is_it: impl Fn(usize) -> bool) {
        let begun = Instant::now();
        loop {
            let listed = self.machine.execute(["ps", "--format", "json"]).stdout;
            if is_it(listed.matches(environment).count()) {
                return;
            }
            assert!(begun.elapsed() < BUILD, "{listed}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self, name: &str) -> String {
        self.does(&["mcp-catalog", "logs", name])
    }
}

/// What one call was answered.
#[track_caller]
fn text(answer: &Value, at: usize) -> &str {
    let said = &answer["said"][at];
    said["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:#}"))
}

fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[test]
fn system_real_servers_of_npm_and_of_python_are_used_by_way_of_a_gateway() {
    let place = Place::new(&[]);
    let package = format!("npm:@modelcontextprotocol/server-everything@{EVERYTHING}");
    place.enters(
        "everything",
        &["--package", &package, "--command", "mcp-server-everything"],
    );
    place.enters_trying("trying", &["--variable", "API_TOKEN=none"]);
    let calls = json!([
        ["everything__echo", {"message": "hello"}],
        ["trying__tell", {}],
        ["bailiwick__search_tools", {"query": "echo"}],
    ]);
    let answer = place.calls(&calls);
    assert!(text(&answer, 0).contains("hello"), "{answer:#}");
    assert_eq!(text(&answer, 1), "none");
    assert!(text(&answer, 2).contains("everything__echo"), "{answer:#}");
    for name in [
        "everything__echo",
        "trying__reach",
        "bailiwick__search_tools",
    ] {
        assert!(names(&answer).contains(&name), "{name}: {answer:#}");
    }
    let listed = place.does(&["mcp-catalog", "tools", "everything"]);
    assert!(listed.contains("echo"), "{listed}");
    assert!(place.log("trying").contains("the secret is none"));
    let state = place
        .up
        .json(&place.machine, &["mcp-catalog", "logs", "everything"]);
    assert_eq!(state["condition"], "running", "{state:#}");
    // What is changed is another server, and what is gone ends.
    place.does(&["mcp-catalog", "delete", "everything"]);
    let gone = place.calls(&json!([["everything__echo", {"message": "hello"}]]));
    assert!(
        gone["said"][0]["text"]
            .as_str()
            .is_none_or(|text| !text.contains("Echo"))
    );
    assert!(
        !names(&gone)
            .iter()
            .any(|name| name.starts_with("everything"))
    );
    place.up.stop();
}

/// A start that fails says why, with the last of the log.
#[test]
fn system_a_server_that_does_not_start_says_why() {
    let place = Place::new(&[]);
    let program = "import sys; sys.exit('there is no configuration')";
    place.enters(
        "broken",
        &["--command", "python3", "--arg", "-c", "--arg", program],
    );
    place.enters("missing", &["--command", "no-such-program"]);
    let calls = json!([["broken__any", {}], ["missing__any", {}]]);
    let answer = place.calls(&calls).to_string();
    assert!(answer.contains("there is no configuration"), "{answer}");
    assert!(answer.contains("no-such-program"), "{answer}");
    assert!(place.log("broken").contains("there is no configuration"));
    place.up.stop();
}
