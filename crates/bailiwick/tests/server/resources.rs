//! The commands for agents, vaults, credentials and members.

use std::fs::File;

use bailiwick_testkit::Bailiwick;
use serde_json::{Value, json};

use crate::{Ended, Up, finish, machine};

const REVIEWER: &str = "name: reviewer\nmodel: claude-sonnet-4-5\nenvironment: payments\n";

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

struct Server {
    machine: Bailiwick,
    up: Up,
}

impl Server {
    fn new() -> Self {
        let machine = machine();
        let up = Up::start(&machine, &[]);
        Self { machine, up }
    }

    fn asks(&self, line: &str) -> Ended {
        self.up.asks(&self.machine, &words(line))
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        self.up.json(&self.machine, &words(line))
    }

    /// What a command complains that does not do what it was asked.
    #[track_caller]
    fn refuses(&self, line: &str, code: i32) -> String {
        self.asks(line).exits(code).stderr
    }

    /// As [`Self::asks`], with a text on standard input.
    fn reads(&self, line: &str, input: &str) -> Ended {
        let path = self.machine.write("input", input);
        let mut command = self.up.command(&self.machine, &words(line));
        finish(command.stdin(File::open(path).unwrap()))
    }
}

/// A server with an environment and an agent in it.
fn with_reviewer() -> (Server, Value) {
    let server = Server::new();
    server.json("environment create --name payments");
    server.machine.write("reviewer.yaml", REVIEWER);
    let made = server.json("agent create -f reviewer.yaml");
    (server, made)
}

#[test]
fn an_agent_is_made_of_its_file_and_shown_in_each_form() {
    let (server, made) = with_reviewer();
    let environment = server.json("environment get payments");
    assert_eq!(made["environment_id"], environment["id"]);
    assert_eq!(made["model"]["id"], "claude-sonnet-4-5");
    let table = server
        .asks("agent list --environment payments")
        .exits(0)
        .stdout;
    assert!(
        table.contains("  reviewer  claude-sonnet-4-5  env_"),
        "{table}"
    );
    assert_eq!(server.json("agent list --environment Default"), json!([]));
    let yaml = server.asks("agent get reviewer -o yaml").exits(0).stdout;
    assert!(yaml.contains("name: reviewer\n"), "{yaml}");
    let from_input = server.reads("agent create -f -", "{\"name\": \"b\", \"model\": \"m\"}");
    from_input.exits(0);
}

#[test]
fn a_change_of_an_agent_makes_a_version_and_a_move_makes_none() {
    let (server, _) = with_reviewer();
    server
        .machine
        .write("change.yaml", "system: Read.\ndescription: reads\n");
    let changed = server.json("agent update reviewer -f change.yaml --no-environment");
    assert_eq!(
        (&changed["version"], &changed["system"]),
        (&json!(2), &json!("Read."))
    );
    assert_eq!(changed["environment_id"], Value::Null);
    let moved = server.json("agent update reviewer --environment payments");
    assert_eq!(moved["version"], 2);
    assert!(moved["environment_id"].is_string());
    let versions = server.json("agent versions reviewer");
    let numbers: Vec<_> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["version"])
        .collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(
        server.json("agent get reviewer --version 1")["system"],
        Value::Null
    );
    let stale = server.refuses("agent update reviewer --no-environment --if-version 1", 2);
    assert!(stale.contains("[stale]"), "{stale}");
    assert!(server.json("agent get reviewer")["environment_id"].is_string());
    let nothing = server.refuses("agent update reviewer", 2);
    assert!(nothing.contains("nothing is to be changed"), "{nothing}");
}

#[test]
fn an_archived_agent_has_an_id_and_no_name() {
    let (server, made) = with_reviewer();
    let id = made["id"].as_str().unwrap();
    let archived = server.json("agent archive reviewer");
    assert!(archived["archived_at"].is_string());
    let gone = server.refuses("agent get reviewer", 2);
    assert!(
        gone.contains("there is no agent \"reviewer\"; `bailiwick agent list` lists them"),
        "{gone}"
    );
    server.json(&format!("agent get {id}"));
    assert_eq!(server.json("agent list"), json!([]));
    assert_eq!(server.json("agent list --include-archived")[0]["id"], id);
}

#[test]
fn what_is_wrong_with_an_agent_is_said_before_anything_is_sent() {
    let (server, made) = with_reviewer();
    server.machine.write("bad.yaml", "name: x\ntools: 7\n");
    let bad = server.refuses("agent create -f bad.yaml", 2);
    assert!(
        bad.contains("bad.yaml:1:1") && bad.contains("bad.yaml:2:8"),
        "{bad}"
    );
    server
        .machine
        .write("two.yaml", "name: x\nmodel: m\n---\nname: y\nmodel: m\n");
    let two = server.refuses("agent create -f two.yaml", 2);
    assert!(two.contains("one document of `kind: Agent`"), "{two}");
    let nowhere = server.refuses("agent create -f reviewer.yaml --environment nowhere", 2);
    assert!(
        nowhere.contains("there is no environment \"nowhere\""),
        "{nowhere}"
    );
    assert_eq!(server.json("agent list").as_array().unwrap().len(), 1);
    // A name may be given twice, and then says nothing.
    server.json("agent create -f reviewer.yaml");
    let several = server.refuses("agent get reviewer", 2);
    assert!(several.contains(made["id"].as_str().unwrap()), "{several}");
    // What only the server knows.
    server.machine.write("change.yaml", "colour: red\n");
    let unknown = server.refuses(
        &format!(
            "agent update {} -f change.yaml",
            made["id"].as_str().unwrap()
        ),
        2,
    );
    assert!(
        unknown.contains("colour") && unknown.contains("[unknown_field]"),
        "{unknown}"
    );
}

#[test]
fn a_vault_is_made_changed_archived_and_deleted() {
    let server = Server::new();
    let made = server.json("vault create --name payments --metadata team=pay --metadata a=b=c");
    assert_eq!(made["metadata"], json!({"team": "pay", "a": "b=c"}));
    let changed = server.json("vault update payments --metadata team=core --remove-metadata a");
    assert_eq!(changed["metadata"], json!({"team": "core"}));
    assert_eq!(
        server.json("vault update payments --name pay")["display_name"],
        "pay"
    );
    assert_eq!(server.json("vault get pay")["id"], made["id"]);
    assert_eq!(server.json("vault list").as_array().unwrap().len(), 1);
    server.json("vault archive pay");
    assert_eq!(server.json("vault list"), json!([]));
    let id = made["id"].as_str().unwrap();
    server.asks(&format!("vault delete {id}")).exits(0);
    let gone = server.refuses(&format!("vault get {id}"), 2);
    assert!(gone.contains("[not_found]"), "{gone}");
    server.refuses("vault update pay", 2);
}

#[test]
fn a_secret_comes_from_a_file_or_standard_input_and_is_seen_by_nobody() {
    let server = Server::new();
    server.json("vault create --name payments");
    let create = "vault credential create payments";
    let line = format!(
        "{create} --variable API_TOKEN --allowed-host api.example.com --name api --secret-file - -o json"
    );
    let made = server.reads(&line, "hunter2-hunter2\n").exits(0).stdout;
    assert!(!made.contains("hunter2"), "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        made["auth"]["networking"]["allowed_hosts"],
        json!(["api.example.com"])
    );
    server.machine.write("token", "hunter3");
    let bearer = server.json(&format!(
        "{create} --mcp-server https://mcp.example.com/ --secret-file token"
    ));
    assert_eq!(bearer["auth"]["type"], "static_bearer");
    let body = "display_name: oauth\nauth: {type: mcp_oauth, mcp_server_url: 'https://other.example.com/', access_token: hunter4}\n";
    let oauth = server
        .reads(&format!("{create} -f - -o json"), body)
        .exits(0)
        .stdout;
    assert!(!oauth.contains("hunter4"), "{oauth}");
    let table = server
        .asks("vault credential list payments")
        .exits(0)
        .stdout;
    for word in ["API_TOKEN", "https://mcp.example.com/", "mcp_oauth"] {
        assert!(table.contains(word), "{table}");
    }
    let id = made["id"].as_str().unwrap();
    for (line, input) in [
        (
            format!("vault credential update payments {id} --secret-file -"),
            "hunter5",
        ),
        (
            format!("vault credential update payments {id} --name renamed"),
            "",
        ),
    ] {
        server.reads(&line, input).exits(0);
    }
    let shown = server.json(&format!("vault credential get payments {id}"));
    assert_eq!(shown["display_name"], "renamed");
    server.json(&format!("vault credential archive payments {id}"));
    server
        .asks(&format!("vault credential delete payments {id}"))
        .exits(0);
    assert_eq!(
        server
            .json("vault credential list payments")
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert!(!server.up.process.complained().contains("hunter"));
}

#[test]
fn what_is_wrong_with_a_secret_does_not_show_it() {
    let server = Server::new();
    server.json("vault create --name payments");
    let create = "vault credential create payments";
    for (line, input, code) in [
        (
            format!("{create} --variable API_TOKEN --allowed-host a.example.com --secret-file -"),
            "\n",
            2,
        ),
        (
            format!("{create} --variable no-name --any-host --secret-file -"),
            "hunter2",
            2,
        ),
        (
            format!("{create} -f -"),
            "auth: {type: static_bearer, token: hunter2",
            2,
        ),
        (format!("{create} -f -"), "auth: hunter2\n", 2),
        (format!("{create} --variable API_TOKEN"), "hunter2", 2),
        (
            format!("{create} --variable API_TOKEN --secret-file -"),
            "hunter2",
            2,
        ),
        (create.to_owned(), "hunter2", 2),
    ] {
        let ended = server.reads(&line, input).exits(code);
        assert!(
            !ended.stderr.contains("hunter2"),
            "{line}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.is_empty());
    }
    assert_eq!(server.json("vault credential list payments"), json!([]));
}

#[test]
fn a_member_is_added_given_a_role_and_removed() {
    let server = Server::new();
    let roles = server.json("role list");
    let id_of = |name: &str| {
        let has_name = |role: &&Value| role["name"] == name;
        roles.as_array().unwrap().iter().find(has_name).unwrap()["id"].clone()
    };
    let line = "member add ada@example.com --name Ada --role editor --password-file - -o json";
    let made = server
        .reads(line, "a long enough password\n")
        .exits(0)
        .stdout;
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        (&made["role_id"], &made["has_password"]),
        (&id_of("editor"), &json!(true))
    );
    let changed = server.json("member role ADA@example.com member");
    assert_eq!(changed["role_id"], id_of("member"));
    server
        .reads(
            "member password ada@example.com --password-file -",
            "another long password",
        )
        .exits(0);
    assert_eq!(server.json("member get ada@example.com")["name"], "Ada");
    let table = server.asks("member list").exits(0).stdout;
    assert!(table.contains("ada@example.com"), "{table}");
    server.asks("member remove ada@example.com").exits(0);
    assert!(!server.json("member list").to_string().contains("ada@"));
    let nobody = server.refuses("member role ada@example.com admin", 2);
    assert!(nobody.contains("`bailiwick member list`"), "{nobody}");
    let no_role = server.refuses("member add b@example.com --name B --role king", 2);
    assert!(
        no_role.contains("there is no role \"king\"; `bailiwick role list`"),
        "{no_role}"
    );
}

#[test]
fn an_environment_explains_what_it_reaches() {
    let server = Server::new();
    let file = "name: payments\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [api.example.com]}}\n";
    server.machine.write("environment.yaml", file);
    server.json("environment create -f environment.yaml");
    let allowed = server.json("environment explain payments api.example.com:443");
    assert_eq!(allowed["verdict"], "allow");
    let denied = server
        .asks("environment explain payments other.example.com:443")
        .exits(3)
        .stdout;
    assert!(denied.contains("deny"), "{denied}");
    let wrong = server.refuses("environment explain payments a..b", 2);
    assert!(wrong.contains("destination: "), "{wrong}");
}

#[test]
fn revisions_say_what_changed_and_who_changed_it() {
    let (server, _) = with_reviewer();
    server.json("environment update payments --name Payments --restricted true");
    let table = server
        .asks("environment revisions Payments")
        .exits(0)
        .stdout;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("REVISION  MADE"), "{table}");
    assert!(
        lines[1].starts_with("2 ") && lines[1].ends_with("name, restricted"),
        "{table}"
    );
    assert!(
        lines[1].contains("  user_") && lines[2].ends_with('-'),
        "{table}"
    );
    let changes = server
        .asks("environment revision Payments 2")
        .exits(0)
        .stdout;
    let words: Vec<_> = changes.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "FIELD",
            "BEFORE",
            "AFTER",
            "name",
            "payments",
            "Payments",
            "restricted",
            "no",
            "yes"
        ]
    );
    let first = server.json("environment revision Payments 1");
    assert_eq!(
        (&first["name"], &first["number"]),
        (&json!("payments"), &json!(1))
    );
    server.refuses("environment revision Payments 3", 2);
    server.refuses("environment revision Payments 0", 2);
}

#[test]
fn validating_says_why_a_server_was_not_asked() {
    let server = Server::new();
    server.json("vault create --name v");
    let body = json!({"auth": {"type": "mcp_oauth", "mcp_server_url": "http://169.254.169.254/mcp", "access_token": "SECRET-token"}});
    let create = "vault credential create v -f - -o json";
    let made = server.reads(create, &body.to_string()).exits(0).stdout;
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap();
    let table = server
        .asks(&format!("vault credential validate v {id}"))
        .exits(0)
        .stdout;
    assert!(
        table.contains("unknown") && table.contains("initialize"),
        "{table}"
    );
    assert!(
        table.contains("denied: floor") && !table.contains("SECRET"),
        "{table}"
    );
}
