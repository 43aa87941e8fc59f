//! How long a decision takes, and whether the number of rules matters.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use anyhow::{Result, ensure};
use bailiwick_model::{Destination, HostName, PolicySource, Reason};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, OrganizationFloor, Policy, SessionGrants,
};

use super::turns::{Contestant, take};
use crate::peers::Stage;
use crate::report::{Better, Report, Row};

/// Destinations of one kind that are decided in turn, so that neither caches nor branch predictors hold the one answer.
const DESTINATIONS: u32 = 4096;

/// A kind of destination, and what is decided about it.
type Kind = (&'static str, Reason, fn(u32) -> Result<Destination>);

const KINDS: &[Kind] = &[
    ("decide: exact host rule", Reason::HostRule, |n| {
        name(format!("h{n}.exact.example"))
    }),
    (
        "decide: wildcard, three labels deep",
        Reason::HostRule,
        |n| name(format!("a.b.c.w{n}.wild.example")),
    ),
    ("decide: name that no rule names", Reason::NoRule, |n| {
        name(format!("a.b.c.x{n}.other.example"))
    }),
    ("decide: IPv4 in a CIDR", Reason::CidrRule, |n| {
        Ok(Destination::tcp_address(v4(n, 7), 443))
    }),
    ("decide: IPv6 in a CIDR", Reason::CidrRule, |n| {
        Ok(Destination::tcp_address(v6(n, 7), 443))
    }),
    ("decide: address in no CIDR", Reason::NoRule, |n| {
        Ok(Destination::tcp_address(v4(n + (1 << 15), 7), 443))
    }),
];

/// A compiled policy, and whose rules' destinations are asked about.
#[derive(Debug)]
struct Decider {
    policy: Policy,
    host: HostFacts,
    rules: u32,
}

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let mut deciders = Vec::new();
    for (name, rules) in [
        ("100 + 100 rules", 100),
        ("1 000 + 1 000", 1_000),
        ("10 000 + 10 000", 10_000),
    ] {
        deciders.push(Contestant {
            name,
            with: Decider::new(rules)?,
        });
    }
    let rounds = stage.pick(100, 10);
    for (index, (name, reason, destination)) in KINDS.iter().enumerate() {
        let mut row = Row::new("decide", *name, "ns", Better::Lower);
        if index == 0 {
            row = row.aim("under 1000 ns, flat from 100 to 10 000 rules, as all of these");
        }
        take(row, &mut deciders, rounds, report, |decider| {
            decider.time(*reason, *destination)
        });
    }
    Ok(())
}

impl Decider {
    /// As many host rules as CIDRs: half of the one are wildcards, half of the other IPv6.
    fn new(rules: u32) -> Result<Self> {
        let mut policy = EgressPolicy::limited();
        for n in 0..rules / 2 {
            policy
                .allowed_hosts
                .push(format!("h{n}.exact.example").parse()?);
            policy
                .allowed_hosts
                .push(format!("*.w{n}.wild.example:443").parse()?);
            policy
                .allowed_cidrs
                .push(format!("{}/24:443", v4(n, 0)).parse()?);
            policy
                .allowed_cidrs
                .push(format!("{}/64", v6(n, 0)).parse()?);
        }
        let effective = EffectivePolicy {
            policy,
            source: PolicySource::OrganizationDefault,
        };
        let policy = Policy::compile(
            effective,
            &OrganizationFloor::empty(),
            &SessionGrants::none(),
        );
        // As many as a host with a few interfaces has.
        let addresses = (1..=8).map(|n| IpAddr::from([203, 0, 113, n])).collect();
        Ok(Self {
            policy,
            host: HostFacts {
                addresses,
                listeners: Vec::new(),
            },
            rules,
        })
    }

    /// Nanoseconds a decision: one sample.
    fn time(
        &self,
        reason: Reason,
        destination: fn(u32) -> Result<Destination>,
    ) -> Result<Vec<f64>> {
        let spread = |n| n * (self.rules / 2 - 1) / DESTINATIONS;
        let destinations = (0..DESTINATIONS)
            .map(|n| destination(spread(n)))
            .collect::<Result<Vec<_>>>()?;
        for destination in &destinations {
            let ruling = self.policy.decide(destination, &self.host);
            ensure!(
                ruling.reason == reason,
                "{destination} is {}, not {reason}",
                ruling.reason
            );
        }
        let start = Instant::now();
        for destination in &destinations {
            let _ = black_box(self.policy.decide(black_box(destination), &self.host));
        }
        Ok(vec![
            start.elapsed().as_secs_f64() * 1e9 / f64::from(DESTINATIONS),
        ])
    }
}

fn name(text: String) -> Result<Destination> {
    Ok(Destination::tcp_name(HostName::try_from(text)?, 443))
}

/// An address of the `n`th /24 of 20.0.0.0/8.
fn v4(n: u32, last: u8) -> IpAddr {
    let [_, _, b, c] = n.to_be_bytes();
    Ipv4Addr::new(20, b, c, last).into()
}

/// An address of the `n`th /64 of 2a00::/32.
fn v6(n: u32, last: u16) -> IpAddr {
    let [_, _, b, c] = n.to_be_bytes();
    Ipv6Addr::new(0x2a00, 0, u16::from(b), u16::from(c), 0, 0, 0, last).into()
}
