//! What a server writes about itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::{Up, finish, machine};

fn lines(up: &Up) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    up.process.complained().lines().map(read).collect()
}

#[test]
fn each_request_is_a_line_that_says_who_what_and_how_long() {
    let machine = machine();
    let up = Up::start(&machine, &["--log-format", "json"]);
    up.does(
        &machine,
        &["environment", "create", "--name", "very-secret-name"],
    );
    let wrong = [("BAILIWICK_API_KEY", "bwk_mistyped-secret")];
    finish(up.command(&machine, &["environment", "list"]).envs(wrong)).exits(2);
    let lines = lines(&up);
    let made = lines
        .iter()
        .find(|line| line["method"] == "POST")
        .expect("a line");
    assert_eq!(made["route"], "/api/environments");
    assert_eq!(
        (&made["status"], &made["level"]),
        (&201.into(), &"INFO".into())
    );
    assert!(
        made["request_id"].as_str().unwrap().starts_with("req_"),
        "{made}"
    );
    assert!(
        made["organization"].as_str().unwrap().starts_with("org_"),
        "{made}"
    );
    assert!(made["duration_ms"].as_f64().unwrap() > 0.0, "{made}");
    let refused = lines
        .iter()
        .find(|line| line["status"] == 401)
        .expect("a line");
    assert_eq!(
        (&refused["organization"], &refused["code"]),
        (&"".into(), &"unauthenticated".into())
    );
    let all = up.process.complained();
    for secret in [&up.key[..], "very-secret-name", "mistyped-secret"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn how_much_is_logged_is_said_by_the_option_or_else_by_the_variable() {
    for (options, variable, logged) in [
        (&[][..], "info", true),
        (&[], "warn", false),
        (&["--log-level", "info"], "off", true),
        (&["--log-level", "error"], "info", false),
    ] {
        let machine = machine();
        let up = Up::start_with(&machine, options, &[("BAILIWICK_LOG", variable)]);
        up.does(&machine, &["environment", "list"]);
        let all = up.process.complained();
        assert_eq!(
            all.contains("/api/environments"),
            logged,
            "{options:?} {variable}: {all}"
        );
    }
}

/// What is at a path, with its head.
fn fetched(address: &str, path: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn numbers_are_where_they_are_wanted_and_nowhere_else() {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let usual = fetched(&address(&up.url), "/metrics");
    assert!(usual.contains("bailiwick_http_connections 1\n"), "{usual}");
    up.stop();
    let up = Up::start(&machine, &["--metrics-listen", "127.0.0.1:0"]);
    let own = up.process.wait_for("where numbers are", |line| {
        let url = line.strip_prefix("numbers on ")?;
        Some(address(url.strip_suffix("/metrics")?))
    });
    let main = address(&up.url);
    assert!(fetched(&main, "/metrics").starts_with("HTTP/1.1 404 "));
    let own_numbers = fetched(&own, "/metrics");
    let counted = r#"bailiwick_http_requests_total{face="operator",method="GET",route="none",status="4xx"} 1"#;
    assert!(own_numbers.contains(counted), "{own_numbers}");
    assert!(fetched(&own, "/api/environments").starts_with("HTTP/1.1 404 "));
    assert!(fetched(&main, "/healthz").starts_with("HTTP/1.1 200 "));
    up.stop();
}

#[test]
fn a_port_that_is_taken_costs_no_key() {
    let machine = machine();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = machine.command(["up", "--listen", &address, "--data", "data"]);
    let ended = finish(&mut command).exits(125);
    assert!(
        ended.stderr.contains("cannot listen on"),
        "{}",
        ended.stderr
    );
    let up = Up::start(&machine, &[]);
    assert!(up.key.starts_with("bwk_"), "the key was made and not shown");
    up.does(&machine, &["environment", "list"]);
}

#[test]
fn a_level_that_there_is_not_is_refused() {
    let machine = machine();
    let mut command = machine.command(["up", "--listen", "127.0.0.1:0", "--data", "data"]);
    let ended = finish(command.env("BAILIWICK_LOG", "loud"));
    assert_ne!(ended.code, 0);
    assert!(
        ended.stderr.contains("BAILIWICK_LOG is off, error, warn"),
        "{}",
        ended.stderr
    );
}
