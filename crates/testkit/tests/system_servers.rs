//! The servers that are other programs.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the clients of the servers"
)]

use std::process::Command;

use bailiwick_testkit::{Authority, HttpsServer, LeakCheck, Postgres};

#[test]
fn https_answers_with_what_it_was_asked_under_a_certificate_of_its_own() {
    let _leaks = LeakCheck::begin();
    let authority = Authority::new();
    let server = HttpsServer::start(&authority, &["api.test", "127.0.0.1"]);
    let port = server.address().port();
    let curl = |trust: bool| {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "10",
            "--data",
            "hello",
        ]);
        curl.args([
            "--connect-to",
            &format!("api.test:443:127.0.0.1:{port}"),
            "https://api.test/path",
        ]);
        if trust {
            curl.arg("--cacert").arg(authority.certificate());
        }
        curl.output().unwrap()
    };
    assert!(
        !curl(false).status.success(),
        "control: nobody else trusts it"
    );
    let output = curl(true);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (field, value) in [
        ("method", "POST"),
        ("path", "/path"),
        ("host", "api.test"),
        ("body", "hello"),
        ("sni", "api.test"),
    ] {
        assert_eq!(answer[field], value, "{answer}");
    }
    assert_eq!(server.connections(), 2);
    assert_eq!(server.requests(), [answer]);
}

#[test]
fn postgresql_answers_its_own_client() {
    let _leaks = LeakCheck::begin();
    let server = Postgres::start();
    let before = server.connections();
    let port = server.address().port().to_string();
    let output = Command::new(server.psql())
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-XAtc",
            "select 6 * 7",
        ])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "42\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(server.connections(), before + 1);
}
