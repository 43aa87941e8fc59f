//! Attacks on names and matching that have worked elsewhere. Each ends in "blocked" and has a positive control: the same
//! probe succeeds where the policy allows it.

use bailiwick_policy::{HostPattern, normalise_host, parse_destination};

use crate::support::{Setting, reason, resolved, setting};

/// The probe is denied for this reason under one policy and allowed for that one under another.
fn check(probe: &str, (blocked, why): (&[&str], &str), (control, because): (&[&str], &str)) {
    assert_eq!(
        reason(&setting(blocked).compile(), probe),
        why,
        "{probe} under {blocked:?}"
    );
    assert_eq!(
        reason(&setting(control).compile(), probe),
        because,
        "{probe} under {control:?} (control)"
    );
}

#[test]
fn attack_01_an_empty_allowlist_taken_for_no_restriction_is_blocked() {
    for probe in ["example.com:443", "dns example.com", "192.0.2.1:443"] {
        check(
            probe,
            (&["limited"], "no_rule"),
            (&["unrestricted"], "unrestricted"),
        );
    }
    let Setting { policy, .. } = setting(&["limited"]);
    assert!(policy.allowed_hosts.is_empty() && policy.allowed_cidrs.is_empty());
}

#[test]
fn attack_02_a_suffix_without_its_dot_is_blocked() {
    let rule: &[&str] = &["+*.example.com", "+example.com"];
    for probe in [
        "notexample.com:443",
        "evil-example.com:443",
        "example.com.evil.test:443",
        "xexample.com:1",
    ] {
        check(
            probe,
            (rule, "no_rule"),
            (&["unrestricted"], "unrestricted"),
        );
    }
    check(
        "a.example.com:443",
        (&["+*.b.example.com"], "no_rule"),
        (rule, "host_rule"),
    );
}

#[test]
fn attack_03_the_apex_under_a_wildcard_is_blocked_and_any_depth_is_not() {
    check(
        "example.com:443",
        (&["+*.example.com"], "no_rule"),
        (&["+example.com"], "host_rule"),
    );
    check(
        "a.example.com:443",
        (&["+example.com"], "no_rule"),
        (&["+*.example.com"], "host_rule"),
    );
    check(
        "d.c.b.a.example.com:443",
        (&["+a.example.com"], "no_rule"),
        (&["+*.example.com"], "host_rule"),
    );
}

#[test]
fn attack_04_another_spelling_of_a_denied_name_is_blocked() {
    let control: &[&str] = &["+*.example.com", "+*.bücher.test"];
    let denied: &[&str] = &[
        "+*.example.com",
        "+*.bücher.test",
        "-db.example.com",
        "-x.bücher.test",
    ];
    for probe in [
        "DB.Example.COM:1",
        "db.example.com.:1",
        "ＤＢ.example.com:1",
        "db。example.com:1",
        "X.BÜCHER.test:1",
        "x.xn--bcher-kva.test:1",
        "XN--X.test:1",
    ] {
        if probe.starts_with("XN--X") {
            assert!(
                parse_destination(probe).is_err(),
                "punycode that decodes to nothing"
            );
        } else {
            check(probe, (denied, "denied_rule"), (control, "host_rule"));
        }
    }
    for malformed in [
        "db%2eexample.com",
        "%64b.example.com",
        "[db.example.com]",
        "db.example.com..",
        "db..example.com",
    ] {
        assert!(normalise_host(malformed).is_err(), "{malformed} was taken");
    }
    assert!(normalise_host("db.example.com").is_ok());
}

#[test]
fn attack_05_control_bytes_in_a_name_are_blocked() {
    for malformed in [
        "evil\0.example.com",
        "a\r\n.example.com",
        "a\u{7f}.example.com",
        "a b.example.com",
        "a\u{a0}b.example.com",
        "\u{202e}moc.example.com",
        "a\t.example.com",
    ] {
        assert!(
            normalise_host(malformed).is_err(),
            "{malformed:?} was taken"
        );
        assert!(
            parse_destination(malformed).is_err(),
            "{malformed:?} was taken"
        );
        assert!(
            format!("*.{malformed}").parse::<HostPattern>().is_err(),
            "{malformed:?} was taken"
        );
    }
    check(
        "evil.example.com:1",
        (&["limited"], "no_rule"),
        (&["+*.example.com"], "host_rule"),
    );
}

#[test]
fn attack_06_unspecified_addresses_as_loopback_are_blocked() {
    for probe in [
        "0.0.0.0:80",
        "0.1.2.3:80",
        "[::]:80",
        "127.0.0.1:80",
        "127.255.255.254:80",
        "[::1]:80",
        "localhost:80",
        "a.localhost:80",
    ] {
        for policy in [
            ["unrestricted"].as_slice(),
            &[
                "unrestricted",
                "+0.0.0.0/0",
                "+::/0",
                "+*.localhost",
                "+localhost",
            ],
        ] {
            assert_eq!(
                reason(&setting(policy).compile(), probe),
                "floor",
                "{probe} under {policy:?}"
            );
        }
    }
    for odd in [
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0x7f000001",
        "127.0.0.1.",
        "１２７.0.0.1",
        "0",
    ] {
        assert!(normalise_host(odd).is_err(), "{odd} was taken for a name");
        assert!(
            parse_destination(odd).map_or(true, |to| to.to_string() == "127.0.0.1"),
            "{odd} was taken for something else"
        );
    }
    check(
        "1.1.1.1:80",
        (&["limited"], "no_rule"),
        (&["unrestricted"], "unrestricted"),
    );
}

#[test]
fn attack_07_ipv4_in_ipv6_dress_is_blocked() {
    let loopback = [
        "[::ffff:127.0.0.1]:80",
        "[::127.0.0.1]:80",
        "[::ffff:0:127.0.0.1]:80",
        "[64:ff9b::127.0.0.1]:80",
        "[64:ff9b:1::127.0.0.1]:80",
        "[64:ff9b:1:7f00:0:100::]:80",
        "[2002:7f00:1::]:80",
        "[2001:0:7f00:1::]:80",
        "[2001:0:c000:201::80ff:fffe]:80",
    ];
    for probe in loopback {
        assert_eq!(
            reason(&setting(&["unrestricted", "+::/0"]).compile(), probe),
            "floor",
            "{probe}"
        );
    }
    for probe in [
        "[::ffff:10.0.0.5]:80",
        "[64:ff9b::10.0.0.5]:80",
        "[2002:a00:5::]:80",
        "[2001:0:a00:5::f7f7:f7f7]:80",
    ] {
        check(
            probe,
            (&["unrestricted"], "private_address"),
            (
                &["unrestricted", "+10.0.0.0/8", "+0.0.0.0/0"],
                "unrestricted",
            ),
        );
    }
    for probe in [
        "[::ffff:192.0.2.1]:80",
        "[64:ff9b::192.0.2.1]:80",
        "[2002:c000:201::]:80",
    ] {
        check(
            probe,
            (&["unrestricted", "-192.0.2.0/24"], "denied_rule"),
            (&["unrestricted"], "unrestricted"),
        );
    }
}

#[test]
fn attack_08_ranges_that_are_often_forgotten_are_blocked() {
    for probe in [
        "100.64.0.1:80",
        "[fd00::1]:80",
        "[fec0::1]:80",
        "198.18.0.1:80",
        "192.0.0.1:80",
        "240.0.0.1:80",
        "172.31.255.255:80",
    ] {
        check(
            probe,
            (&["unrestricted"], "private_address"),
            (&["unrestricted", "+0.0.0.0/0", "+::/0"], "unrestricted"),
        );
    }
    for probe in [
        "[fe80::1]:80",
        "169.254.1.1:80",
        "224.0.0.251:5353",
        "255.255.255.255:80",
        "[ff02::fb]:80",
    ] {
        assert_eq!(
            reason(
                &setting(&["unrestricted", "+0.0.0.0/0", "+::/0"]).compile(),
                probe
            ),
            "floor",
            "{probe}"
        );
    }
    // Next to the ranges.
    for probe in [
        "100.63.255.255:80",
        "100.128.0.0:80",
        "172.32.0.0:80",
        "198.20.0.0:80",
        "192.0.1.0:80",
        "11.0.0.0:80",
    ] {
        check(
            probe,
            (&["limited"], "no_rule"),
            (&["unrestricted"], "unrestricted"),
        );
    }
}

#[test]
fn attack_09_a_denial_shadowed_by_a_wider_or_narrower_rule_is_blocked() {
    let control: &[&str] = &["+10.0.0.0/8", "+10.1.2.3"];
    check(
        "10.1.2.3:80",
        (&["+10.0.0.0/8", "+10.1.2.3", "-10.1.0.0/16"], "denied_rule"),
        (control, "cidr_rule"),
    );
    check(
        "10.1.2.3:80",
        (
            &["+10.1.2.3", "+10.0.0.0/8", "!10.0.0.0/8"],
            "organization_floor",
        ),
        (control, "cidr_rule"),
    );
    check(
        "10.1.2.3:80",
        (&["+10.1.2.0/24", "-10.0.0.0/8:80"], "denied_rule"),
        (&["+10.1.2.0/24", "-10.0.0.0/8:81"], "cidr_rule"),
    );
    check(
        "a.b.example.com:1",
        (&["+a.b.example.com", "-*.example.com"], "denied_rule"),
        (&["+a.b.example.com", "-example.com"], "host_rule"),
    );
}

#[test]
fn attack_10_another_port_of_an_allowed_host_is_blocked() {
    check(
        "example.com:22",
        (&["+example.com:443"], "no_rule"),
        (&["+example.com:22"], "host_rule"),
    );
    check(
        "example.com:8101",
        (&["+example.com:8000-8100"], "no_rule"),
        (&["+example.com:8000-8101"], "host_rule"),
    );
    check(
        "10.0.0.1:22",
        (&["+10.0.0.0/8:5432"], "private_address"),
        (&["+10.0.0.0/8:22"], "cidr_rule"),
    );
    check(
        "[fd12::1]:22",
        (&["+[fd12::/32]:5432"], "private_address"),
        (&["+[fd12::/32]:22"], "cidr_rule"),
    );
}

#[test]
fn attack_31_metadata_services_are_blocked() {
    let open: &[&str] = &[
        "unrestricted",
        "+0.0.0.0/0",
        "+::/0",
        "+metadata.google.internal",
        "+metadata.goog",
        "+instance-data",
    ];
    for probe in [
        "169.254.169.254:80",
        "169.254.170.2:80",
        "[fd00:ec2::254]:80",
        "168.63.129.16:80",
        "100.100.100.200:80",
        "192.0.0.192:80",
        "metadata.google.internal:80",
        "METADATA.GOOG.:80",
        "instance-data:80",
        "a.metadata.google.internal:80",
    ] {
        assert_eq!(reason(&setting(open).compile(), probe), "floor", "{probe}");
    }
    check(
        "metadata.example.com:80",
        (&["limited"], "no_rule"),
        (open, "unrestricted"),
    );
}

#[test]
fn attack_15_a_public_name_that_resolves_inwards_is_blocked() {
    let policy = setting(&["+rebind.example:80"]).compile();
    for inwards in [
        "127.0.0.1",
        "169.254.169.254",
        "203.0.113.80",
        "::1",
        "::ffff:127.0.0.1",
    ] {
        assert_eq!(
            resolved(&policy, "rebind.example:80", inwards, false),
            "floor",
            "{inwards}"
        );
    }
    assert_eq!(
        resolved(&policy, "rebind.example:80", "192.168.0.1", false),
        "resolved_to_private"
    );
    assert_eq!(
        resolved(&policy, "rebind.example:80", "192.0.2.1", false),
        "host_rule"
    );
}
