//! Names and how they are matched.

use bailiwick_model::Reason;
use bailiwick_testkit::{HttpServer, LeakCheck};

use crate::support::{REFUSED, everyone, inside};

/// Pins each name to the server, asks for each, and says which were answered.
fn reached(allowed: &[&str], names: &[&str]) -> Vec<Vec<String>> {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    everyone()
        .iter()
        .map(|bailiwick| {
            let pinned = names
                .iter()
                .fold(bailiwick.run().allowing(allowed), |run, name| {
                    run.resolve(name, server.address())
                });
            let probe =
                format!("for name in {names:?}:\n    tell(name, lambda: http(name, {port}, name))");
            let told = inside(pinned, &probe);
            let reached = names.iter().filter(|name| told.answer(name) == "ok 200");
            let reached: Vec<_> = reached.map(|name| (*name).to_owned()).collect();
            for name in names
                .iter()
                .filter(|name| !reached.contains(&(**name).to_owned()))
            {
                told.failed(name, REFUSED).denied(name, Reason::NoRule);
            }
            reached
        })
        .collect()
}

#[track_caller]
fn check(allowed: &[&str], names: &[&str], expected: &[&str]) {
    for reached in reached(allowed, names) {
        assert_eq!(reached, expected, "allowed: {allowed:?}");
    }
}

#[test]
fn an_empty_allowlist_allows_nothing() {
    check(&[], &["api.test"], &[]);
    check(&["api.test"], &["api.test"], &["api.test"]);
}

#[test]
fn a_wildcard_is_below_its_dot_and_not_the_apex() {
    let names = [
        "notexample.test",
        "evil-example.test",
        "example.test.evil.test",
        "example.test",
        "a.example.test",
        "a.b.c.example.test",
    ];
    check(
        &["*.example.test"],
        &names,
        &["a.example.test", "a.b.c.example.test"],
    );
}

#[test]
fn a_name_allows_neither_what_is_below_nor_what_is_above_it() {
    check(
        &["api.example.test"],
        &["api.example.test", "a.api.example.test", "example.test"],
        &["api.example.test"],
    );
}

#[test]
fn spellings_of_one_name_are_one_name_and_look_alikes_are_others() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for bailiwick in everyone() {
        let run = bailiwick
            .run()
            .allowing(&["api.test"])
            .resolve("api.test", server.address())
            .resolve("xn--pi-7kc.test", server.address());
        let told = inside(
            run,
            &format!(
                r#"
            for spelling in ["api.test", "API.Test", "api.test."]:
                tell(spelling, lambda: http(spelling, {port}, "api.test"))
            tell("homograph", lambda: http("xn--pi-7kc.test", {port}))
            raw = dict(nul=[b"evil\0", b"api", b"test"], nul_inside=[b"evil.test\0.api", b"test"], dot=[b"a.api", b"test"],
                escape=[b"\x1b]0;x\x07api", b"test"], percent=[b"api%2e", b"test"], bracket=[b"[api]", b"test"], space=[b"api ", b"test"],
                high=[b"\xff\xfe", b"test"], star=[b"*", b"test"], slash=[b"api/", b"test"])
            for name, labels in raw.items():
                tell(name, lambda: ask(labels))
            tell("control", lambda: ask([b"aPi", b"test"]))
        "#
            ),
        );
        for spelling in ["api.test", "API.Test", "api.test."] {
            told.said(spelling, "ok 200");
        }
        told.said("control", "ok 0/1").failed("homograph", REFUSED);
        for name in [
            "nul",
            "nul_inside",
            "dot",
            "escape",
            "percent",
            "bracket",
            "space",
            "high",
            "star",
            "slash",
        ] {
            told.said(name, "ok 5/0");
        }
    }
}

#[test]
fn a_port_that_the_rule_does_not_name_is_denied() {
    let (_leaks, server, other) = (LeakCheck::begin(), HttpServer::start(), HttpServer::start());
    let [port, closed] = [server.address().port(), other.address().port()];
    for bailiwick in everyone() {
        let run = bailiwick.run().allowing(&[&format!("api.test:{port}")]);
        let run = run.resolve("api.test", server.address());
        let told = inside(
            run,
            &format!(
                "for port in [{port}, {closed}]: tell(str(port), lambda: http('api.test', port, 'api.test'))"
            ),
        );
        told.said(&port.to_string(), "ok 200")
            .failed(&closed.to_string(), REFUSED);
        told.denied(&format!("api.test:{closed}"), Reason::NoRule);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_denied_host_stays_denied_below_an_allowed_wildcard() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for networking in [
        "type: limited\n    allowed_hosts: ['*.example.test']",
        "type: unrestricted",
    ] {
        let file = format!(
            "name: test\nconfig:\n  type: cloud\n  networking:\n    {networking}\n    denied_hosts: ['*.prod.example.test']\n"
        );
        for bailiwick in everyone() {
            let run = bailiwick
                .run()
                .environment(&file)
                .resolve("a.example.test", server.address())
                .resolve("a.prod.example.test", server.address());
            let told = inside(
                run,
                &format!(
                    "for name in ['a.example.test', 'a.prod.example.test']: tell(name, lambda: http(name, {port}, name))"
                ),
            );
            told.said("a.example.test", "ok 200")
                .failed("a.prod.example.test", REFUSED);
            told.denied("a.prod.example.test", Reason::DeniedRule);
        }
    }
}

#[test]
fn a_narrow_denial_holds_in_a_wide_block_and_a_wide_denial_is_not_opened_by_a_narrow_block() {
    let file = "name: test\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_cidrs: ['10.0.0.0/8', '100.64.0.0/10', '172.20.1.0/24']\n    denied_cidrs: ['10.1.0.0/16', '172.16.0.0/12']\n";
    for bailiwick in everyone() {
        let told = inside(
            bailiwick.run().environment(file),
            r#"
            for address in ["10.1.2.3", "172.20.1.1", "192.168.1.1"]:
                tell(address, lambda: http(address, 80))
        "#,
        );
        told.all_failed_but(&[], REFUSED);
        told.denied("10.1.2.3:80", Reason::DeniedRule)
            .denied("172.20.1.1:80", Reason::DeniedRule)
            .denied("192.168.1.1:80", Reason::PrivateAddress);
        // The control is a question to the policy, since a connection would leave this machine.
        let path = bailiwick.write("policy.yaml", file);
        let check = |destination: &str| {
            bailiwick
                .execute(["policy", "check", "-f", path.to_str().unwrap(), destination])
                .code
        };
        assert_eq!(
            [
                "10.2.2.3:80",
                "100.64.0.1:80",
                "10.1.2.3:80",
                "172.20.1.1:80"
            ]
            .map(check),
            [0, 0, 3, 3]
        );
    }
}
