//! Policies and destinations from short texts.

use bailiwick_model::{Destination, Host, Protocol};
use bailiwick_policy::{
    EgressPolicy, HostFacts, Mode, OrganizationFloor, Policy, Preset, SessionGrants, effective,
    normalise_host, parse_destination,
};

/// A policy with the floors and grants around it.
pub(crate) struct Setting {
    pub(crate) policy: EgressPolicy,
    pub(crate) organization: OrganizationFloor,
    pub(crate) grants: SessionGrants,
}

impl Setting {
    pub(crate) fn compile(&self) -> Policy {
        let own = ("test".parse().unwrap(), self.policy.clone());
        Policy::compile(effective(Some(own), None), &self.organization, &self.grants)
    }
}

/// A setting from words: `limited` or `unrestricted`, `+RULE` allowed, `-RULE` denied, `!RULE` denied by the organization,
/// `preset NAME`, `packages`, `mcp RULE`, `credential RULE`, `port N`. A rule that contains no letter before `/` is a CIDR rule.
pub(crate) fn setting(lines: &[&str]) -> Setting {
    let mut setting = Setting {
        policy: EgressPolicy::limited(),
        organization: OrganizationFloor::empty(),
        grants: SessionGrants::none(),
    };
    for line in lines {
        add(&mut setting, line);
    }
    setting
}

fn add(setting: &mut Setting, line: &str) {
    let Setting {
        policy,
        organization,
        grants,
    } = setting;
    match line.split_once(' ') {
        Some(("preset", name)) => policy.presets.push(name.parse::<Preset>().unwrap()),
        Some(("mcp", host)) => {
            policy.allow_mcp_servers = true;
            grants.mcp_hosts.push(host.parse().unwrap());
        }
        Some(("credential", host)) => grants.credential_hosts.push(host.parse().unwrap()),
        Some(("port", port)) => policy.host_ports.push(port.parse().unwrap()),
        Some(_) => panic!("unknown line {line:?}"),
        None => match line.split_at(1) {
            ("+", rule) => either(rule, &mut policy.allowed_hosts, &mut policy.allowed_cidrs),
            ("-", rule) => either(rule, &mut policy.denied_hosts, &mut policy.denied_cidrs),
            ("!", rule) => either(
                rule,
                &mut organization.denied_hosts,
                &mut organization.denied_cidrs,
            ),
            _ => match line {
                "limited" => policy.mode = Mode::Limited,
                "unrestricted" => policy.mode = Mode::Unrestricted,
                "packages" => policy.allow_package_managers = true,
                _ => panic!("unknown line {line:?}"),
            },
        },
    }
}

fn either(
    rule: &str,
    hosts: &mut Vec<bailiwick_policy::HostPattern>,
    cidrs: &mut Vec<bailiwick_policy::CidrRule>,
) {
    match rule.parse() {
        Ok(cidr) => cidrs.push(cidr),
        Err(_) => hosts.push(
            rule.parse()
                .unwrap_or_else(|error| panic!("{rule}: {error}")),
        ),
    }
}

/// A host with one public and one private address, on which Bailiwick listens on loopback and on every address.
pub(crate) fn facts() -> HostFacts {
    HostFacts {
        addresses: ["203.0.113.80", "10.9.9.9", "2001:db8:80::1"]
            .map(|address| address.parse().unwrap())
            .into(),
        listeners: ["127.0.0.1:15001", "[::]:15002"]
            .map(|listener| listener.parse().unwrap())
            .into(),
    }
}

/// What [`parse_destination`] reads; `dns NAME` is a question and `udp DESTINATION` a datagram.
pub(crate) fn destination(text: &str) -> Destination {
    match text.split_once(' ') {
        Some(("dns", name)) => Destination::dns(normalise_host(name).unwrap()),
        Some(("udp", rest)) => Destination {
            protocol: Protocol::Udp,
            ..destination(rest)
        },
        Some(_) | None => parse_destination(text).unwrap_or_else(|error| panic!("{text}: {error}")),
    }
}

/// The reason code for a destination and the rule that decided.
pub(crate) fn decide(policy: &Policy, text: &str) -> String {
    let facts = facts();
    let ruling = policy.decide(&destination(text), &facts);
    let rule = ruling
        .rule
        .map(|rule| format!("  [{rule}]"))
        .unwrap_or_default();
    format!("{} {}{rule}", ruling.verdict(), ruling.reason)
}

/// One line for each destination.
pub(crate) fn table(lines: &[&str], destinations: &[&str]) -> String {
    let policy = setting(lines).compile();
    destinations
        .iter()
        .map(|text| format!("{text:<34} {}\n", decide(&policy, text)))
        .collect()
}

/// The reason code alone.
pub(crate) fn reason(policy: &Policy, text: &str) -> &'static str {
    policy.decide(&destination(text), &facts()).reason.code()
}

/// The reason code for an address that a destination's name resolved to.
pub(crate) fn resolved(policy: &Policy, text: &str, address: &str, pinned: bool) -> &'static str {
    policy
        .decide_resolved(
            &destination(text),
            address.parse().unwrap(),
            pinned,
            &facts(),
        )
        .reason
        .code()
}

/// A TCP destination whose text would be refused by [`parse_destination`].
pub(crate) fn address(text: &str, port: u16) -> Destination {
    Destination {
        host: Host::Address(text.parse().unwrap()),
        port,
        protocol: Protocol::Tcp,
    }
}
