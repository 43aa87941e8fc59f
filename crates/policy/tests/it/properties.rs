//! What holds for every policy and every text.

use bailiwick_model::{Destination, Host, HostName, Protocol, Verdict};
use bailiwick_policy::{
    CidrRule, EgressPolicy, HostPattern, Mode, Pin, Policy, Ports, Preset, Uncompiled, effective,
    normalise_host, parse_destination,
};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;

use crate::reference;
use crate::support::{Setting, facts, setting};

/// Few labels and few ports, so that rules and destinations meet.
fn name() -> impl Strategy<Value = String> {
    let label = select(vec![
        "a",
        "b",
        "example",
        "host",
        "internal",
        "localhost",
        "com",
        "crates",
        "io",
        "metadata",
        "google",
    ]);
    prop_oneof![
        8 => prop::collection::vec(label, 1..5).prop_map(|labels| labels.join(".")),
        1 => select(vec!["host.internal", "localhost", "crates.io", "auth.docker.io", "metadata.google.internal"]).prop_map(str::to_owned),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    select(vec![1, 22, 80, 443, 444, 5432, 15001, 15002, 65535])
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        3 => Just(Ports::ANY),
        3 => port().prop_map(|port| Ports::one(port).unwrap()),
        1 => (port(), port()).prop_map(|(a, b)| Ports::range(a.min(b), a.max(b)).unwrap()),
    ]
}

fn with_ports(host: &str, ports: Ports) -> String {
    if ports.is_any() {
        host.to_owned()
    } else {
        format!("{host}:{ports}")
    }
}

fn host_rule() -> impl Strategy<Value = HostPattern> {
    let text = (any::<bool>(), name(), ports()).prop_map(|(wildcard, name, ports)| {
        let star = if wildcard { "*." } else { "" };
        with_ports(&format!("{star}{name}"), ports)
    });
    text.prop_filter_map("a public suffix", |text| text.parse().ok())
}

fn ip() -> impl Strategy<Value = std::net::IpAddr> {
    let known = select(vec![
        "192.0.2.1",
        "198.51.100.7",
        "10.0.0.1",
        "10.0.1.1",
        "10.9.9.9",
        "127.0.0.1",
        "169.254.169.254",
        "203.0.113.80",
        "100.64.0.1",
        "198.18.1.1",
        "2001:db8::1",
        "2001:db8:80::1",
        "fd12::1",
        "fe80::1",
        "::1",
        "::",
        "::ffff:10.0.0.1",
        "::ffff:192.0.2.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::192.0.2.1",
        "64:ff9b:1:a00:0:100::",
        "64:ff9b:1::10.0.0.1",
        "2002:a00:1::1",
        "2002:c000:201::1",
        "2001:0:a00:1::",
        "2001:0:c000:201::f5ff:fffe",
        "::10.0.0.1",
        "::ffff:0:10.0.0.1",
        "240.0.0.1",
        "8.8.8.8",
    ]);
    prop_oneof![4 => known.prop_map(|text| text.parse().unwrap()), 1 => any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).into()), 1 => any::<std::net::Ipv6Addr>().prop_map(Into::into)]
}

fn cidr_rule() -> impl Strategy<Value = CidrRule> {
    (ip(), 0_u8..=128, ports()).prop_map(|(address, length, ports)| {
        let address = address.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        CidrRule::new(IpNet::new(address, length.min(most)).unwrap(), ports)
    })
}

fn list<T: std::fmt::Debug>(rule: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(rule, 0..5)
}

fn any_setting() -> impl Strategy<Value = Setting> {
    let hosts = (
        list(host_rule()),
        list(host_rule()),
        list(host_rule()),
        list(host_rule()),
        list(host_rule()),
    );
    let cidrs = (list(cidr_rule()), list(cidr_rule()), list(cidr_rule()));
    let switches = (
        any::<[bool; 4]>(),
        prop::collection::vec(select(Preset::ALL), 0..2),
        prop::collection::vec(port(), 0..3),
    );
    (hosts, cidrs, switches).prop_map(|(hosts, cidrs, (switches, presets, host_ports))| {
        let mut setting = setting(&[]);
        setting.policy.mode = if switches[0] {
            Mode::Unrestricted
        } else {
            Mode::Limited
        };
        setting.policy.allow_package_managers = switches[1];
        setting.policy.allow_mcp_servers = switches[2];
        setting.policy.allow_credential_hosts = switches[3];
        (setting.policy.allowed_hosts, setting.policy.allowed_cidrs) = (hosts.0, cidrs.0);
        (setting.policy.denied_hosts, setting.policy.denied_cidrs) = (hosts.1, cidrs.1);
        (
            setting.organization.denied_hosts,
            setting.organization.denied_cidrs,
        ) = (hosts.2, cidrs.2);
        (setting.grants.mcp_hosts, setting.grants.credential_hosts) = (hosts.3, hosts.4);
        (setting.policy.presets, setting.policy.host_ports) = (presets, host_ports);
        setting
    })
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?}\n{:?}\n{:?}",
            self.policy, self.organization, self.grants
        )
    }
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let host = prop_oneof![
        name().prop_map(|name| Host::Name(HostName::from_normalised(&name).unwrap())),
        ip().prop_map(Host::Address),
    ];
    let rest = prop_oneof![
        6 => port().prop_map(|port| (port, Protocol::Tcp)),
        1 => port().prop_map(|port| (port, Protocol::Udp)),
        3 => Just((0, Protocol::Dns)),
        1 => select(vec![(0, Protocol::Tcp), (0, Protocol::Udp), (53, Protocol::Dns)]),
    ];
    (host, rest).prop_map(|(host, (port, protocol))| Destination {
        host,
        port,
        protocol,
    })
}

/// What the reference says, as far as it is bound to say the same: for a denied question without a port only the verdict.
fn agrees(setting: &Setting, destination: &Destination) -> Result<(), TestCaseError> {
    let policy = setting.compile();
    let host = facts();
    let (fast, slow) = (
        policy.decide(destination, &host).reason,
        reference::decide(setting, destination, &host),
    );
    prop_assert_eq!(
        fast.verdict(),
        slow.verdict(),
        "{} {} {}",
        destination,
        fast,
        slow
    );
    if destination.protocol != Protocol::Dns {
        prop_assert_eq!(fast, slow, "{}", destination);
    }
    Ok(())
}

fn allows(setting: &Setting, destination: &Destination) -> bool {
    setting.compile().decide(destination, &facts()).verdict() == Verdict::Allow
}

/// Removes one rule that allows something; false if there is none.
fn remove_an_allowance(setting: &mut Setting, which: prop::sample::Index) -> bool {
    let policy = &mut setting.policy;
    let lengths = [
        policy.allowed_hosts.len(),
        policy.allowed_cidrs.len(),
        policy.presets.len(),
        policy.host_ports.len(),
        setting.grants.mcp_hosts.len(),
        setting.grants.credential_hosts.len(),
    ];
    let total: usize = lengths.iter().sum();
    if total == 0 {
        return false;
    }
    let mut index = which.index(total);
    let list = lengths
        .iter()
        .position(|length| {
            if index < *length {
                true
            } else {
                index -= length;
                false
            }
        })
        .unwrap();
    match list {
        0 => drop(policy.allowed_hosts.remove(index)),
        1 => drop(policy.allowed_cidrs.remove(index)),
        2 => drop(policy.presets.remove(index)),
        3 => drop(policy.host_ports.remove(index)),
        4 => drop(setting.grants.mcp_hosts.remove(index)),
        _ => drop(setting.grants.credential_hosts.remove(index)),
    }
    true
}

/// Where the verdict of any of these policies can change.
const PORTS: [u16; 17] = [
    1, 2, 22, 23, 80, 81, 443, 444, 445, 5432, 5433, 15001, 15002, 15003, 65534, 65535, 8080,
];

/// The policy of the first, narrowed by those of the others, and then each of them by itself, all with what the first denies and grants.
fn narrowed(setting: &Setting, others: &[Setting]) -> Vec<Policy> {
    let own =
        |policy: &EgressPolicy| effective(Some(("test".parse().unwrap(), policy.clone())), None);
    let of = |policy: &EgressPolicy, narrowed_by| Uncompiled {
        effective: own(policy),
        narrowed_by,
        organization: setting.organization.clone(),
        grants: setting.grants.clone(),
    };
    let policies = std::iter::once(setting).chain(others);
    let policies: Vec<_> = policies.map(|setting| &setting.policy).collect();
    let all = of(
        &setting.policy,
        policies[1..].iter().copied().map(own).collect(),
    );
    let each = policies.into_iter().map(|policy| of(policy, Vec::new()));
    std::iter::once(all)
        .chain(each)
        .map(Uncompiled::compile)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_policy_agrees_with_the_plain_one(setting in any_setting(), destinations in prop::collection::vec(any_destination(), 8)) {
        for destination in &destinations {
            agrees(&setting, destination)?;
        }
    }

    #[test]
    fn removing_a_rule_that_allows_never_allows_more(mut setting in any_setting(), which: prop::sample::Index, destination in any_destination()) {
        let before = allows(&setting, &destination);
        if remove_an_allowance(&mut setting, which) {
            prop_assert!(before || !allows(&setting, &destination));
        }
    }

    #[test]
    fn adding_a_denial_never_allows_more(mut setting in any_setting(), host in host_rule(), cidr in cidr_rule(), organization: bool, destination in any_destination()) {
        let before = allows(&setting, &destination);
        if organization {
            setting.organization.denied_hosts.push(host);
            setting.organization.denied_cidrs.push(cidr);
        } else {
            setting.policy.denied_hosts.push(host);
            setting.policy.denied_cidrs.push(cidr);
        }
        prop_assert!(before || !allows(&setting, &destination));
    }

    #[test]
    fn a_policy_that_others_narrow_allows_what_all_of_them_allow(setting in any_setting(), others in prop::collection::vec(any_setting(), 0..3), destinations in prop::collection::vec(any_destination(), 4), address in ip(), pinned: bool) {
        let all = narrowed(&setting, &others);
        let host = facts();
        for destination in &destinations {
            let resolved = all.iter().skip(1).all(|policy| policy.decide_resolved(destination, address, pinned, &host).is_allowed());
            prop_assert_eq!(all[0].decide_resolved(destination, address, pinned, &host).is_allowed(), resolved);
            let expected = if destination.protocol == Protocol::Dns && destination.port == 0 {
                // There is a port that all of them allow.
                PORTS.iter().any(|port| {
                    let tcp = Destination { port: *port, protocol: Protocol::Tcp, host: destination.host.clone() };
                    all.iter().skip(1).all(|policy| policy.decide(&tcp, &host).is_allowed())
                })
            } else {
                all.iter().skip(1).all(|policy| policy.decide(destination, &host).is_allowed())
            };
            prop_assert_eq!(all[0].decide(destination, &host).is_allowed(), expected, "{}", destination);
        }
        let is_unrestricted = all.iter().skip(1).all(Policy::is_unrestricted);
        prop_assert_eq!(all[0].is_unrestricted(), is_unrestricted);
    }

    #[test]
    fn a_resolved_address_is_never_allowed_where_its_literal_hits_the_floor(setting in any_setting(), destination in any_destination(), address in ip(), pinned: bool) {
        let policy = setting.compile();
        let host = facts();
        let resolved = policy.decide_resolved(&destination, address, pinned, &host);
        let literal = policy.decide(&Destination::tcp_address(address, destination.port.max(1)), &host);
        let loopback = address.to_canonical().is_loopback();
        if resolved.is_allowed() && !loopback {
            prop_assert_ne!(literal.reason.code(), "floor");
            prop_assert!(pinned || literal.reason.code() != "private_address");
        }
        if resolved.is_allowed() {
            prop_assert!(policy.decide(&destination, &host).is_allowed());
            prop_assert!(!matches!(literal.reason.code(), "organization_floor" | "denied_rule"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalising_is_idempotent(text in "\\PC{0,40}|[a-zA-Z0-9äßЖ。.-]{0,40}") {
        if let Ok(name) = normalise_host(&text) {
            prop_assert_eq!(normalise_host(name.as_str()), Ok(name.clone()));
            let upper = name.as_str().to_ascii_uppercase() + ".";
            prop_assert_eq!(normalise_host(&upper), Ok(name));
        }
    }

    #[test]
    fn a_printed_rule_parses_to_the_same_rule(host in host_rule(), cidr in cidr_rule()) {
        prop_assert_eq!(host.to_string().parse(), Ok(host));
        if let Ok(parsed) = cidr.to_string().parse::<CidrRule>() {
            prop_assert_eq!(parsed, cidr);
        }
    }

    #[test]
    fn nothing_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn nothing_panics_on_texts_that_look_like_rules(text in "[*.:/\\[\\]@%0-9a-fx=ä。-]{0,60}") {
        read_all(&text);
    }

    #[test]
    fn a_correction_is_accepted(text in "(https?://)?[*.]{0,3}[a-z0-9.]{1,12}(:[0-9]{1,4})?(/[a-z0-9]{0,3}(:[0-9]{1,3})?)?") {
        if let Err(error) = text.parse::<HostPattern>() {
            let accepted = |text: &str| text.parse::<HostPattern>().is_ok() || text.parse::<CidrRule>().is_ok();
            prop_assert!(error.corrected().is_none_or(accepted), "{}", error);
        }
        if let Err(error) = text.parse::<CidrRule>() {
            prop_assert!(error.corrected().is_none_or(|text| text.parse::<CidrRule>().is_ok()), "{}", error);
        }
    }
}

fn read_all(text: &str) {
    let _ = normalise_host(text);
    let _ = parse_destination(text);
    let _ = text.parse::<HostPattern>().map(|pattern| pattern.warning());
    let _ = text.parse::<CidrRule>();
    let _ = text.parse::<Ports>();
    let _ = text.parse::<Pin>();
}
