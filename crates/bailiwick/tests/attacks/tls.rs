//! TLS through the relay: server names that are not the name that was dialled, and hellos that hide theirs.

use bailiwick_model::{FlowNote, Reason};
use bailiwick_testkit::{Authority, BannerServer, HttpsServer, LeakCheck};

use crate::support::{REFUSED, everyone, inside};

/// Makes and sends ClientHellos. The server returns what it gets: an echo means that the hello went through.
const HELLOS: &str = include_str!("probe/hellos.py");

#[test]
fn a_hello_for_another_server_is_refused_however_it_is_cut_up() {
    let (_leaks, server) = (
        LeakCheck::begin(),
        BannerServer::start_at([127, 0, 0, 1].into(), ""),
    );
    let port = server.address().port();
    for bailiwick in everyone() {
        let told = inside(
            bailiwick
                .run()
                .allowing(&["api.test"])
                .resolve("api.test", server.address()),
            &HELLOS.replace("PORT", &port.to_string()),
        );
        let controls = [
            "control",
            "case",
            "built_control",
            "cut_control",
            "resumed control",
            "no name",
        ];
        controls.iter().for_each(|name| {
            told.said(name, "ok True");
        });
        // A second hello comes after the first one was let through, whose echo is then all that comes back. Whoever shuts down a connection
        // that was reset before is told that there is none (ENOTCONN).
        let late = [
            "second_hello",
            "change_cipher_between",
            "empty_record_between",
        ];
        late.iter().for_each(|name| {
            told.failed(name, &["ok False", "ECONNRESET", "EPIPE", "ENOTCONN"]);
        });
        told.all_failed_but(&[controls.as_slice(), &late].concat(), REFUSED);
        let outcome = told.outcome.as_ref().unwrap();
        let flows = outcome.flows_to(&format!("api.test:{port}"));
        assert!(flows.iter().any(|flow| flow.reason == Reason::SniMismatch));
        assert_eq!(
            flows
                .iter()
                .filter(|flow| flow.notes.contains(&FlowNote::NoSni))
                .count(),
            1,
            "a hello without a name is flagged"
        );
    }
}

#[test]
fn curl_cannot_ask_an_allowed_server_for_another_site() {
    let _leaks = LeakCheck::begin();
    let authority = Authority::new();
    let server = HttpsServer::start(&authority, &["api.test", "evil.test", "127.0.0.1"]);
    let port = server.address().port();
    for bailiwick in everyone() {
        let run = bailiwick
            .run()
            .allowing(&["api.test"])
            .resolve("api.test", server.address())
            .option("--ca")
            .option(authority.certificate());
        let told = inside(
            run,
            &format!(
                r#"
            def curl(*words):
                answer = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{{http_code}}", "--max-time", "5", *words], capture_output=True, text=True)
                if answer.stdout in ["000", "403"]: raise ConnectionResetError(104, "")
                return answer.stdout
            tell("control", lambda: curl("https://api.test:{port}/"))
            tell("insecure", lambda: curl("-k", "https://evil.test:{port}/"))
            tell("connect to", lambda: curl("--connect-to", "evil.test:{port}:api.test:{port}", "https://evil.test:{port}/"))
            tell("resolve", lambda: curl("--resolve", f"evil.test:{port}:{{socket.gethostbyname('api.test')}}", "https://evil.test:{port}/"))
            tell("old tls", lambda: curl("--tls-max", "1.2", "--connect-to", "evil.test:{port}:api.test:{port}", "https://evil.test:{port}/"))
            tell("address", lambda: curl("-k", "https://127.0.0.1:{port}/"))
        "#
            ),
        );
        told.said("control", "ok 200")
            .all_failed_but(&["control"], &["ECONNRESET"]);
    }
    let hosts: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request["host"].to_string())
        .collect();
    assert!(
        hosts.iter().all(|host| host.contains("api.test")) && !hosts.is_empty(),
        "{hosts:?}"
    );
}
