//! How long one decision takes with 100, 1 000 and 10 000 host rules and as many CIDR rules.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bailiwick_model::{Destination, PolicySource};
use bailiwick_policy::{
    CidrRule, EffectivePolicy, EgressPolicy, HostFacts, HostPattern, OrganizationFloor, Policy,
    Ports, SessionGrants, normalise_host,
};
use divan::Bencher;

const RULES: &[u32] = &[100, 1_000, 10_000];

fn main() {
    divan::main();
}

/// `rules` host rules, every third a wildcard, and `rules` CIDR rules of both families with prefixes of many lengths.
fn policy(rules: u32) -> Policy {
    let policy = EgressPolicy {
        allowed_hosts: (0..rules).map(host_rule).collect(),
        allowed_cidrs: (0..rules).map(cidr_rule).collect(),
        ..EgressPolicy::limited()
    };
    let effective = EffectivePolicy {
        policy,
        source: PolicySource::BuiltIn,
    };
    Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    )
}

fn host_rule(index: u32) -> HostPattern {
    let star = if index.is_multiple_of(3) { "*." } else { "" };
    format!("{star}service-{index}.team-{}.example.com", index % 97)
        .parse()
        .expect("a host rule")
}

fn cidr_rule(index: u32) -> CidrRule {
    // Spread over the address space by a multiplicative hash, as real lists are.
    let spread = index.wrapping_mul(0x9e37_79b9);
    let net = if index.is_multiple_of(2) {
        let address = IpAddr::V4(Ipv4Addr::from_bits(spread));
        ipnet::IpNet::new(address, 12 + (index % 21) as u8)
    } else {
        let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(spread) << 92 | 0x2 << 124));
        ipnet::IpNet::new(address, 24 + (index % 100) as u8)
    };
    CidrRule::new(net.expect("a prefix length within bounds"), Ports::ANY)
}

/// A machine with a handful of interfaces.
fn host() -> HostFacts {
    HostFacts {
        addresses: (1..=6)
            .map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
            .collect(),
        listeners: (0..4)
            .map(|port| (Ipv4Addr::LOCALHOST, 20_000 + port).into())
            .collect(),
    }
}

fn decide(bencher: Bencher<'_, '_>, rules: u32, destination: &Destination) {
    let (policy, host) = (policy(rules), host());
    bencher.bench(|| {
        policy
            .decide(black_box(destination), black_box(&host))
            .reason
    });
}

fn name(text: &str, port: u16) -> Destination {
    Destination::tcp_name(normalise_host(text).expect("a host name"), port)
}

#[divan::bench(args = RULES)]
fn name_exact(bencher: Bencher<'_, '_>, rules: u32) {
    decide(bencher, rules, &name("service-50.team-50.example.com", 443));
}

#[divan::bench(args = RULES)]
fn name_below_wildcard(bencher: Bencher<'_, '_>, rules: u32) {
    decide(
        bencher,
        rules,
        &name("a.b.service-51.team-51.example.com", 443),
    );
}

#[divan::bench(args = RULES)]
fn name_denied(bencher: Bencher<'_, '_>, rules: u32) {
    decide(bencher, rules, &name("registry.npmjs.org", 443));
}

/// The longest walk: 126 labels.
#[divan::bench(args = RULES)]
fn name_deep(bencher: Bencher<'_, '_>, rules: u32) {
    decide(
        bencher,
        rules,
        &name(&format!("{}example.com", "a.".repeat(120)), 443),
    );
}

#[divan::bench(args = RULES)]
fn name_question(bencher: Bencher<'_, '_>, rules: u32) {
    decide(
        bencher,
        rules,
        &Destination::dns(normalise_host("service-50.team-50.example.com").expect("a host name")),
    );
}

#[divan::bench(args = RULES)]
fn v4_hit(bencher: Bencher<'_, '_>, rules: u32) {
    let address = cidr_rule(40).net().addr();
    decide(bencher, rules, &Destination::tcp_address(address, 443));
}

#[divan::bench(args = RULES)]
fn v4_miss(bencher: Bencher<'_, '_>, rules: u32) {
    decide(
        bencher,
        rules,
        &Destination::tcp_address(Ipv4Addr::new(203, 0, 113, 7).into(), 443),
    );
}

#[divan::bench(args = RULES)]
fn v6_hit(bencher: Bencher<'_, '_>, rules: u32) {
    let address = cidr_rule(41).net().addr();
    decide(bencher, rules, &Destination::tcp_address(address, 443));
}

#[divan::bench(args = RULES)]
fn v6_teredo(bencher: Bencher<'_, '_>, rules: u32) {
    let address = Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, 0xf7f7, 0xf7f7);
    decide(
        bencher,
        rules,
        &Destination::tcp_address(address.into(), 443),
    );
}

/// What `dial` asks for each address of a name.
#[divan::bench(args = RULES)]
fn resolved(bencher: Bencher<'_, '_>, rules: u32) {
    let (policy, host) = (policy(rules), host());
    let (to, address) = (
        name("service-50.team-50.example.com", 443),
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
    );
    bencher.bench(|| {
        policy
            .decide_resolved(black_box(&to), black_box(address), false, &host)
            .reason
    });
}

#[divan::bench(args = RULES, sample_count = 10)]
fn compile(bencher: Bencher<'_, '_>, rules: u32) {
    bencher.bench(|| policy(black_box(rules)));
}
