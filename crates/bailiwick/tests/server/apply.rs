//! `bailiwick apply`, with a server.

mod knowledge;
mod spending;
mod wrong_turns;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bailiwick_testkit::{Bailiwick, Child};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{Ended, PATIENCE, Up, finish, machine};

const PAYMENTS: &str = "name: payments\ndescription: what pays\nmetadata: {team: pay}\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_hosts: [api.example.com]\n";
const REVIEWER: &str =
    "kind: Agent\nname: reviewer\nmodel: claude-sonnet-4-5\nenvironment: payments\n";

/// A server, and the files that are applied to it.
struct Applied {
    machine: Bailiwick,
    up: Up,
}

impl Applied {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = machine();
        let up = Up::start(&machine, &[]);
        for (path, text) in files {
            machine.write(path, text);
        }
        Self { machine, up }
    }

    fn command(&self, arguments: &str) -> Command {
        let words: Vec<_> = arguments.split_whitespace().collect();
        self.up.command(&self.machine, &words)
    }

    fn asks(&self, arguments: &str) -> Ended {
        finish(&mut self.command(arguments))
    }

    #[track_caller]
    fn does(&self, arguments: &str) -> String {
        self.asks(arguments).exits(0).stdout
    }

    #[track_caller]
    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.does(&format!("{arguments} -o json"))).expect("JSON")
    }

    /// A key of a service account that has this role.
    fn service_account(&self, role: &str) -> String {
        let roles = self.json("role list");
        let has_name = |found: &&Value| found["name"] == role;
        let role = roles.as_array().unwrap().iter().find(has_name).unwrap()["id"].clone();
        let made = self.post("service-accounts", &json!({"name": "ci", "role_id": role}));
        let id = made["id"].as_str().unwrap();
        let key = self.post(
            &format!("service-accounts/{id}/keys"),
            &json!({"name": "ci"}),
        );
        key["key"].as_str().unwrap().to_owned()
    }

    /// What no command does: a body to `/api`.
    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    fn post(&self, path: &str, body: &Value) -> Value {
        let (body, host) = (
            body.to_string(),
            self.up.url.strip_prefix("http://").unwrap(),
        );
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        let (key, length) = (&self.up.key, body.len());
        write!(stream, "POST /api/{path} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }

    /// Requests that would change something, as the server's log has them.
    fn writes(&self) -> usize {
        let log = self.up.process.complained();
        let is_write = |line: &&str| {
            ["POST", "PATCH", "PUT", "DELETE"].iter().any(|method| {
                line.contains(&format!("method={method} "))
                    || line.contains(&format!("\"{method}\""))
            })
        };
        log.lines().filter(is_write).count()
    }
}

/// Ids without what is different each time.
fn anonymous(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = ["env_", "agent_"]
        .iter()
        .filter_map(|prefix| Some((rest.find(prefix)?, *prefix)))
        .min()
    {
        let (begin, prefix) = at;
        let id = begin + prefix.len();
        let end = rest[id..]
            .find(|c: char| !c.is_ascii_alphanumeric())
            .map_or(rest.len(), |end| id + end);
        shown += &rest[..id];
        // A word such as `agent_toolset_20260401` is no id.
        shown += if end - id >= 16 { "ID" } else { &rest[id..end] };
        rest = &rest[end..];
    }
    shown + rest
}

/// As a test prints it: what came, on which stream, and how it ended.
fn whole(ended: &Ended) -> String {
    let Ended {
        code,
        stdout,
        stderr,
    } = ended;
    anonymous(&format!("{code}\n--- stdout\n{stdout}--- stderr\n{stderr}"))
}

#[test]
fn what_is_declared_comes_to_be_and_the_second_time_nothing_is_written() {
    let applied = Applied::new(&[
        ("all/env/payments.yaml", PAYMENTS),
        ("all/reviewer.yml", REVIEWER),
        ("all/.hidden.yaml", "?"),
        ("all/README.md", "?"),
    ]);
    let dry = applied.asks("apply -f all --set pay --dry-run");
    assert_snapshot!(whole(&dry), @r#"
    1
    --- stdout
    + environment payments
        + config.networking.allowed_hosts: "api.example.com"
        + config.networking.type: "limited"
        + config.type: "cloud"
        + description: "what pays"
        + metadata.apply-set: "pay"
        + metadata.team: "pay"
    + agent reviewer
        + execution_identity.type: "service_account"
        + metadata.apply-set: "pay"
        + model.effort.type: "high"
        + model.id: "claude-sonnet-4-5"
        + model.speed: "standard"
        + environment: "payments"
    2 to create
    --- stderr
    "#);
    assert_eq!(applied.writes(), 0);
    let first = applied.asks("apply -f all --set pay --yes");
    assert_snapshot!(whole(&first), @r#"
    0
    --- stdout
    + environment payments
        + config.networking.allowed_hosts: "api.example.com"
        + config.networking.type: "limited"
        + config.type: "cloud"
        + description: "what pays"
        + metadata.apply-set: "pay"
        + metadata.team: "pay"
    + agent reviewer
        + execution_identity.type: "service_account"
        + metadata.apply-set: "pay"
        + model.effort.type: "high"
        + model.id: "claude-sonnet-4-5"
        + model.speed: "standard"
        + environment: "payments"
    2 to create
    created environment payments (env_ID)
    created agent reviewer (agent_ID)
    --- stderr
    "#);
    let made = applied.json("environment get payments");
    assert_eq!(made["metadata"], json!({"team": "pay", "apply-set": "pay"}));
    let reviewer = applied.json("agent get reviewer");
    assert_eq!(reviewer["environment_id"], made["id"]);
    let writes = applied.writes();
    assert!(writes > 0, "{}", applied.up.process.complained());
    let second = applied.asks("apply -f all --set pay --prune");
    assert_snapshot!(whole(&second), @r"
    0
    --- stdout
    = environment payments (env_ID)
    = agent reviewer (agent_ID)
    nothing to do: 2 unchanged
    --- stderr
    ");
    applied
        .asks("apply -f all --set pay --prune --dry-run")
        .exits(0);
    assert_eq!(applied.writes(), writes);
    assert_eq!(applied.json("environment get payments")["version"], 1);
    assert_eq!(applied.json("agent get reviewer")["version"], 1);
}

#[test]
fn every_field_of_an_environment_is_brought_back_to_what_is_declared() {
    let applied = Applied::new(&[("p.yaml", PAYMENTS)]);
    applied.does("apply -f p.yaml --yes");
    let rich = "name: Payments\nmetadata: {other: x}\nrestricted: true\nnamespace: pay\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_hosts: [b.example.com]\n    allow_package_managers: true\n    allow_mcp_servers: true\n    allow_credential_hosts: false\n    allowed_cidrs: ['10.1.0.0/16:5432']\n    presets: [common_dependencies]\n    denied_hosts: [x.example.com]\n    denied_cidrs: [10.1.2.0/24]\n    host_ports: [5432]\n  packages: {pip: [six], npm: [tsx]}\n  project: {repository: 'https://git.example.com/a.git', ref: main}\n";
    for (text, inherits) in [
        (rich, false),
        (
            "name: payments\nconfig: {type: cloud, networking: {type: unrestricted, denied_hosts: [y.example.com]}}\n",
            false,
        ),
        (rich, false),
        ("name: payments\n", true),
        (PAYMENTS, false),
        (
            "name: payments\nnamespace:\nconfig: {type: cloud, networking: {type: unrestricted}}\n",
            false,
        ),
        (PAYMENTS, false),
    ] {
        applied.machine.write("p.yaml", text);
        applied.does("apply -f p.yaml --yes");
        let again = applied.asks("apply -f p.yaml --dry-run").exits(0);
        assert!(
            again.stdout.contains("nothing to do"),
            "{text}\n{}",
            again.stdout
        );
        assert_eq!(
            applied.json("environment get payments")["inherits_policy"],
            inherits
        );
    }
    // What a document does not say of these stays.
    let last = applied.json("environment get payments");
    assert_eq!(
        (&last["restricted"], &last["namespace"]),
        (&json!(true), &Value::Null)
    );
}

#[test]
fn an_agent_is_brought_back_moved_and_left_to_its_sessions() {
    let rich = "kind: Agent\nname: reviewer\nmodel: {id: m, effort: low}\nsystem: Read.\ndescription: reads\nmetadata: {a: b}\nmcp_servers: [{type: url, name: docs, url: 'https://mcp.example.com/'}]\ntools:\n- {type: agent_toolset_20260401, default_config: {enabled: false}, configs: [{name: bash, enabled: true}]}\n- {type: mcp_toolset, mcp_server_name: docs}\n- {type: custom, name: x, description: d, input_schema: {type: object, properties: {a: {type: string}}}}\nenvironment: payments\n";
    let applied = Applied::new(&[("p.yaml", PAYMENTS), ("r.yaml", rich)]);
    let poor = "kind: Agent\nname: reviewer\nmodel: m\n";
    for (text, is_placed) in [
        (rich, true),
        (poor, true),
        (
            "kind: Agent\nname: reviewer\nmodel: m\nenvironment:\n",
            false,
        ),
        (rich, true),
    ] {
        applied.machine.write("r.yaml", text);
        applied.does("apply -f p.yaml -f r.yaml --yes");
        let again = applied.asks("apply -f p.yaml -f r.yaml --dry-run").exits(0);
        assert!(
            again.stdout.contains("nothing to do"),
            "{text}\n{}",
            again.stdout
        );
        assert_eq!(
            applied.json("agent get reviewer")["environment_id"].is_string(),
            is_placed
        );
    }
    assert_eq!(applied.json("agent list").as_array().unwrap().len(), 1);
}

#[test]
fn pruning_archives_what_the_set_made_and_nothing_else() {
    let scratch = "name: scratch\n";
    let applied = Applied::new(&[
        ("a/p.yaml", PAYMENTS),
        ("a/r.yaml", REVIEWER),
        ("b/s.yaml", scratch),
        ("c/c.yaml", "name: adopted\n"),
    ]);
    applied.does("environment create --name by-hand");
    applied.does("environment create --name adopted");
    applied.does("apply -f a --set a --yes");
    applied.does("apply -f b --set b --yes");
    // What was there before belongs to no set, though it is declared.
    applied.does("apply -f c --set c --yes");
    let nothing = applied.asks("apply -f c --set c --prune --yes").exits(0);
    assert_snapshot!(whole(&nothing), @r"
    0
    --- stdout
    = environment adopted (env_ID)
    nothing to do: 1 unchanged
    --- stderr
    ");
    // Another set's things are not touched, not even those that nobody declares.
    applied.machine.write("b/s.yaml", "name: other\n");
    let pruned = applied.asks("apply -f b --set b --prune --yes");
    assert_snapshot!(whole(&pruned), @r#"
    0
    --- stdout
    + environment other
        + config.type: "cloud"
        + inherits_policy: true
        + metadata.apply-set: "b"
    - environment scratch (env_ID): is archived
    1 to create, 1 to archive
    created environment other (env_ID)
    archived environment scratch (env_ID)
    --- stderr
    "#);
    let names = |what: &str| -> Vec<String> {
        let all = applied.json(&format!("{what} list"));
        let all = all.as_array().unwrap();
        all.iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names("environment"),
        ["other", "payments", "adopted", "by-hand", "Default"]
    );
    assert_eq!(names("agent"), ["reviewer"]);
    applied.machine.write("a/r.yaml", "name: last\n");
    std::fs::remove_file(applied.machine.workspace().join("a/p.yaml")).unwrap();
    applied.does("apply -f a --set a --prune --yes");
    assert_eq!(names("agent"), [""; 0]);
    assert_eq!(
        names("environment"),
        ["last", "other", "adopted", "by-hand", "Default"]
    );
}

#[test]
fn a_set_takes_over_what_it_is_told_to() {
    let applied = Applied::new(&[("p.yaml", PAYMENTS), ("r.yaml", REVIEWER)]);
    applied.does("apply -f p.yaml --set a --yes");
    applied.does("apply -f p.yaml --set b --take-over --yes");
    assert_eq!(
        applied.json("environment get payments")["metadata"]["apply-set"],
        "b"
    );
    applied.does("apply -f r.yaml -f p.yaml --set b --yes");
    applied.does("apply -f r.yaml -f p.yaml --set a --take-over --yes");
    applied.does("apply -f p.yaml --set a --prune --yes");
    assert_eq!(applied.json("agent list"), json!([]));
}

#[test]
fn scripts_read_the_plan_and_what_came_of_it() {
    let applied = Applied::new(&[]);
    let mut command = applied.command("apply -f - --set pay --yes -o json");
    let mut file = tempfile::tempfile().unwrap();
    write!(file, "{PAYMENTS}---\n{REVIEWER}").unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let done = finish(command.stdin(file)).exits(0);
    let answer: Value = serde_json::from_str(&done.stdout).unwrap();
    let items = answer["items"].as_array().unwrap();
    let shown: Vec<_> = items
        .iter()
        .map(|item| json!([item["action"], item["kind"], item["name"], item["state"]]))
        .collect();
    assert_eq!(
        shown,
        [
            json!(["create", "environment", "payments", "done"]),
            json!(["create", "agent", "reviewer", "done"])
        ]
    );
    assert_eq!(
        items[0]["id"],
        applied.json("environment get payments")["id"]
    );
    let hosts = json!({"path": "config.networking.allowed_hosts", "before": null, "after": "api.example.com"});
    assert!(
        items[0]["changes"].as_array().unwrap().contains(&hosts),
        "{answer}"
    );
    applied
        .machine
        .write("r.yaml", "kind: Agent\nname: reviewer\nmodel: other\n");
    let planned = applied
        .asks("apply -f r.yaml --set pay --dry-run -o yaml")
        .exits(1);
    assert!(
        planned.stdout.contains("action: update"),
        "{}",
        planned.stdout
    );
    assert!(
        planned.stdout.contains("state: planned"),
        "{}",
        planned.stdout
    );
}

/// `bailiwick apply` of somebody at a terminal, who has seen the plan.
struct Asking {
    child: Child,
    terminal: std::fs::File,
}

impl Asking {
    fn start(applied: &Applied, arguments: &str) -> Self {
        use rustix::fs::{Mode, OFlags};
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave =
            rustix::fs::open(ptsname(&master, Vec::new()).unwrap(), flags, Mode::empty()).unwrap();
        let mut command = applied.command(arguments);
        let child = Child::start(command.stdin(Stdio::from(slave)));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !child.complained().contains("Do it? [y/N] ") {
            assert!(
                Instant::now() < deadline,
                "nobody asked: {}",
                child.complained()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            child,
            terminal: master.into(),
        }
    }

    fn answer(mut self, answer: &str) -> Ended {
        self.terminal.write_all(answer.as_bytes()).unwrap();
        let code = self.child.wait(PATIENCE);
        Ended {
            code,
            stdout: self.child.printed(),
            stderr: self.child.complained(),
        }
    }
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let applied = Applied::new(&[("p.yaml", PAYMENTS)]);
    for no in ["\n", "n\n", "\u{4}"] {
        let ended = Asking::start(&applied, "apply -f p.yaml")
            .answer(no)
            .exits(3);
        assert!(
            ended.stderr.ends_with("nothing was written\n"),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(applied.writes(), 0);
    Asking::start(&applied, "apply -f p.yaml")
        .answer("y\n")
        .exits(0);
    applied.json("environment get payments");
}
