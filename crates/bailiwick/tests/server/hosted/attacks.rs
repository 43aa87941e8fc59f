//! What a self-hosted server may not reach and not tell, each with what it may.

use bailiwick_testkit::{Authority, HttpServer, HttpsServer};
use serde_json::json;

use super::{Place, text};

const SECRET: &str = "canary-5e0b7c1d94a6-canary";

/// Cases 32, 33 and 36: hosts that are denied, what listens on this machine, the server itself, and another sandbox.
#[test]
fn system_a_hosted_server_reaches_what_its_environment_allows_and_nothing_else() {
    let web = HttpServer::start();
    let port = web.address().port();
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let place = Place::new(&["--sandbox-resolve", &pins[0], "--sandbox-resolve", &pins[1]]);
    place.enters_trying("trying", &["--variable", "API_TOKEN=none"]);
    let inside = "8123";
    let http = [
        "--arg",
        inside,
        "--port",
        inside,
        "--variable",
        "API_TOKEN=none",
    ];
    place.enters_trying("neighbour", &http);
    let own: u16 = place.up.url.rsplit(':').next().unwrap().parse().unwrap();
    let answer = place.calls(&json!([
        ["trying__reach", {"host": "allowed.test", "port": port}],
        ["trying__reach", {"host": "denied.test", "port": port}],
        ["trying__reach", {"host": "127.0.0.1", "port": port}],
        ["trying__reach", {"host": "127.0.0.1", "port": own}],
        ["trying__reach", {"host": "localhost", "port": own}],
        ["neighbour__reach", {"host": "127.0.0.1", "port": 8123}],
        ["trying__reach", {"host": "127.0.0.1", "port": 8123}],
        ["trying__reach", {"host": "169.254.169.254", "port": 80}],
    ]));
    assert!(
        text(&answer, 0).starts_with("reached"),
        "the control: {answer:#}"
    );
    // What is denied is answered to plain HTTP, by whoever denies it.
    assert!(text(&answer, 7).contains("403 Forbidden"), "{answer:#}");
    for at in [1, 2, 3, 4, 6] {
        assert!(
            text(&answer, at).starts_with("not reached"),
            "{at}: {answer:#}"
        );
    }
    assert!(
        text(&answer, 5).starts_with("reached"),
        "the control: {answer:#}"
    );
    assert_eq!(web.requests().len(), 1, "{:?}", web.requests());
    let log = place.log("trying");
    assert!(log.contains("denied: denied.test"), "{log}");
    // Flows are those of the environment and of no session.
    let listed = place.up.json(
        &place.machine,
        &["flow", "list", "--environment", "dev", "--verdict", "deny"],
    );
    let flows = listed.as_array().unwrap();
    let denied =
        |flow: &&serde_json::Value| flow["destination"].to_string().contains("denied.test");
    let denied = flows.iter().find(denied);
    assert!(denied.unwrap_or_else(|| panic!("{listed:#}"))["session_id"].is_null());
    place.up.stop();
}

/// Cases 29 and 59: the secret is with its host alone, neither in what the server answers nor in its log.
#[test]
fn system_the_secret_of_a_hosted_server_is_in_no_answer_and_in_no_log() {
    let authority = Authority::new();
    let web = HttpsServer::start(&authority, &["allowed.test", "denied.test"]);
    let port = web.address().port();
    let certificate = authority.certificate().display().to_string();
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let place = Place::new(&[
        "--sandbox-ca",
        &certificate,
        "--sandbox-resolve",
        &pins[0],
        "--sandbox-resolve",
        &pins[1],
    ]);
    place.does(&["vault", "create", "--name", "secrets"]);
    place.machine.write("secret", SECRET);
    let create = [
        "vault",
        "credential",
        "create",
        "secrets",
        "--variable",
        "API_TOKEN",
    ];
    let what = ["--allowed-host", "allowed.test", "--secret-file", "secret"];
    place.does(&[&create[..], &what].concat());
    place.enters_trying("trying", &["--secret", "API_TOKEN=secrets"]);
    let answer = place.calls(&json!([
        ["trying__tell", {}],
        ["trying__send", {"url": format!("https://allowed.test:{port}/")}],
        ["trying__send", {"url": format!("https://denied.test:{port}/")}],
    ]));
    let sent = web.requests();
    assert_eq!(sent.len(), 1, "{answer:#}");
    assert!(
        sent[0]["headers"].to_string().contains(SECRET),
        "the control: {answer:#}"
    );
    assert!(
        text(&answer, 0).starts_with("bw_placeholder_"),
        "{answer:#}"
    );
    // The host sent it back, and it did not come in.
    assert!(text(&answer, 1).contains("X-Token"), "{answer:#}");
    assert!(text(&answer, 2).starts_with("not sent"), "{answer:#}");
    let log = place.log("trying");
    assert!(log.contains("the secret is bw_placeholder_"), "{log}");
    let entry = place.does(&["mcp-catalog", "get", "trying", "-o", "json"]);
    let flows = place.does(&["flow", "list", "-o", "json"]);
    let audit = place.does(&["audit-log", "list", "-o", "json"]);
    let server = place.up.process.complained();
    for told in [answer.to_string(), log, entry, flows, audit, server] {
        assert!(!told.contains(SECRET), "{told}");
    }
    // Without its credential it is not started, and says which it lacks.
    place.enters_trying("bare", &["--secret", "OTHER=secrets"]);
    let answer = place.calls(&json!([["bare__tell", {}]])).to_string();
    assert!(
        answer.contains("OTHER") && answer.contains("no credential"),
        "{answer}"
    );
    place.up.stop();
}
