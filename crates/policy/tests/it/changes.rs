//! `diff` and `suggest`.

use bailiwick_model::{Flow, PolicySource, Reason, SandboxId};
use bailiwick_policy::{
    EffectivePolicy, HostFacts, OrganizationFloor, Policy, SessionGrants, Suggestion, Uncompiled,
    diff, effective, suggest,
};

use crate::support::{Setting, destination, facts, setting};

fn change(before: &[&str], after: &[&str]) -> String {
    diff(&setting(before).compile(), &setting(after).compile()).to_string()
}

#[test]
fn equal_policies_do_not_differ() {
    let lines = [
        "+example.com",
        "-*.example.com",
        "+10.0.0.0/8:22",
        "packages",
        "port 80",
    ];
    assert_eq!(change(&lines, &lines), "");
    // The same in other words.
    assert_eq!(
        change(&["+a.example:1-10"], &["+a.example:1-5", "+a.example:6-10"]),
        ""
    );
    assert_eq!(
        change(&["+10.0.0.0/8"], &["+10.0.0.0/9", "+10.128.0.0/9"]),
        ""
    );
}

#[test]
fn a_rule_that_is_added_or_removed_shows() {
    insta::assert_snapshot!(change(&["+a.example:443", "+10.0.0.0/8"], &["+*.a.example", "+10.0.0.0/8:22", "+192.0.2.7", "port 8080"]), @r"
    + *.a.example  (no_rule -> host_rule, *.a.example)
    + host.internal:8080  (floor -> host_port, host.internal)
    + 192.0.2.7/32  (no_rule -> cidr_rule, 192.0.2.7/32)
    - a.example:443  (host_rule -> no_rule)
    - 10.0.0.0/8:1-21  (cidr_rule -> private_address, not public (private use (RFC 1918)): 10.0.0.0/8)
    - 10.0.0.0/8:23-65535  (cidr_rule -> private_address, not public (private use (RFC 1918)): 10.0.0.0/8)
    ");
}

#[test]
fn what_a_denial_shadows_does_not_show() {
    insta::assert_snapshot!(change(&["!*.prod.example"], &["!*.prod.example", "+*.example.com", "+db.prod.example", "-b.example.com", "-*.example.com:22"]), @r"
    + *.example.com:1-21  (no_rule -> host_rule, *.example.com)
    + *.example.com:23-65535  (no_rule -> host_rule, *.example.com)
    ");
    assert_eq!(change(&["-a.example"], &["-a.example", "+a.example"]), "");
    assert_eq!(change(&["+127.0.0.1"], &["+169.254.0.0/16"]), "");
}

#[test]
fn a_change_of_mode_shows_for_everything_else() {
    insta::assert_snapshot!(change(&["limited", "+a.example", "-b.example"], &["unrestricted", "-b.example", "+10.0.0.0/8"]), @r"
    mode: limited -> unrestricted
    + every other public name  (no_rule -> unrestricted)
    + 10.0.0.0/8  (private_address -> unrestricted)
    + every other public address  (no_rule -> unrestricted)
    ");
    insta::assert_snapshot!(change(&["unrestricted"], &["limited", "+a.example:443"]), @r"
    mode: unrestricted -> limited
    - a.example:1-442  (unrestricted -> no_rule)
    - a.example:444-65535  (unrestricted -> no_rule)
    - every other public name  (unrestricted -> no_rule)
    - every other public address  (unrestricted -> no_rule)
    ");
}

#[test]
fn a_block_within_a_block_has_its_own_row() {
    insta::assert_snapshot!(change(&["+0.0.0.0/0", "-10.1.0.0/16"], &["-10.0.0.0/8", "+10.1.0.0/16", "+0.0.0.0/0:443"]), @r"
    - 0.0.0.0/0:1-442  (cidr_rule -> no_rule)
    - 0.0.0.0/0:444-65535  (cidr_rule -> no_rule)
    - 10.0.0.0/8  (cidr_rule -> denied_rule, denied: 10.0.0.0/8)
    - 100.64.0.0/10:1-442  (cidr_rule -> private_address, not public (shared address space of carriers (RFC 6598)): 100.64.0.0/10)
    - 100.64.0.0/10:444-65535  (cidr_rule -> private_address, not public (shared address space of carriers (RFC 6598)): 100.64.0.0/10)
    - 172.16.0.0/12:1-442  (cidr_rule -> private_address, not public (private use (RFC 1918)): 172.16.0.0/12)
    - 172.16.0.0/12:444-65535  (cidr_rule -> private_address, not public (private use (RFC 1918)): 172.16.0.0/12)
    - 192.0.0.0/24:1-442  (cidr_rule -> private_address, not public (IETF protocol assignments (RFC 6890)): 192.0.0.0/24)
    - 192.0.0.0/24:444-65535  (cidr_rule -> private_address, not public (IETF protocol assignments (RFC 6890)): 192.0.0.0/24)
    - 192.88.99.0/24:1-442  (cidr_rule -> private_address, not public (6to4 relay anycast, deprecated (RFC 7526)): 192.88.99.0/24)
    - 192.88.99.0/24:444-65535  (cidr_rule -> private_address, not public (6to4 relay anycast, deprecated (RFC 7526)): 192.88.99.0/24)
    - 192.168.0.0/16:1-442  (cidr_rule -> private_address, not public (private use (RFC 1918)): 192.168.0.0/16)
    - 192.168.0.0/16:444-65535  (cidr_rule -> private_address, not public (private use (RFC 1918)): 192.168.0.0/16)
    - 198.18.0.0/15:1-442  (cidr_rule -> private_address, not public (benchmarking (RFC 2544); inside a sandbox these are the synthetic addresses): 198.18.0.0/15)
    - 198.18.0.0/15:444-65535  (cidr_rule -> private_address, not public (benchmarking (RFC 2544); inside a sandbox these are the synthetic addresses): 198.18.0.0/15)
    - 240.0.0.0/4:1-442  (cidr_rule -> private_address, not public (reserved (RFC 1112 section 4)): 240.0.0.0/4)
    - 240.0.0.0/4:444-65535  (cidr_rule -> private_address, not public (reserved (RFC 1112 section 4)): 240.0.0.0/4)
    ");
}

/// A policy, narrowed by others.
fn narrowed(lines: &[&str], others: &[&[&str]]) -> Policy {
    let own = |lines: &[&str]| {
        let policy = setting(lines).policy;
        effective(Some(("test".parse().unwrap(), policy)), None)
    };
    let Setting {
        organization,
        grants,
        ..
    } = setting(lines);
    Uncompiled {
        effective: own(lines),
        narrowed_by: others.iter().copied().map(own).collect(),
        organization,
        grants,
    }
    .compile()
}

#[test]
fn what_another_policy_narrows_shows_as_closed_and_never_as_opened() {
    let lines = [
        "+a.example",
        "+*.b.example:443",
        "+10.0.0.0/8",
        "credential own.example",
    ];
    let before = narrowed(&lines, &[]);
    let after = narrowed(
        &lines,
        &[
            &["unrestricted", "-a.example"],
            &["+c.b.example", "+10.1.0.0/16"],
        ],
    );
    let difference = diff(&before, &after);
    assert!(difference.opened.is_empty(), "{difference}");
    insta::assert_snapshot!(difference.to_string(), @r"
    - a.example  (host_rule -> denied_rule, denied: a.example)
    - *.b.example:443  (host_rule -> no_rule)
    - 10.0.0.0/8  (cidr_rule -> private_address, not public (private use (RFC 1918)): 10.0.0.0/8)
    - 10.1.0.0/16  (cidr_rule -> private_address, not public (private use (RFC 1918)): 10.0.0.0/8)
    ");
}

#[test]
fn what_a_credential_is_for_can_be_reached_or_not() {
    let policy = narrowed(
        &[
            "+a.example:443",
            "+deep.b.example",
            "+*.c.example",
            "+192.0.2.1",
            "-no.c.example",
        ],
        &[&["unrestricted", "-deep.b.example:443"]],
    );
    let may = |host: &str| policy.may_reach(&host.parse().unwrap());
    for host in [
        "a.example",
        "a.example:443",
        "*.b.example",
        "x.c.example",
        "*.c.example:8080",
        "192.0.2.1",
    ] {
        assert!(may(host), "{host}");
    }
    for host in [
        "a.example:80",
        "b.example",
        "*.a.example",
        "*.b.example:443",
        "no.c.example",
        "192.0.2.2",
    ] {
        assert!(!may(host), "{host}");
    }
}

fn flow(to: &str, reason: Reason, address: Option<&str>) -> Flow {
    Flow {
        at: "2026-11-21T12:00:00Z".parse().unwrap(),
        sandbox: SandboxId::from_random(7),
        environment: None,
        destination: destination(to),
        address: address.map(|address| address.parse().unwrap()),
        verdict: reason.verdict(),
        reason,
        rule: None,
        source: PolicySource::BuiltIn,
        hint: None,
        bytes_out: 0,
        bytes_in: 0,
        duration_ms: 0,
        notes: Vec::new(),
    }
}

fn in_words(suggestion: &Suggestion) -> String {
    let policy = &suggestion.policy;
    let hosts = policy
        .allowed_hosts
        .iter()
        .map(|host| format!("host {host}"));
    let cidrs = policy
        .allowed_cidrs
        .iter()
        .map(|cidr| format!("cidr {cidr}"));
    let ports = policy
        .host_ports
        .iter()
        .map(|port| format!("host port {port}"));
    let assumed = suggestion
        .assumed_https
        .iter()
        .map(|name| format!("assumed {name}"));
    let unopened = suggestion
        .unopened
        .iter()
        .map(|unopened| format!("not {} ({:?})", unopened.destination, unopened.why));
    hosts
        .chain(cidrs)
        .chain(ports)
        .chain(assumed)
        .chain(unopened)
        .collect::<Vec<_>>()
        .join("\n")
}

fn observed() -> Vec<Flow> {
    vec![
        flow("dns api.example.com", Reason::NoRule, None),
        flow("dns db.example.com", Reason::HostRule, None),
        flow(
            "db.example.com:5432",
            Reason::ResolvedToPrivate,
            Some("10.0.0.5"),
        ),
        flow(
            "db.example.com:5432",
            Reason::ResolvedToPrivate,
            Some("10.0.0.6"),
        ),
        flow("pypi.org:443", Reason::Preset, Some("192.0.2.1")),
        flow("pypi.org:443", Reason::Preset, Some("192.0.2.1")),
        flow("pinned.example.com:443", Reason::Pinned, Some("127.0.0.1")),
        flow("gone.example.com:80", Reason::NameNotFound, None),
        flow("10.0.0.9:22", Reason::PrivateAddress, None),
        flow("192.0.2.9:22", Reason::NoRule, None),
        flow("[64:ff9b::10.0.0.9]:22", Reason::PrivateAddress, None),
        flow("host.internal:8080", Reason::HostPort, Some("127.0.0.1")),
        flow("host.internal:9090", Reason::Floor, None),
        flow("169.254.169.254:80", Reason::Floor, None),
        flow("prod.example:443", Reason::OrganizationFloor, None),
        flow("denied.example:443", Reason::DeniedRule, None),
        flow(
            "fronted.example:443",
            Reason::SniMismatch,
            Some("192.0.2.1"),
        ),
        flow("secret.example:443", Reason::ResolvedToPrivate, None),
        flow("udp 192.0.2.1:443", Reason::Udp, None),
        // A record that lies about its reason opens no floor either.
        flow("127.0.0.1:80", Reason::NoRule, None),
        flow("metadata.google.internal:80", Reason::NoRule, None),
        flow(
            "rebind.example:80",
            Reason::ResolvedToPrivate,
            Some("169.254.169.254"),
        ),
    ]
}

#[test]
fn the_smallest_policy_is_suggested_and_the_rest_is_named() {
    insta::assert_snapshot!(in_words(&suggest(&observed())), @r"
    host api.example.com:443
    host db.example.com:5432
    host gone.example.com:80
    host pinned.example.com:443
    host pypi.org:443
    cidr 10.0.0.5/32:5432
    cidr 10.0.0.6/32:5432
    cidr 10.0.0.9/32:22
    cidr 192.0.2.9/32:22
    cidr [64:ff9b::a00:9/128]:22
    host port 8080
    assumed api.example.com
    not denied.example:443 (DeniedRule)
    not fronted.example:443 (OtherHostNamed)
    not host.internal:9090 (Floor)
    not metadata.google.internal:80 (Floor)
    not prod.example:443 (OrganizationFloor)
    not rebind.example:80 (Floor)
    not secret.example:443 (UnknownAddress)
    not 127.0.0.1:80 (Floor)
    not 169.254.169.254:80 (Floor)
    not 192.0.2.1:443 (Udp)
    ");
}

#[test]
fn the_suggested_policy_allows_what_it_says_and_no_more() {
    let suggestion = suggest(&observed());
    let unopened: Vec<_> = suggestion
        .unopened
        .iter()
        .map(|unopened| &unopened.destination)
        .collect();
    let effective = EffectivePolicy {
        policy: suggestion.policy.clone(),
        source: PolicySource::BuiltIn,
    };
    let policy = Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    );
    for flow in observed() {
        let mut allowed = policy
            .decide(&flow.destination, &HostFacts::unknown())
            .is_allowed();
        if let (true, Some(address)) = (allowed, flow.address) {
            let pinned = flow.reason == Reason::Pinned;
            allowed = policy
                .decide_resolved(&flow.destination, address, pinned, &HostFacts::unknown())
                .is_allowed();
        }
        assert_eq!(
            allowed,
            !unopened.contains(&&flow.destination),
            "{}",
            flow.destination
        );
    }
    for other in [
        "api.example.com:80",
        "db.example.com:443",
        "x.pypi.org:443",
        "10.0.0.5:22",
        "10.0.0.8:22",
        "192.0.2.1:443",
    ] {
        assert!(
            !policy.decide(&destination(other), &facts()).is_allowed(),
            "{other}"
        );
    }
}

#[test]
fn no_flows_suggest_a_policy_that_allows_nothing() {
    let suggestion = suggest(&[]);
    assert_eq!(suggestion.policy, bailiwick_policy::EgressPolicy::limited());
    assert!(suggestion.unopened.is_empty() && suggestion.assumed_https.is_empty());
}
