//! A second, slow and plain statement of the rules, to hold the compiled policy against. It goes through every rule for
//! every question, and for a question without a port through every port that could matter.

use std::net::IpAddr;

use bailiwick_model::{Destination, Host, Protocol, Reason};
use bailiwick_policy::{
    CidrRule, EgressPolicy, HostFacts, HostPattern, Mode, Preset, session_registries,
};
use ipnet::IpNet;

use crate::support::Setting;

fn host_matches(pattern: &HostPattern, name: &str, port: u16) -> bool {
    let host = pattern.host().as_str();
    let named = if pattern.is_wildcard() {
        name.ends_with(&format!(".{host}"))
    } else {
        name == host
    };
    named && pattern.ports().low() <= port && port <= pattern.ports().high()
}

fn any_host(patterns: &[HostPattern], name: &str, port: u16) -> bool {
    patterns
        .iter()
        .any(|pattern| host_matches(pattern, name, port))
}

fn any_cidr(rules: &[CidrRule], address: IpAddr, port: u16) -> bool {
    rules.iter().any(|rule| {
        rule.net().contains(&address) && rule.ports().low() <= port && port <= rule.ports().high()
    })
}

fn in_any(blocks: &[&str], address: IpAddr) -> bool {
    blocks
        .iter()
        .any(|block| block.parse::<IpNet>().unwrap().contains(&address))
}

const FLOOR: &[&str] = &[
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "100.96.0.96/32",
    "192.0.0.192/32",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/127",
    "fe80::/10",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:c1::a9fe:a9fe/128",
    "fd00:42::42/128",
    "ff00::/8",
];

const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "240.0.0.0/4",
    "::/96",
    "::ffff:0:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "5f00::/16",
    "fc00::/7",
    "fec0::/10",
];

fn v4(octets: &[u8]) -> IpAddr {
    IpAddr::from([octets[0], octets[1], octets[2], octets[3]])
}

/// The address and every IPv4 address within it.
fn forms(address: IpAddr) -> Vec<IpAddr> {
    let outer = address.to_canonical();
    let IpAddr::V6(v6) = outer else {
        return vec![outer];
    };
    let o = v6.octets();
    let mut forms = vec![outer];
    if in_any(
        &["::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"],
        outer,
    ) {
        forms.push(v4(&o[12..]));
    }
    if in_any(&["64:ff9b:1::/48"], outer) {
        forms.push(v4(&[o[6], o[7], o[9], o[10]]));
    }
    if in_any(&["2002::/16"], outer) {
        forms.push(v4(&o[2..6]));
    }
    if in_any(&["2001::/32"], outer) {
        forms.push(v4(&o[4..8]));
        forms.push(v4(&[!o[12], !o[13], !o[14], !o[15]]));
    }
    forms
}

fn listens(host: &HostFacts, address: IpAddr, port: u16) -> bool {
    let own = address.is_loopback() || host.addresses.contains(&address);
    host.listeners
        .iter()
        .any(|at| at.port() == port && (at.ip() == address || at.ip().is_unspecified() && own))
}

pub(crate) fn decide(setting: &Setting, destination: &Destination, host: &HostFacts) -> Reason {
    match (destination.protocol, destination.port) {
        (Protocol::Dns, 0) => any_port(setting, &destination.host, host),
        (Protocol::Dns, _) | (_, 0) => Reason::InvalidDestination,
        (protocol, port) => at_port(
            setting,
            &destination.host,
            port,
            protocol == Protocol::Udp,
            host,
        ),
    }
}

fn at_port(setting: &Setting, target: &Host, port: u16, udp: bool, host: &HostFacts) -> Reason {
    match target {
        Host::Name(name) => name_at_port(setting, name.as_str(), port, udp, host),
        Host::Address(address) => address_at_port(setting, *address, port, udp, host),
    }
}

fn name_at_port(setting: &Setting, name: &str, port: u16, udp: bool, host: &HostFacts) -> Reason {
    let policy = &setting.policy;
    let service = name == "host.internal";
    let open = service
        && policy.host_ports.contains(&port)
        && !host.listeners.iter().any(|at| at.port() == port);
    let metadata = ["metadata", "metadata.google.internal"].contains(&name)
        || name.ends_with(".metadata.google.internal");
    let local =
        name == "localhost" || name.ends_with(".localhost") || name.ends_with(".host.internal");
    if metadata || local || service && !open {
        return Reason::Floor;
    }
    if any_host(&setting.organization.denied_hosts, name, port) {
        return Reason::OrganizationFloor;
    }
    if any_host(&policy.denied_hosts, name, port) {
        return Reason::DeniedRule;
    }
    if udp {
        return Reason::Udp;
    }
    if open {
        return Reason::HostPort;
    }
    allowed_name(setting, policy, name, port)
}

fn allowed_name(setting: &Setting, policy: &EgressPolicy, name: &str, port: u16) -> Reason {
    if policy.mode == Mode::Unrestricted {
        return Reason::Unrestricted;
    }
    if any_host(&policy.allowed_hosts, name, port) {
        return Reason::HostRule;
    }
    let in_preset = |preset: &Preset| {
        preset
            .entries()
            .iter()
            .any(|entry| host_matches(&entry.pattern, name, port))
    };
    let in_registry = || {
        session_registries()
            .iter()
            .any(|entry| host_matches(&entry.pattern, name, port))
    };
    if policy.presets.iter().any(in_preset) || policy.allow_package_managers && in_registry() {
        return Reason::Preset;
    }
    let mcp = policy.allow_mcp_servers && any_host(&setting.grants.mcp_hosts, name, port);
    let credential =
        policy.allow_credential_hosts && any_host(&setting.grants.credential_hosts, name, port);
    if mcp || credential {
        Reason::SessionGrant
    } else {
        Reason::NoRule
    }
}

fn address_at_port(
    setting: &Setting,
    address: IpAddr,
    port: u16,
    udp: bool,
    host: &HostFacts,
) -> Reason {
    let policy = &setting.policy;
    let forms = forms(address);
    let some = |test: &dyn Fn(IpAddr) -> bool| forms.iter().any(|form| test(*form));
    if some(&|form| {
        in_any(FLOOR, form) || host.addresses.contains(&form) || listens(host, form, port)
    }) {
        return Reason::Floor;
    }
    if some(&|form| any_cidr(&setting.organization.denied_cidrs, form, port)) {
        return Reason::OrganizationFloor;
    }
    if some(&|form| any_cidr(&policy.denied_cidrs, form, port)) {
        return Reason::DeniedRule;
    }
    if udp {
        return Reason::Udp;
    }
    if some(&|form| in_any(PRIVATE, form) && !any_cidr(&policy.allowed_cidrs, form, port)) {
        return Reason::PrivateAddress;
    }
    match policy.mode {
        Mode::Unrestricted => Reason::Unrestricted,
        Mode::Limited if any_cidr(&policy.allowed_cidrs, forms[0], port) => Reason::CidrRule,
        Mode::Limited => Reason::NoRule,
    }
}

/// Some port is allowed: every port that a rule of any kind begins with or ends before, and the first.
fn any_port(setting: &Setting, target: &Host, host: &HostFacts) -> Reason {
    let Setting {
        policy,
        organization,
        grants,
    } = setting;
    let hosts = [
        &policy.allowed_hosts,
        &policy.denied_hosts,
        &organization.denied_hosts,
        &grants.mcp_hosts,
        &grants.credential_hosts,
    ];
    let cidrs = [
        &policy.allowed_cidrs,
        &policy.denied_cidrs,
        &organization.denied_cidrs,
    ];
    let of_hosts = hosts
        .iter()
        .flat_map(|rules| rules.iter().map(HostPattern::ports));
    let of_cidrs = cidrs
        .iter()
        .flat_map(|rules| rules.iter().map(CidrRule::ports));
    let ends = of_hosts
        .chain(of_cidrs)
        .flat_map(|ports| [ports.low(), ports.high().saturating_add(1)]);
    let ports = ends.chain([1]).chain(policy.host_ports.iter().copied());
    let mut reasons = ports.map(|port| at_port(setting, target, port, false, host));
    let first_denied = at_port(setting, target, 1, false, host);
    reasons
        .find(|reason| reason.verdict() == bailiwick_model::Verdict::Allow)
        .unwrap_or(first_denied)
}
