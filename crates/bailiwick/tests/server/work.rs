//! Agents at work: `bailiwick up` with a scripted model, and real sandboxes.

mod attacks;
mod canary;
mod examples;
mod images;
mod killed;
mod outward;
mod replicas;
mod slow;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use bailiwick_testkit::{
    Authority, Bailiwick, HttpServer, HttpsServer, ModelScript, ModelServer, ModelStep,
};
use serde_json::{Value, json};

use crate::{PATIENCE, Up, machine};

/// A server whose agents do what a script says.
pub(crate) struct Place {
    pub(crate) machine: Bailiwick,
    pub(crate) up: Up,
    pub(crate) model: ModelServer,
    options: Vec<String>,
    /// Every answer of the API, with its head.
    answers: RefCell<Vec<String>>,
}

impl Place {
    pub(crate) fn new(steps: impl IntoIterator<Item = ModelStep>, options: &[&str]) -> Self {
        Self::with(steps, options, &[])
    }

    fn with(
        steps: impl IntoIterator<Item = ModelStep>,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        Self::on(machine(), steps, options, variables)
    }

    fn on(
        machine: Bailiwick,
        steps: impl IntoIterator<Item = ModelStep>,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let model = ModelServer::start(ModelScript::of(steps));
        let up = start(&machine, &model, options, variables);
        let options = options.iter().copied().map(str::to_owned).collect();
        let answers = RefCell::default();
        Self {
            machine,
            up,
            model,
            options,
            answers,
        }
    }

    /// Kills the server, and starts it again on what it has left.
    fn kill_and_start_again(&mut self) {
        let options = self.options.clone();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        self.restart_killed(&options);
    }

    /// The server ends, as an operator would end it, and starts again.
    pub(crate) fn restart(&mut self, options: &[&str]) {
        self.up.process.signal(rustix::process::Signal::TERM);
        assert_eq!(self.up.process.wait(PATIENCE), 0);
        self.starts_again(options);
    }

    /// The same after nobody could end anything.
    pub(crate) fn restart_killed(&mut self, options: &[&str]) {
        self.up.process.signal(rustix::process::Signal::KILL);
        self.up.process.wait(PATIENCE);
        self.starts_again(options);
    }

    fn starts_again(&mut self, options: &[&str]) {
        let key = std::mem::take(&mut self.up.key);
        self.up = start(&self.machine, &self.model, options, &[]);
        self.up.key = key;
    }

    /// Another server, on the same machine and with the same model.
    pub(crate) fn beside(&self, options: &[&str]) -> Up {
        start(&self.machine, &self.model, options, &[])
    }

    /// Asks another server something, with the key of this one.
    pub(crate) fn exchange_with(&self, up: &Up, method: &str, path: &str) -> (u16, Value) {
        let address = up.url.trim_start_matches("http://");
        self.send_to(address, method, path, "application/json", "")
    }

    /// An environment allows these hosts from now on, and not those of credentials.
    pub(crate) fn allows(&self, environment: &str, hosts: &[&str]) {
        let networking =
            json!({"type": "limited", "allowed_hosts": hosts, "allow_credential_hosts": false});
        let body = json!({"config": {"networking": networking}});
        self.asks("PATCH", &format!("/api/environments/{environment}"), &body);
    }

    pub(crate) fn tightens(&self, session: &str) -> Value {
        let path = format!("/api/sessions/{session}/tighten");
        self.asks("POST", &path, &Value::Null)
    }

    /// Asks the API for something, and gets it.
    #[track_caller]
    pub(crate) fn asks(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.exchange(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer:#}");
        answer
    }

    pub(crate) fn exchange(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, "application/json", &body)
    }

    /// The id of a file that was uploaded.
    pub(crate) fn upload(&self, name: &str, contents: &str) -> String {
        let body = format!(
            "--parts\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/plain\r\n\r\n{contents}\r\n--parts--\r\n"
        );
        let (status, made) = self.send(
            "POST",
            "/v1/files",
            "multipart/form-data; boundary=parts",
            &body,
        );
        assert_eq!(status, 200, "{made:#}");
        id(&made)
    }

    fn send(&self, method: &str, path: &str, content: &str, body: &str) -> (u16, Value) {
        let address = self.up.url.trim_start_matches("http://");
        self.send_to(address, method, path, content, body)
    }

    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    fn send_to(
        &self,
        address: &str,
        method: &str,
        path: &str,
        content: &str,
        body: &str,
    ) -> (u16, Value) {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\nanthropic-version: 2023-06-01\r\n\
             anthropic-beta: managed-agents-2026-04-01,files-api-2025-04-14\r\ncontent-type: {content}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.up.key,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let value = serde_json::from_str(body).unwrap_or(Value::Null);
        self.answers.borrow_mut().push(answer);
        (status, value)
    }

    /// What no other environment of this machine is called.
    pub(crate) fn name(&self) -> String {
        format!("work-{}", self.model.address().port())
    }

    pub(crate) fn environment(&self, networking: &Value) -> String {
        let body =
            json!({"name": self.name(), "config": {"type": "cloud", "networking": networking}});
        id(&self.asks("POST", "/v1/environments", &body))
    }

    pub(crate) fn session(&self, environment: &str, more: &Value) -> String {
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
    pub(crate) fn says(&self, session: &str, text: &str) -> Vec<String> {
        let idle = self.count(session, "session.status_idle");
        self.tells(session, text);
        self.rests(session, idle + 1);
        self.results(session)
    }

    /// Says something.
    pub(crate) fn tells(&self, session: &str, text: &str) {
        let event = json!({"type": "user.message", "content": [{"type": "text", "text": text}]});
        let path = format!("/v1/sessions/{session}/events");
        self.asks("POST", &path, &json!({"events": [event]}));
    }

    /// Waits until a session has come to rest so often.
    pub(crate) fn rests(&self, session: &str, times: usize) {
        self.rests_within(session, times, PATIENCE);
    }

    fn rests_within(&self, session: &str, times: usize, patience: Duration) {
        let begun = Instant::now();
        while self.count(session, "session.status_idle") < times {
            assert!(
                begun.elapsed() < patience,
                "it does not rest: {:#?}",
                self.events(session)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What its tools answered since the beginning.
    pub(crate) fn results(&self, session: &str) -> Vec<String> {
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

    pub(crate) fn events(&self, session: &str) -> Vec<Value> {
        let path = format!("/v1/sessions/{session}/events?limit=1000");
        let page = self.asks("GET", &path, &Value::Null);
        page["data"].as_array().unwrap().clone()
    }

    /// How many sandboxes of its environment run.
    pub(crate) fn running(&self) -> usize {
        let listed = self.machine.execute(["ps", "--format", "json"]);
        listed.stdout.matches(&self.name()).count()
    }

    pub(crate) fn waits_until_none_runs(&self) {
        let begun = Instant::now();
        while self.running() > 0 {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn count(&self, session: &str, kind: &str) -> usize {
        let events = self.events(session);
        events.iter().filter(|event| event["type"] == kind).count()
    }
}

/// A server whose models are this one, and which seals with the same key wherever it is started.
fn start(
    machine: &Bailiwick,
    model: &ModelServer,
    options: &[&str],
    variables: &[(&str, &str)],
) -> Up {
    let url = model.url();
    let own = [
        ("ANTHROPIC_API_KEY", "sk-test"),
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("BAILIWICK_SECRET_KEY", SECRET_KEY),
    ];
    let variables = [&own[..], variables].concat();
    Up::start_with(machine, options, &variables)
}

/// What secrets are sealed with.
const SECRET_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

pub(crate) fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

pub(crate) fn bash(command: &str) -> ModelStep {
    ModelStep::tool("bash", json!({"command": command}))
}

#[test]
fn system_a_session_s_bash_runs_in_a_sandbox_under_the_policy_of_its_environment() {
    let server = HttpServer::start();
    let port = server.address().port();
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let options = ["--sandbox-resolve", &pins[0], "--sandbox-resolve", &pins[1]];
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

/// The options that lead sandboxes to servers of this machine, and let them trust these.
pub(crate) fn leading_to(authority: &Authority, servers: &[(&str, &HttpsServer)]) -> Vec<String> {
    let pins = servers.iter().flat_map(|(name, server)| {
        [
            "--sandbox-resolve".to_owned(),
            format!("{name}={}", server.address()),
        ]
    });
    let certificate = authority.certificate().display().to_string();
    pins.chain(["--sandbox-ca".to_owned(), certificate])
        .collect()
}

/// The secret goes to its host, and only the placeholder to others; a secret that is replaced or taken away counts within seconds.
#[test]
fn system_a_credential_follows_its_row_and_its_secret_stays_outside() {
    let authority = Authority::new();
    let servers = ["own.test", "other.test"].map(|name| HttpsServer::start(&authority, &[name]));
    let [own, other] = &servers;
    let options = leading_to(&authority, &[("own.test", own), ("other.test", other)]);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let ask = |name: &str, server: &HttpsServer| {
        let port = server.address().port();
        format!("curl -sS -m 20 -H \"x-token: $API_TOKEN\" https://{name}:{port}/")
    };
    // The loop that looks after sandboxes comes by every two seconds.
    let a_while = format!(
        "for n in $(seq 12); do {}; sleep 0.5; done",
        ask("own.test", own)
    );
    let steps = [
        bash("echo \"inside: $API_TOKEN\""),
        bash(&ask("own.test", own)),
        bash(&ask("other.test", other)),
        ModelStep::text("Done."),
        bash(&a_while),
        ModelStep::text("Done."),
        bash(&a_while),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &options);
    let environment =
        place.environment(&json!({"type": "limited", "allowed_hosts": ["own.test", "other.test"]}));
    let vault = id(&place.asks("POST", "/v1/vaults", &json!({"display_name": "vault"})));
    let credentials = format!("/v1/vaults/{vault}/credentials");
    let body = json!({"auth": {
        "type": "environment_variable",
        "secret_name": "API_TOKEN",
        "secret_value": "first-secret",
        "networking": {"type": "limited", "allowed_hosts": ["own.test"]},
    }});
    let credential = id(&place.asks("POST", &credentials, &body));
    let session = place.session(&environment, &json!({"vault_ids": [vault]}));
    place.says(&session, "Go.");
    let seen = |server: &HttpsServer| {
        let last = server.requests().pop().unwrap_or_default();
        last["headers"].to_string()
    };
    assert!(seen(own).contains("first-secret"), "{}", seen(own));
    let elsewhere = seen(other);
    assert!(elsewhere.contains("bw_placeholder_"), "{elsewhere}");
    let change = json!({"auth": {"type": "environment_variable", "secret_value": "second-secret"}});
    place.asks("POST", &format!("{credentials}/{credential}"), &change);
    place.says(&session, "Again.");
    assert!(seen(own).contains("second-secret"), "{}", seen(own));
    place.asks(
        "POST",
        &format!("{credentials}/{credential}/archive"),
        &json!({}),
    );
    let results = place.says(&session, "Again.");
    assert!(seen(own).contains("bw_placeholder_"), "{}", seen(own));
    assert!(
        results[0].contains("inside: bw_placeholder_"),
        "{results:#?}"
    );
    let happened = format!("{:?}", place.events(&session));
    assert!(!happened.contains("first-secret") && !happened.contains("second-secret"));
    place.up.stop();
}

#[test]
fn system_files_come_in_unchangeable_and_outputs_come_out_once() {
    let steps = [
        bash(
            "cat /mnt/session/uploads/in.txt; echo x > /mnt/session/uploads/in.txt; rm /mnt/session/uploads/in.txt; echo new > /mnt/session/outputs/out.txt",
        ),
        ModelStep::text("Done."),
        bash(
            "ls -l /mnt/session/uploads; cat /mnt/session/uploads/in.txt; ln -s /etc/passwd /mnt/session/outputs/link",
        ),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &[]);
    let environment = place.environment(&json!({"type": "limited"}));
    let file = place.upload("in.txt", "what came in\n");
    let resources = json!([{"type": "file", "file_id": file, "mount_path": "/in.txt"}]);
    let session = place.session(&environment, &json!({"resources": resources}));
    place.says(&session, "Go.");
    let results = place.says(&session, "Again.");
    assert!(
        results[0].contains("what came in") && results[0].contains("Read-only file system"),
        "{results:#?}"
    );
    assert!(results[1].contains("what came in"), "{results:#?}");
    let listed = format!("/v1/files?scope_id={session}");
    let begun = Instant::now();
    let outputs = loop {
        let files = place.asks("GET", &listed, &Value::Null)["data"]
            .as_array()
            .unwrap()
            .clone();
        let outputs: Vec<_> = files
            .into_iter()
            .filter(|file| file["filename"] != "in.txt")
            .collect();
        if !outputs.is_empty() || begun.elapsed() > PATIENCE {
            break outputs;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let names: Vec<_> = outputs
        .iter()
        .map(|file| file["filename"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["out.txt"]);
    assert_eq!(outputs[0]["size_bytes"], 4);
    assert_eq!(
        outputs[0]["scope"],
        json!({"type": "session", "id": session})
    );
    place.up.stop();
}

/// An address of this machine that others reach it by. Nothing is sent.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let routed = socket.connect("192.0.2.1:9");
    routed.map_or(IpAddr::from([127, 0, 0, 1]), |()| {
        socket.local_addr().unwrap().ip()
    })
}

#[test]
fn system_bailiwick_s_own_api_is_not_reached_from_inside() {
    let address = own_address();
    let place = Place::new([], &["--listen", "0.0.0.0:0"]);
    let port = place.up.url.rsplit(':').next().unwrap();
    let probe = format!(
        "for a in 127.0.0.1 localhost host.internal 0.0.0.0 '[::ffff:{address}]' {address}; do curl -gfsS -m 5 http://$a:{port}/readyz && echo REACHED; done; echo over"
    );
    place.model.append([bash(&probe), ModelStep::text("Done.")]);
    let environment = place.environment(&json!({"type": "unrestricted"}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert!(results[0].contains("over"), "{results:#?}");
    assert!(!results[0].contains("REACHED"), "{results:#?}");
    assert!(
        results[0].contains(&format!("{address}:{port} (floor")),
        "{results:#?}"
    );
    // From here it answers there.
    let (status, _) = place.send_to(
        &format!("{address}:{port}"),
        "GET",
        "/readyz",
        "text/plain",
        "",
    );
    assert_eq!(status, 200);
    place.up.stop();
}

#[test]
fn system_the_floor_reaches_sandboxes_that_run_and_archiving_ends_them() {
    let server = HttpServer::start();
    let port = server.address().port();
    let pin = format!("allowed.test=127.0.0.1:{port}");
    let ask = format!("curl -sS -m 20 http://allowed.test:{port}/; echo ended $?");
    let steps = [
        bash(&ask),
        ModelStep::text("Done."),
        bash(&format!("sleep 6; {ask}")),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &["--sandbox-resolve", &pin]);
    let environment = place.environment(&json!({"type": "unrestricted"}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert!(results[0].contains("ended 0"), "{results:#?}");
    let version = place.asks("GET", "/api/organization", &Value::Null)["version"].clone();
    let floor = json!({"denied_hosts": ["allowed.test"], "denied_cidrs": [], "version": version});
    let (status, answer) = place.exchange("PATCH", "/api/organization", &floor);
    assert_eq!(status, 200, "{answer:#}");
    let results = place.says(&session, "Again.");
    assert!(results[1].contains("organization_floor"), "{results:#?}");
    assert_eq!(server.connections(), 1);
    assert_eq!(place.running(), 1);
    place.asks(
        "POST",
        &format!("/v1/sessions/{session}/archive"),
        &json!({}),
    );
    place.waits_until_none_runs();
    place.up.stop();
}

#[test]
fn system_an_idle_sandbox_is_kept_and_comes_back_with_its_files_and_its_shell() {
    let steps = [
        bash("echo kept > file; mkdir -p below; cd below; word=remembered; export word"),
        ModelStep::text("Done."),
        bash("pwd; cat ../file; echo $word"),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &["--sandbox-idle", "1s"]);
    let environment = place.environment(&json!({"type": "limited"}));
    let session = place.session(&environment, &Value::Null);
    place.says(&session, "Go.");
    place.waits_until_none_runs();
    let results = place.says(&session, "Go on.");
    let back = "/workspace/below\nkept\nremembered";
    assert!(results[1].contains(back), "{results:#?}");
    assert!(!results[1].contains("started anew"), "{results:#?}");
    place.up.stop();
}
