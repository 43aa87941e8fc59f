//! Source x destination x verdict, as tables: a change of security shows as a change of a table.

use bailiwick_model::PolicySource;
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, Mode, OrganizationFloor, Policy, SessionGrants, effective,
};

use crate::support::{address, decide, destination, facts, reason, resolved, setting, table};

const EVERY_KIND: &[&str] = &[
    "example.com:443",
    "api.example.com:443",
    "registry.npmjs.org:443",
    "192.0.2.7:443",
    "[2001:db8::7]:443",
    "10.0.0.5:443",
    "[fd12::5]:443",
    "198.18.1.1:443",
    "127.0.0.1:443",
    "203.0.113.80:443",
    "169.254.169.254:80",
    "metadata.google.internal:80",
    "host.internal:8080",
    "localhost:443",
    "udp example.com:443",
    "dns example.com",
    "dns host.internal",
];

#[test]
fn limited_without_rules_denies_everything() {
    insta::assert_snapshot!(table(&["limited"], EVERY_KIND), @r"
    example.com:443                    deny no_rule
    api.example.com:443                deny no_rule
    registry.npmjs.org:443             deny no_rule
    192.0.2.7:443                      deny no_rule
    [2001:db8::7]:443                  deny no_rule
    10.0.0.5:443                       deny private_address  [not public (private use (RFC 1918)): 10.0.0.0/8]
    [fd12::5]:443                      deny private_address  [not public (unique local (RFC 4193)): fc00::/7]
    198.18.1.1:443                     deny private_address  [not public (benchmarking (RFC 2544); inside a sandbox these are the synthetic addresses): 198.18.0.0/15]
    127.0.0.1:443                      deny floor  [floor (loopback (RFC 1122 section 3.2.1.3)): 127.0.0.0/8]
    203.0.113.80:443                   deny floor  [floor (an address of this host): addresses of the host's interfaces]
    169.254.169.254:80                 deny floor  [floor (metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack): 169.254.169.254/32]
    metadata.google.internal:80        deny floor  [floor (metadata: Google Cloud): metadata.google.internal]
    host.internal:8080                 deny floor  [floor (a service of this host): host.internal]
    localhost:443                      deny floor  [floor (the host's loopback): localhost]
    udp example.com:443                deny udp
    dns example.com                    deny no_rule
    dns host.internal                  deny floor  [floor (a service of this host): host.internal]
    ");
}

#[test]
fn unrestricted_allows_what_is_public() {
    insta::assert_snapshot!(table(&["unrestricted"], EVERY_KIND), @r"
    example.com:443                    allow unrestricted
    api.example.com:443                allow unrestricted
    registry.npmjs.org:443             allow unrestricted
    192.0.2.7:443                      allow unrestricted
    [2001:db8::7]:443                  allow unrestricted
    10.0.0.5:443                       deny private_address  [not public (private use (RFC 1918)): 10.0.0.0/8]
    [fd12::5]:443                      deny private_address  [not public (unique local (RFC 4193)): fc00::/7]
    198.18.1.1:443                     deny private_address  [not public (benchmarking (RFC 2544); inside a sandbox these are the synthetic addresses): 198.18.0.0/15]
    127.0.0.1:443                      deny floor  [floor (loopback (RFC 1122 section 3.2.1.3)): 127.0.0.0/8]
    203.0.113.80:443                   deny floor  [floor (an address of this host): addresses of the host's interfaces]
    169.254.169.254:80                 deny floor  [floor (metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack): 169.254.169.254/32]
    metadata.google.internal:80        deny floor  [floor (metadata: Google Cloud): metadata.google.internal]
    host.internal:8080                 deny floor  [floor (a service of this host): host.internal]
    localhost:443                      deny floor  [floor (the host's loopback): localhost]
    udp example.com:443                deny udp
    dns example.com                    allow unrestricted
    dns host.internal                  deny floor  [floor (a service of this host): host.internal]
    ");
}

#[test]
fn each_kind_of_rule_opens_its_own() {
    let lines = [
        "limited",
        "+example.com:443",
        "+10.0.0.0/8",
        "+192.0.2.0/24:443",
        "+[fd12::/32]:443",
        "packages",
        "port 8080",
    ];
    insta::assert_snapshot!(table(&lines, EVERY_KIND), @r"
    example.com:443                    allow host_rule  [example.com:443]
    api.example.com:443                deny no_rule
    registry.npmjs.org:443             allow preset  [package managers: registry.npmjs.org]
    192.0.2.7:443                      allow cidr_rule  [192.0.2.0/24:443]
    [2001:db8::7]:443                  deny no_rule
    10.0.0.5:443                       allow cidr_rule  [10.0.0.0/8]
    [fd12::5]:443                      allow cidr_rule  [[fd12::/32]:443]
    198.18.1.1:443                     deny private_address  [not public (benchmarking (RFC 2544); inside a sandbox these are the synthetic addresses): 198.18.0.0/15]
    127.0.0.1:443                      deny floor  [floor (loopback (RFC 1122 section 3.2.1.3)): 127.0.0.0/8]
    203.0.113.80:443                   deny floor  [floor (an address of this host): addresses of the host's interfaces]
    169.254.169.254:80                 deny floor  [floor (metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack): 169.254.169.254/32]
    metadata.google.internal:80        deny floor  [floor (metadata: Google Cloud): metadata.google.internal]
    host.internal:8080                 allow host_port  [host.internal]
    localhost:443                      deny floor  [floor (the host's loopback): localhost]
    udp example.com:443                deny udp
    dns example.com                    allow host_rule  [example.com:443]
    dns host.internal                  allow host_port  [host.internal]
    ");
}

#[test]
fn denials_come_before_everything_that_allows() {
    let lines = [
        "unrestricted",
        "+example.com",
        "+*.example.com",
        "+10.0.0.0/8",
        "-*.example.com",
        "-192.0.2.0/24",
        "!example.com",
        "!10.0.0.0/16",
        "!fd12::/32",
        "+fd12::/32",
        "port 8080",
        "!host.internal",
    ];
    insta::assert_snapshot!(table(&lines, EVERY_KIND), @r"
    example.com:443                    deny organization_floor  [organization floor: example.com]
    api.example.com:443                deny denied_rule  [denied: *.example.com]
    registry.npmjs.org:443             allow unrestricted
    192.0.2.7:443                      deny denied_rule  [denied: 192.0.2.0/24]
    [2001:db8::7]:443                  allow unrestricted
    10.0.0.5:443                       deny organization_floor  [organization floor: 10.0.0.0/16]
    [fd12::5]:443                      deny organization_floor  [organization floor: fd12::/32]
    198.18.1.1:443                     deny private_address  [not public (benchmarking (RFC 2544); inside a sandbox these are the synthetic addresses): 198.18.0.0/15]
    127.0.0.1:443                      deny floor  [floor (loopback (RFC 1122 section 3.2.1.3)): 127.0.0.0/8]
    203.0.113.80:443                   deny floor  [floor (an address of this host): addresses of the host's interfaces]
    169.254.169.254:80                 deny floor  [floor (metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack): 169.254.169.254/32]
    metadata.google.internal:80        deny floor  [floor (metadata: Google Cloud): metadata.google.internal]
    host.internal:8080                 deny organization_floor  [organization floor: host.internal]
    localhost:443                      deny floor  [floor (the host's loopback): localhost]
    udp example.com:443                deny organization_floor  [organization floor: example.com]
    dns example.com                    deny organization_floor  [organization floor: example.com]
    dns host.internal                  deny organization_floor  [organization floor: host.internal]
    ");
}

#[test]
fn presets_and_grants_answer_with_their_own_reason() {
    let lines = [
        "limited",
        "preset package_managers",
        "mcp mcp.example.com:443",
        "credential *.api.example.com",
    ];
    let destinations = [
        "registry.npmjs.org:443",
        "auth.docker.io:443",
        "github.com:443",
        "mcp.example.com:443",
        "mcp.example.com:80",
        "a.api.example.com:22",
    ];
    insta::assert_snapshot!(table(&lines, &destinations), @r"
    registry.npmjs.org:443             allow preset  [preset package_managers: registry.npmjs.org]
    auth.docker.io:443                 allow preset  [preset package_managers: *.docker.io]
    github.com:443                     deny no_rule
    mcp.example.com:443                allow session_grant  [MCP server: mcp.example.com:443]
    mcp.example.com:80                 deny no_rule
    a.api.example.com:22               allow session_grant  [credential: *.api.example.com]
    ");
    let mut closed = setting(&lines);
    closed.policy.allow_mcp_servers = false;
    closed.policy.allow_credential_hosts = false;
    assert_eq!(reason(&closed.compile(), "mcp.example.com:443"), "no_rule");
    assert_eq!(reason(&closed.compile(), "a.api.example.com:22"), "no_rule");
}

#[test]
fn a_question_is_allowed_if_a_port_is() {
    let policy = setting(&[
        "limited",
        "+a.example:443",
        "-a.example:443",
        "+b.example:1-100",
        "-b.example:1-99",
        "+c.example",
        "-c.example:22",
        "+10.0.0.1:22",
    ])
    .compile();
    assert_eq!(reason(&policy, "a.example"), "denied_rule");
    assert_eq!(reason(&policy, "b.example"), "host_rule");
    assert_eq!(reason(&policy, "c.example"), "host_rule");
    assert_eq!(reason(&policy, "d.example"), "no_rule");
    assert_eq!(reason(&policy, "10.0.0.1"), "cidr_rule");
    assert_eq!(reason(&policy, "10.0.0.2"), "private_address");
}

#[test]
fn a_question_about_host_internal_follows_host_ports() {
    assert_eq!(
        reason(&setting(&["unrestricted"]).compile(), "dns host.internal"),
        "floor"
    );
    assert_eq!(
        reason(
            &setting(&["limited", "port 8080"]).compile(),
            "dns host.internal"
        ),
        "host_port"
    );
    // A port on which Bailiwick itself listens is no service of the host.
    assert_eq!(
        reason(
            &setting(&["limited", "port 15001"]).compile(),
            "dns host.internal"
        ),
        "floor"
    );
}

#[test]
fn a_connection_without_a_port_is_malformed() {
    let policy = setting(&["unrestricted"]).compile();
    let code = |destination| policy.decide(&destination, &facts()).reason.code();
    assert_eq!(code(address("192.0.2.1", 0)), "invalid_destination");
    assert_eq!(
        code(bailiwick_model::Destination {
            port: 53,
            ..destination("dns example.com")
        }),
        "invalid_destination"
    );
    assert_eq!(code(address("192.0.2.1", 1)), "unrestricted");
}

#[test]
fn a_resolved_address_passes_the_floor_again() {
    let policy = setting(&[
        "limited",
        "+*.example.com",
        "+10.1.0.0/16:5432",
        "-192.0.2.0/24",
        "!198.51.100.0/24",
    ])
    .compile();
    let check = |to: &str, at: &str| resolved(&policy, to, at, false);
    assert_eq!(check("a.example.com:443", "1.1.1.1"), "host_rule");
    assert_eq!(
        check("a.example.com:443", "10.1.0.1"),
        "resolved_to_private"
    );
    assert_eq!(check("a.example.com:5432", "10.1.0.1"), "host_rule");
    assert_eq!(check("a.example.com:443", "127.0.0.1"), "floor");
    assert_eq!(check("a.example.com:443", "169.254.169.254"), "floor");
    assert_eq!(check("a.example.com:443", "203.0.113.80"), "floor");
    assert_eq!(check("a.example.com:443", "192.0.2.1"), "denied_rule");
    assert_eq!(
        check("a.example.com:443", "198.51.100.1"),
        "organization_floor"
    );
    assert_eq!(
        check("a.example.com:443", "::ffff:10.0.0.1"),
        "resolved_to_private"
    );
    assert_eq!(check("a.example.com:443", "64:ff9b::127.0.0.1"), "floor");
    assert_eq!(check("example.com:443", "1.1.1.1"), "no_rule");
    assert_eq!(check("dns a.example.com", "1.1.1.1"), "invalid_destination");
}

#[test]
fn a_pin_opens_private_and_loopback_and_nothing_else_of_the_floor() {
    let policy = setting(&[
        "limited",
        "+a.example.com:443",
        "+a.example.com:15001-15002",
        "-10.3.0.0/16",
    ])
    .compile();
    let pinned = |at: &str| resolved(&policy, "a.example.com:443", at, true);
    assert_eq!(pinned("10.1.0.1"), "pinned");
    assert_eq!(pinned("127.0.0.1"), "pinned");
    assert_eq!(pinned("::1"), "pinned");
    assert_eq!(pinned("1.1.1.1"), "pinned");
    assert_eq!(pinned("10.3.0.1"), "denied_rule");
    assert_eq!(pinned("10.9.9.9"), "floor");
    assert_eq!(pinned("203.0.113.80"), "floor");
    assert_eq!(pinned("0.0.0.0"), "floor");
    assert_eq!(pinned("::"), "floor");
    assert_eq!(pinned("169.254.169.254"), "floor");
    assert_eq!(pinned("fd00:ec2::254"), "floor");
    assert_eq!(pinned("64:ff9b::127.0.0.1"), "floor");
    // Bailiwick's listeners, one on loopback and one on every address.
    assert_eq!(
        resolved(&policy, "a.example.com:15001", "127.0.0.1", true),
        "floor"
    );
    assert_eq!(
        resolved(&policy, "a.example.com:15002", "::1", true),
        "floor"
    );
    assert_eq!(
        resolved(&policy, "a.example.com:15001", "127.0.0.2", true),
        "pinned"
    );
    // A pin is no rule.
    assert_eq!(
        resolved(&policy, "b.example.com:443", "10.1.0.1", true),
        "no_rule"
    );
}

#[test]
fn a_host_service_is_on_loopback_only() {
    let policy = setting(&["limited", "port 8080", "port 15001"]).compile();
    let check = |to: &str, at: &str| resolved(&policy, to, at, false);
    assert_eq!(check("host.internal:8080", "127.0.0.1"), "host_port");
    assert_eq!(check("host.internal:8080", "::1"), "host_port");
    assert_eq!(check("host.internal:8081", "127.0.0.1"), "floor");
    assert_eq!(check("host.internal:15001", "127.0.0.1"), "floor");
    assert_eq!(check("host.internal:8080", "1.1.1.1"), "floor");
    assert_eq!(check("host.internal:8080", "10.9.9.9"), "floor");
    assert_eq!(reason(&policy, "udp host.internal:8080"), "udp");
    assert_eq!(reason(&policy, "a.host.internal:8080"), "floor");
    assert_eq!(reason(&policy, "127.0.0.1:8080"), "floor");
}

#[test]
fn the_most_specific_rule_is_named() {
    let policy = setting(&[
        "limited",
        "+*.example.com",
        "+*.a.example.com",
        "+b.a.example.com:443",
        "+10.0.0.0/8",
        "+10.1.0.0/16",
    ])
    .compile();
    assert_eq!(
        decide(&policy, "b.a.example.com:443"),
        "allow host_rule  [b.a.example.com:443]"
    );
    assert_eq!(
        decide(&policy, "b.a.example.com:444"),
        "allow host_rule  [*.a.example.com]"
    );
    assert_eq!(
        decide(&policy, "c.b.a.example.com:443"),
        "allow host_rule  [*.a.example.com]"
    );
    assert_eq!(
        decide(&policy, "10.1.2.3:1"),
        "allow cidr_rule  [10.1.0.0/16]"
    );
    assert_eq!(
        decide(&policy, "169.254.169.254:80"),
        "deny floor  [floor (metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack): 169.254.169.254/32]"
    );
}

#[test]
fn the_effective_policy_says_where_it_came_from() {
    let name = || "dev".parse().unwrap();
    let limited = EgressPolicy::limited;
    let built_in = effective(None, None);
    assert_eq!(
        (built_in.policy.mode, &built_in.source),
        (Mode::Unrestricted, &PolicySource::BuiltIn)
    );
    assert_eq!(
        effective(None, Some(limited())),
        EffectivePolicy {
            policy: limited(),
            source: PolicySource::OrganizationDefault
        }
    );
    let own = effective(
        Some((name(), limited())),
        Some(EgressPolicy::unrestricted()),
    );
    assert_eq!(
        own,
        EffectivePolicy {
            policy: limited(),
            source: PolicySource::Environment(name())
        }
    );
    let policy = Policy::compile(own, &OrganizationFloor::empty(), &SessionGrants::none());
    assert_eq!(policy.source(), &PolicySource::Environment(name()));
}

#[test]
fn a_denial_says_what_would_allow_it() {
    let policy = setting(&[
        "limited",
        "-denied.example",
        "-192.0.2.0/24",
        "!prod.example",
        "+*.example.com",
    ])
    .compile();
    let destinations = [
        "api.example.org:443",
        "dns api.example.org",
        "pypi.org:443",
        "docker.com:443",
        "192.0.3.7:22",
        "10.0.0.5:5432",
        "[fd12::5]:5432",
        "denied.example:1",
        "192.0.2.1:1",
        "prod.example:443",
        "169.254.169.254:80",
        "127.0.0.1:5432",
        "203.0.113.80:22",
        "localhost:8080",
        "host.internal:8080",
        "host.internal",
        "127.0.0.1:15001",
        "udp api.example.org:443",
        "a.example.com:443",
    ];
    let hint = |text: &&str| {
        format!(
            "{text:<24} {}\n",
            policy
                .explain(&destination(text), &facts())
                .hint
                .unwrap_or_default()
        )
    };
    insta::assert_snapshot!(destinations.iter().map(hint).collect::<String>(), @r"
    api.example.org:443      add `api.example.org:443` to `allowed_hosts`
    dns api.example.org      add `api.example.org` to `allowed_hosts`
    pypi.org:443             add `pypi.org:443` to `allowed_hosts`, or set `allow_package_managers: true`
    docker.com:443           add `docker.com:443` to `allowed_hosts`, or add `common_dependencies` to `presets`
    192.0.3.7:22             add `192.0.3.7/32:22` to `allowed_cidrs`
    10.0.0.5:5432            add `10.0.0.5/32:5432` to `allowed_cidrs`
    [fd12::5]:5432           add `[fd12::5/128]:5432` to `allowed_cidrs`
    denied.example:1         remove `denied.example` from `denied_hosts`
    192.0.2.1:1              remove `192.0.2.0/24` from `denied_cidrs`
    prod.example:443         the organization denies this in every environment; no environment can open it
    169.254.169.254:80       no rule opens this: metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack
    127.0.0.1:5432           open the service with 5432 in `host_ports` (or --host-port 5432) and connect to host.internal:5432
    203.0.113.80:22          open the service with 22 in `host_ports` (or --host-port 22) and connect to host.internal:22
    localhost:8080           open the service with 8080 in `host_ports` (or --host-port 8080) and connect to host.internal:8080
    host.internal:8080       open the service with 8080 in `host_ports` (or --host-port 8080) and connect to host.internal:8080
    host.internal            open a service of the host by its port in `host_ports` and connect to host.internal
    127.0.0.1:15001          no rule opens Bailiwick's own listeners
    udp api.example.org:443  UDP is never relayed; use TCP (HTTP/3 clients fall back by themselves)
    a.example.com:443
    ");
    let to = destination("a.example.com:5432");
    let at = "10.0.0.5".parse().unwrap();
    let ruling = policy.decide_resolved(&to, at, false, &facts());
    insta::assert_snapshot!(policy.explain_resolved(&to, at, ruling).hint.unwrap(), @"a.example.com resolved to 10.0.0.5; add `10.0.0.5/32:5432` to `allowed_cidrs`");
}
