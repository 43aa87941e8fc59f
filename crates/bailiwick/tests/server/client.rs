//! The commands that ask a server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use bailiwick_testkit::Bailiwick;
use serde_json::{Value, json};

use crate::{Ended, Up, finish, machine};

const FILE: &str = "name: payments\ndescription: what pays\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_hosts: [api.example.com]\n";

/// A command line without quotes.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// A server with the environment of [`FILE`], restricted.
fn with_payments() -> (Bailiwick, Up, Value) {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    machine.write("environment.yaml", FILE);
    let create = words("environment create -f environment.yaml --restricted");
    let made = up.json(&machine, &create);
    (machine, up, made)
}

#[test]
fn an_environment_is_made_of_its_file_and_shown_in_each_form() {
    let (machine, up, made) = with_payments();
    assert_eq!(made["name"], "payments");
    assert_eq!(
        (&made["restricted"], &made["version"]),
        (&json!(true), &json!(1))
    );
    let hosts = &made["config"]["networking"]["allowed_hosts"];
    assert_eq!(*hosts, json!(["api.example.com"]));
    let table = up.does(&machine, &["environment", "list"]);
    assert!(table.starts_with("ID "), "{table}");
    assert!(table.contains("  payments  cloud  limited "), "{table}");
    let yaml = up.does(&machine, &words("environment get PAYMENTS -o yaml"));
    assert!(yaml.contains("name: payments\n"), "{yaml}");
}

#[test]
fn a_change_keeps_what_it_does_not_name_and_loses_to_one_that_came_before() {
    let (machine, up, made) = with_payments();
    let change = "environment update payments --name pay --restricted false --namespace pay";
    let changed = up.json(&machine, &words(change));
    assert_eq!(
        (&changed["name"], &changed["namespace"]),
        (&json!("pay"), &json!("pay"))
    );
    assert_eq!(
        (&changed["restricted"], &changed["version"]),
        (&json!(false), &json!(2))
    );
    assert_eq!(changed["config"], made["config"]);
    // The last word is an empty one.
    let change = "environment update pay --inherit-policy --namespace ";
    let inherits = up.json(&machine, &words(change));
    assert_eq!(inherits["inherits_policy"], true);
    assert_eq!(inherits["namespace"], Value::Null);
    let late = words("environment update pay --name x --if-version 1");
    let stale = up.asks(&machine, &late).exits(2);
    assert!(stale.stderr.contains("[stale]"), "{}", stale.stderr);
}

#[test]
fn an_environment_is_archived_and_deleted() {
    let (machine, up, made) = with_payments();
    up.does(&machine, &words("environment archive payments"));
    let id = made["id"].as_str().unwrap();
    let get = ["environment", "get", id];
    assert_eq!(up.json(&machine, &get)["state"], "archived");
    let listed = |line: &str| up.json(&machine, &words(line)).to_string();
    assert!(!listed("environment list").contains(id));
    assert!(listed("environment list --include-archived").contains(id));
    up.does(&machine, &["environment", "delete", id]);
    up.asks(&machine, &get).exits(2);
}

#[test]
fn keys_open_what_they_should_until_they_are_revoked() {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    let made = up.json(&machine, &["key", "create", "--name", "laptop"]);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let list = || {
        finish(
            up.command(&machine, &["environment", "list"])
                .env("BAILIWICK_API_KEY", key),
        )
    };
    list().exits(0);
    let keys = up.does(&machine, &["key", "list"]);
    assert!(
        keys.contains(id) && keys.contains("laptop") && !keys.contains(key),
        "{keys}"
    );
    up.does(&machine, &["key", "revoke", id]);
    list().exits(2);
    up.does(
        &machine,
        &["environment", "create", "--name", "farm", "--self-hosted"],
    );
    let worker = up.json(
        &machine,
        &[
            "environment",
            "key",
            "create",
            "farm",
            "--name",
            "rack-7",
            "--expires-at",
            "2100-01-01T00:00:00Z",
        ],
    );
    assert!(
        worker["key"].as_str().unwrap().starts_with("bwe_"),
        "{worker}"
    );
    assert_eq!(worker["expires_at"], "2100-01-01T00:00:00Z");
}

/// A server that gives one answer to each request, in this order; what it was sent.
fn scripted(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let answered = |answer: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(head).unwrap()
        };
        answers.into_iter().map(answered).collect()
    });
    (url, serving)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn asks(url: &str) -> Ended {
    // It goes when this returns.
    let machine = machine();
    let mut command = machine.command(["environment", "list", "-o", "json", "--server", url]);
    finish(command.env("BAILIWICK_API_KEY", "bwk_secret"))
}

#[test]
fn a_list_is_followed_to_its_last_page() {
    let (url, serving) = scripted(vec![
        answer(
            "200 OK",
            r#"{"data":[{"id":"1"},{"id":"2"}],"next_page":"page_x&y"}"#,
        ),
        answer("200 OK", r#"{"data":[{"id":"3"}],"next_page":null}"#),
    ]);
    let ended = asks(&url).exits(0);
    let all: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(all.len(), 3);
    let requests = serving.join().unwrap();
    assert!(requests[0].starts_with("GET /api/environments?include_archived=false&limit=1000 "));
    assert!(requests[1].contains("&page=page_x%26y "), "{}", requests[1]);
}

#[test]
fn a_key_does_not_follow_a_redirect() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let to = format!("http://{}/", elsewhere.local_addr().unwrap());
    let redirect =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    let (url, serving) = scripted(vec![redirect]);
    let ended = asks(&url).exits(125);
    assert!(
        ended.stderr.contains("does not answer as a server"),
        "{}",
        ended.stderr
    );
    assert!(serving.join().unwrap()[0].contains("x-api-key: bwk_secret"));
    assert!(elsewhere.accept().is_err(), "somebody came");
}

#[test]
fn what_another_server_says_is_told_and_obeyed_by_no_terminal() {
    let problem = |status: u16| {
        json!({"status": status, "detail": "no\u{1b}[2J", "code": "unavailable", "request_id": "req_1"}).to_string()
    };
    for (answer, code, text) in [
        (
            answer("503 Unavailable", &problem(503)),
            125,
            "no\\u{1b}[2J (request req_1) [unavailable]",
        ),
        (
            answer("400 Bad", &problem(400)),
            2,
            "no\\u{1b}[2J [unavailable]",
        ),
        (
            answer("200 OK", "<html>"),
            125,
            "does not answer as a server",
        ),
        (answer("200 OK", "{}"), 125, "does not answer as a server"),
        (
            answer("502 Bad Gateway", "<html>"),
            125,
            "does not answer as a server",
        ),
        (String::new(), 125, "cannot reach"),
    ] {
        let (url, serving) = scripted(vec![answer]);
        let ended = asks(&url).exits(code);
        assert!(
            ended.stderr.contains(text),
            "{text} not in {}",
            ended.stderr
        );
        serving.join().unwrap();
    }
}

#[test]
fn what_is_typed_wrong_says_so_and_what_fails_says_where() {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    let list = ["environment", "list"];
    let with = |name, value| finish(up.command(&machine, &list).env(name, value));
    for (ended, code, text) in [
        (
            finish(up.command(&machine, &list).env_remove("BAILIWICK_API_KEY")),
            2,
            "BAILIWICK_API_KEY is not set",
        ),
        (with("BAILIWICK_API_KEY", "wrong"), 2, "[unauthenticated]"),
        (with("BAILIWICK_API_KEY", "line\nend"), 2, "is not a key"),
        (
            with("BAILIWICK_SERVER", "http://192.0.2.1:8080"),
            2,
            "without TLS",
        ),
        (with("BAILIWICK_SERVER", "nowhere"), 2, "is no server"),
        (
            with("BAILIWICK_SERVER", "http://127.0.0.1:1"),
            125,
            "cannot reach http://127.0.0.1:1",
        ),
        (
            up.asks(&machine, &["environment", "get", "nothing"]),
            2,
            "there is no environment \"nothing\"",
        ),
        (
            up.asks(
                &machine,
                &["environment", "create", "--name", &"x".repeat(60)],
            ),
            2,
            "name: ",
        ),
        (
            up.asks(&machine, &["key", "revoke", "../environments/x"]),
            2,
            "there is no key",
        ),
        (
            up.asks(&machine, &["environment", "delete", "Default"]),
            2,
            "[default_environment]",
        ),
    ] {
        let ended = ended.exits(code);
        assert!(
            ended.stderr.contains(text),
            "{text} not in {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains(&up.key), "{}", ended.stderr);
    }
}

#[test]
fn the_problems_of_a_file_have_places_before_anything_is_sent() {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    machine.write("environment.yaml", "name: x\ncolour: red\n");
    let ended = up
        .asks(
            &machine,
            &["environment", "create", "-f", "environment.yaml"],
        )
        .exits(2);
    assert!(
        ended.stderr.contains("environment.yaml:2:1"),
        "{}",
        ended.stderr
    );
}
