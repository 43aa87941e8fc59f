//! The commands for files, skills and sessions, and for what holds in a whole organization.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

use bailiwick_testkit::Bailiwick;
use serde_json::{Value, json};

use crate::{Ended, Up, finish, machine};

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
        let words: Vec<_> = line.split(' ').collect();
        self.up.asks(&self.machine, &words)
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        let words: Vec<_> = line.split(' ').collect();
        self.up.json(&self.machine, &words)
    }

    /// What a command complains that does not do what it was asked.
    #[track_caller]
    fn refuses(&self, line: &str) -> String {
        self.asks(line).exits(2).stderr
    }
}

#[test]
fn a_file_comes_back_as_it_was_sent() {
    let server = Server::new();
    // More than any buffer, and no text.
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let path = server.machine.workspace().join("report.pdf");
    fs::write(&path, &bytes).unwrap();
    let made = server.json("file upload report.pdf --expires-in 2h");
    assert_eq!(made["filename"], "report.pdf");
    assert_eq!(made["mime_type"], "application/pdf");
    assert_eq!(made["size_bytes"], bytes.len());
    assert!(made["expires_at"].is_string(), "{made}");
    server.asks("file download report.pdf copy.pdf").exits(0);
    let copy = server.machine.workspace().join("copy.pdf");
    assert_eq!(fs::read(&copy).unwrap(), bytes);
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let again = server
        .asks("file download report.pdf copy.pdf")
        .exits(125)
        .stderr;
    assert!(again.contains("cannot write copy.pdf"), "{again}");
    assert_eq!(server.json("file get report.pdf")["id"], made["id"]);
    let id = made["id"].as_str().unwrap();
    server.asks(&format!("file delete {id}")).exits(0);
    assert_eq!(server.json("file list"), json!([]));
    // Nothing is left of a download that came to nothing.
    server
        .asks(&format!("file download {id} gone.pdf"))
        .exits(2);
    assert!(!server.machine.workspace().join("gone.pdf").exists());
}

#[test]
fn a_file_goes_through_standard_streams() {
    let server = Server::new();
    let input = server.machine.write("input", "line\n");
    let mut command = server.up.command(
        &server.machine,
        &["file", "upload", "-", "--name", "notes.txt"],
    );
    finish(command.stdin(File::open(input).unwrap())).exits(0);
    let shown = server.asks("file download notes.txt -").exits(0).stdout;
    assert_eq!(shown, "line\n");
    let unnamed = server.refuses("file upload -");
    assert!(unnamed.contains("--name"), "{unnamed}");
    let nothing = server.refuses("file upload no-such-file");
    assert!(nothing.contains("cannot read no-such-file"), "{nothing}");
    assert!(
        server
            .refuses("file get nothing")
            .contains("`bailiwick file list`")
    );
}

const SKILL: &str = "---\nname: review\ndescription: reads code\n---\nRead it.\n";

#[test]
fn a_skill_is_made_of_a_directory_gets_versions_and_comes_back_as_a_zip() {
    let server = Server::new();
    server.machine.write("review/SKILL.md", SKILL);
    server.machine.write("review/scripts/check.py", "print()\n");
    let made = server.json("skill create review --name Review");
    assert_eq!(made["display_name"], "Review");
    let changed = SKILL.replace("reads code", "reads all code");
    server.machine.write("review/SKILL.md", &changed);
    let version = server.json("skill update review review");
    assert_eq!(version["description"], "reads all code");
    assert_eq!(
        server.json("skill get review --version latest")["id"],
        version["id"]
    );
    assert_eq!(
        server
            .json("skill versions review")
            .as_array()
            .unwrap()
            .len(),
        2
    );
    server.asks("skill download review review.zip").exits(0);
    let zip = fs::read(server.machine.workspace().join("review.zip")).unwrap();
    assert!(zip.starts_with(b"PK"));
    // It is what another skill can be made of.
    let line = format!(
        "skill delete review --version {}",
        version["id"].as_str().unwrap()
    );
    server.asks(&line).exits(0);
    server.json("skill update review review.zip");
    assert_eq!(server.json("skill list").as_array().unwrap().len(), 1);
    server.asks("skill delete review").exits(0);
    assert_eq!(server.json("skill list"), json!([]));
}

#[test]
fn a_skill_has_nothing_from_outside_of_its_directory() {
    let server = Server::new();
    server.machine.write("review/SKILL.md", SKILL);
    server.machine.write("secret", "hunter2");
    let link = server.machine.workspace().join("review/notes");
    symlink("../secret", &link).unwrap();
    let told = server.refuses("skill create review");
    assert!(told.contains("review/notes is not a file"), "{told}");
    fs::remove_file(link).unwrap();
    server.asks("skill create review").exits(0);
}

#[test]
fn sessions_are_listed_shown_archived_and_deleted() {
    let server = Server::new();
    server.json("environment create --name payments");
    server.machine.write(
        "reviewer.yaml",
        "name: reviewer\nmodel: claude-sonnet-4-5\n",
    );
    let agent = server.json("agent create -f reviewer.yaml");
    let environment = server.json("environment get payments");
    // What makes one is a program, with an SDK.
    let body = json!({"agent": agent["id"], "environment_id": environment["id"], "title": "first"});
    let script = format!(
        "curl -sS -f -H \"x-api-key: $BAILIWICK_API_KEY\" -H 'content-type: application/json' -d '{body}' \"$BAILIWICK_SERVER/v1/sessions\""
    );
    let mut shell = server.machine.shell(&script);
    server.up.is_asked_by(&mut shell);
    let made: Value = serde_json::from_str(&finish(&mut shell).exits(0).stdout).unwrap();
    assert_eq!(
        server.json("session list --agent reviewer --environment payments")[0]["id"],
        made["id"]
    );
    assert_eq!(server.json("session list --environment Default"), json!([]));
    assert_eq!(server.json("session get first")["id"], made["id"]);
    server.json("session archive first");
    assert_eq!(server.json("session list"), json!([]));
    let id = made["id"].as_str().unwrap();
    assert_eq!(server.json("session list --include-archived")[0]["id"], id);
    server.asks(&format!("session delete {id}")).exits(0);
    assert!(
        server
            .refuses(&format!("session get {id}"))
            .contains("[not_found]")
    );
}

#[test]
fn a_change_for_all_environments_is_shown_before_it_is_made() {
    let server = Server::new();
    let explain = |host: &str| {
        server
            .asks(&format!("environment explain Default {host}:443"))
            .code
    };
    assert_eq!(explain("vault.example.com"), 0);
    let change = "organization floor --deny vault.example.com --deny 10.9.0.0/16";
    let shown = server.asks(&format!("{change} --dry-run")).exits(1).stdout;
    assert!(
        shown.contains("Default") && shown.contains("vault.example.com"),
        "{shown}"
    );
    assert_eq!(
        explain("vault.example.com"),
        0,
        "a dry run changed something"
    );
    let changed = server.json(change);
    assert_eq!(changed["denied_hosts"], json!(["vault.example.com"]));
    assert_eq!(changed["denied_cidrs"], json!(["10.9.0.0/16"]));
    assert_eq!(explain("vault.example.com"), 3);
    server.asks(&format!("{change} --dry-run")).exits(0);
    let wrong = server.refuses("organization floor --remove other.example.com");
    assert!(
        wrong.contains("does not deny \"other.example.com\""),
        "{wrong}"
    );
    let kept = server.json("organization floor --remove vault.example.com");
    assert_eq!(
        (&kept["denied_hosts"], &kept["denied_cidrs"]),
        (&json!([]), &json!(["10.9.0.0/16"]))
    );
    server.machine.write(
        "networking.yaml",
        "type: limited\nallowed_hosts: [api.example.com]\n",
    );
    server.json("organization policy -f networking.yaml");
    assert_eq!(
        (explain("api.example.com"), explain("other.example.com")),
        (0, 3)
    );
    server.json("organization policy --built-in");
    assert_eq!(explain("other.example.com"), 0);
    server.refuses("organization policy");
    server.refuses("organization floor");
    server.refuses("organization floor --deny *");
}

#[test]
fn an_impact_says_what_would_open_and_close_and_changes_nothing() {
    let server = Server::new();
    let file = |host: &str| {
        format!(
            "name: payments\nconfig: {{type: cloud, networking: {{type: limited, allowed_hosts: [{host}]}}}}\n"
        )
    };
    server.machine.write("a.yaml", file("a.example.com"));
    server.machine.write("b.yaml", file("b.example.com"));
    server.json("environment create -f a.yaml");
    let shown = server
        .asks("environment impact payments -f b.yaml")
        .exits(1)
        .stdout;
    for line in [
        "payments     opened  b.example.com",
        "payments     closed  a.example.com",
    ] {
        assert!(shown.contains(line), "{line} not in {shown}");
    }
    server
        .asks("environment impact payments -f a.yaml")
        .exits(0);
    let policy = server.json("environment policy payments");
    assert_eq!(
        policy["networking"]["allowed_hosts"],
        json!(["a.example.com"])
    );
    assert_eq!(policy["source"]["kind"], "environment");
    let stale = server.refuses("environment impact payments -f b.yaml --if-version 7");
    assert!(stale.contains("[stale]"), "{stale}");
}

#[test]
fn records_are_kept_for_the_days_that_are_set() {
    let server = Server::new();
    let set = server.json("retention set --events 30 --audit-log 400");
    assert_eq!(
        (&set["events_days"], &set["audit_days"]),
        (&json!(30), &json!(400))
    );
    let set = server.json("retention set --audit-log forever");
    assert_eq!(
        (&set["events_days"], &set["audit_days"]),
        (&json!(30), &Value::Null)
    );
    assert_eq!(server.json("retention get"), set);
    let wrong = server.refuses("retention set --events never");
    assert!(wrong.contains("a number of days, or `forever`"), "{wrong}");
    assert!(
        server
            .refuses("retention set")
            .contains("nothing is to be changed")
    );
}

#[test]
fn a_role_keeps_what_is_not_named_and_a_wrong_word_says_so() {
    let server = Server::new();
    server.json("role create auditor --permission environment:read");
    let changed = server.json("role update auditor --add-permission audit-log:read --name reader");
    assert_eq!(changed["name"], "reader");
    assert_eq!(changed["permissions"].as_array().unwrap().len(), 2);
    let changed = server.json("role update reader --remove-permission environment:read");
    assert_eq!(changed["permissions"], json!(["audit-log:read"]));
    let wrong = server.refuses("role create x --permission environment:everything");
    assert!(wrong.contains("environment:everything"), "{wrong}");
    assert!(
        server
            .refuses("role update reader")
            .contains("nothing is to be changed")
    );
    assert!(server.refuses("role delete admin").contains('['));
}

#[test]
fn a_team_deploys_where_it_was_granted_that() {
    let server = Server::new();
    server.json("environment create --name production --restricted");
    server.json("team create releases");
    server.json("member add ada@example.com --name Ada --role member");
    server.asks("team add releases ADA@example.com").exits(0);
    assert_eq!(
        server.json("team members releases")[0]["email"],
        "ada@example.com"
    );
    let grant = server.json("grant create production --team releases");
    assert_eq!(server.json("grant list production")[0], grant);
    let to_ada = server.json("grant create production --member ada@example.com");
    assert!(
        to_ada["user_id"].is_string() && to_ada["team_id"].is_null(),
        "{to_ada}"
    );
    server.refuses("grant create production");
    server.refuses("grant create production --team releases --member ada@example.com");
    server.asks("team delete releases").exits(0);
    assert_eq!(server.json("grant list production"), json!([to_ada]));
}

#[test]
fn a_service_account_asks_with_a_key_of_its_own_until_it_is_deleted() {
    let server = Server::new();
    server.json("service-account create ci --role editor");
    let key = server.json("service-account key create ci --name pipeline");
    let whoami = || {
        let mut command = server
            .up
            .command(&server.machine, &["whoami", "-o", "json"]);
        finish(command.env("BAILIWICK_API_KEY", key["key"].as_str().unwrap()))
    };
    let told: Value = serde_json::from_str(&whoami().exits(0).stdout).unwrap();
    assert_eq!(told["actor"]["kind"], "service_account");
    server.asks("service-account delete ci").exits(0);
    assert!(whoami().exits(2).stderr.contains("[unauthenticated]"));
}
