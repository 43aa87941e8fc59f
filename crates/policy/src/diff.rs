//! What a change of policy opens and closes.
//!
//! Rules alone do not tell: one may be shadowed by a denial, or say what another says already. So the rules of both
//! policies only say *where to ask*; the answer is what [`Policy::decide`] says there before and after.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bailiwick_model::{Destination, Host, HostName, Protocol, Reason, Verdict};
use ipnet::IpNet;

use crate::rule::{Matcher, Rule, Ruling};
use crate::{CidrRule, HOST_SERVICE, HostFacts, HostPattern, Mode, Policy, Ports};

/// A set of destinations that a policy treats alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One name.
    Name(HostName),
    /// The names below one, except those that have a row of their own.
    Below(HostName),
    /// A block of addresses, except those blocks in it that have a row of their own.
    Block(IpNet),
    /// Services of the host.
    HostService,
    /// Every public name that no rule is about.
    OtherNames,
    /// Every public address that no rule is about.
    OtherAddresses,
}

/// Destinations whose verdict changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferenceRow {
    /// Which.
    pub scope: Scope,
    /// On which ports.
    pub ports: Ports,
    /// What decided before.
    pub before: Reason,
    /// What decides now.
    pub after: Reason,
    /// The rule that opens or closes them now, where it is a rule.
    pub rule: Option<String>,
}

/// What became reachable and what stopped being so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The modes before and after, where they differ.
    pub mode: Option<(Mode, Mode)>,
    /// What became reachable.
    pub opened: Vec<DifferenceRow>,
    /// What stopped being reachable.
    pub closed: Vec<DifferenceRow>,
}

impl Difference {
    /// Whether both policies say the same everywhere. (A change of mode alone, without effect, is no difference.)
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.closed.is_empty()
    }
}

/// Compares two policies by what they allow on a host about which nothing is known.
pub fn diff(before: &Policy, after: &Policy) -> Difference {
    let pair = Pair {
        before,
        after,
        host: HostFacts::unknown(),
    };
    let mut difference = Difference {
        mode: (before.mode() != after.mode()).then(|| (before.mode(), after.mode())),
        opened: Vec::new(),
        closed: Vec::new(),
    };
    for (scope, example) in pair.examples() {
        for row in pair.rows(&scope, &example) {
            match row.after.verdict() {
                Verdict::Allow => difference.opened.push(row),
                Verdict::Deny => difference.closed.push(row),
            }
        }
    }
    difference
}

struct Pair<'p> {
    before: &'p Policy,
    after: &'p Policy,
    host: HostFacts,
}

impl Pair<'_> {
    /// Each set of destinations that one of the policies may treat in its own way, with a member of it.
    fn examples(&self) -> Vec<(Scope, Host)> {
        let names = self.name_scopes().into_iter().filter_map(|scope| {
            let example = self.name_example(&scope)?;
            Some((scope, Host::Name(example)))
        });
        let blocks = self
            .block_examples()
            .into_iter()
            .map(|(net, address)| (Scope::Block(net), Host::Address(address)));
        let others = self
            .other_address()
            .map(|address| (Scope::OtherAddresses, Host::Address(address)));
        names.chain(blocks).chain(others).collect()
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.before.rules().iter().chain(self.after.rules())
    }

    fn patterns(&self) -> impl Iterator<Item = &HostPattern> {
        self.rules().filter_map(|rule| match &rule.matcher {
            Matcher::Host(pattern) => Some(pattern),
            Matcher::Cidr(_)
            | Matcher::HostAddresses
            | Matcher::Listeners
            | Matcher::HostService => None,
        })
    }

    fn name_scopes(&self) -> BTreeSet<Scope> {
        let of_pattern = |pattern: &HostPattern| match (pattern.is_wildcard(), pattern.host()) {
            (true, host) => Scope::Below(host.clone()),
            (false, host) if host.as_str() == HOST_SERVICE => Scope::HostService,
            (false, host) => Scope::Name(host.clone()),
        };
        self.patterns()
            .map(of_pattern)
            .chain([Scope::HostService, Scope::OtherNames])
            .collect()
    }

    fn name_example(&self, scope: &Scope) -> Option<HostName> {
        match scope {
            Scope::Name(name) => Some(name.clone()),
            Scope::HostService => HostName::from_normalised(HOST_SERVICE).ok(),
            Scope::Below(base) => self.unnamed_below(base.as_str()),
            // No rule can be about everything below `com`.
            Scope::OtherNames => self.unnamed_below("com"),
            Scope::Block(_) | Scope::OtherAddresses => None,
        }
    }

    /// A name directly below `base` that no rule names or reaches below of.
    fn unnamed_below(&self, base: &str) -> Option<HostName> {
        let taken: BTreeSet<&str> = self
            .patterns()
            .filter_map(|pattern| {
                pattern
                    .host()
                    .as_str()
                    .strip_suffix(base)?
                    .strip_suffix('.')?
                    .rsplit('.')
                    .next()
            })
            .collect();
        // One more label than there are rules: one of them is free. Short ones first, for a base near the longest name.
        let label = (0..=taken.len())
            .map(|number| format!("{number:x}n"))
            .find(|label| !taken.contains(label.as_str()))?;
        HostName::from_normalised(&format!("{label}.{base}")).ok()
    }

    /// The blocks that there are rules about.
    fn nets(&self) -> BTreeSet<IpNet> {
        let policies = self.before.each().chain(self.after.each());
        policies
            .flat_map(|policy| policy.addresses.nets())
            .collect()
    }

    /// For each block an address in it and in none of the blocks within, where there is one left.
    fn block_examples(&self) -> Vec<(IpNet, IpAddr)> {
        let nets = self.nets();
        let nets: Vec<IpNet> = nets.into_iter().collect();
        let example =
            |(index, net): (usize, &IpNet)| Some((*net, outside_of(*net, &nets[index + 1..])?));
        nets.iter().enumerate().filter_map(example).collect()
    }

    fn other_address(&self) -> Option<IpAddr> {
        let documentation = [
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
            IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        ];
        let nets = self.nets();
        documentation
            .into_iter()
            .find(|address| !nets.iter().any(|net| net.contains(address)))
    }

    /// The ports of `target` at which the verdicts differ, in as few ranges as possible.
    fn rows(&self, scope: &Scope, target: &Host) -> Vec<DifferenceRow> {
        let mut rows: Vec<DifferenceRow> = Vec::new();
        let cuts: Vec<u16> = self.cuts(target).into_iter().collect();
        for (index, low) in cuts.iter().enumerate() {
            let high = cuts.get(index + 1).map_or(u16::MAX, |next| next - 1);
            let Some(row) = self.row(scope, target, *low, high) else {
                continue;
            };
            match rows.last_mut() {
                Some(last) if last.continues_with(&row) => {
                    last.ports = Ports::range(last.ports.low(), high).unwrap_or(last.ports);
                }
                Some(_) | None => rows.push(row),
            }
        }
        rows
    }

    /// The ports at which a verdict can change.
    fn cuts(&self, target: &Host) -> BTreeSet<u16> {
        let mut cuts = BTreeSet::from([1]);
        let mut cut = |ports: Ports| {
            cuts.insert(ports.low());
            cuts.extend(ports.high().checked_add(1));
        };
        for policy in [self.before, self.after] {
            policy.each_rule(target, |rule| cut(rule.ports()));
            policy
                .each()
                .flat_map(Policy::host_ports)
                .filter_map(|port| Ports::one(*port))
                .for_each(&mut cut);
        }
        cuts
    }

    fn row(&self, scope: &Scope, target: &Host, low: u16, high: u16) -> Option<DifferenceRow> {
        let destination = Destination {
            host: target.clone(),
            port: low,
            protocol: Protocol::Tcp,
        };
        let before: Ruling<'_> = self.before.decide(&destination, &self.host);
        let after = self.after.decide(&destination, &self.host);
        (before.verdict() != after.verdict()).then(|| DifferenceRow {
            scope: scope.clone(),
            ports: Ports::range(low, high).unwrap_or(Ports::ANY),
            before: before.reason,
            after: after.reason,
            rule: after.rule.map(ToString::to_string),
        })
    }
}

/// The first address of `net` that lies in none of the blocks within it, which `following` starts with.
fn outside_of(net: IpNet, following: &[IpNet]) -> Option<IpAddr> {
    let mut candidate = net.network();
    for inner in following.iter().take_while(|inner| net.contains(*inner)) {
        if inner.contains(&candidate) {
            candidate = successor(inner.broadcast())?;
        }
    }
    net.contains(&candidate).then_some(candidate)
}

fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address
            .to_bits()
            .checked_add(1)
            .map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address
            .to_bits()
            .checked_add(1)
            .map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

impl DifferenceRow {
    fn continues_with(&self, next: &Self) -> bool {
        let adjacent = self.ports.high().checked_add(1) == Some(next.ports.low());
        adjacent && (self.before, self.after, &self.rule) == (next.before, next.after, &next.rule)
    }
}

/// The destinations as a rule would name them: `*.example.com:443`, `10.0.0.0/8`.
impl fmt::Display for DifferenceRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::Name(name) => HostPattern::exact(name.clone(), self.ports).fmt(f),
            Scope::Below(name) => write!(f, "*.{}", HostPattern::exact(name.clone(), self.ports)),
            Scope::Block(net) => CidrRule::new(*net, self.ports).fmt(f),
            Scope::HostService if self.ports.is_any() => f.write_str(HOST_SERVICE),
            Scope::HostService => write!(f, "{HOST_SERVICE}:{}", self.ports),
            Scope::OtherNames => f.write_str("every other public name"),
            Scope::OtherAddresses => f.write_str("every other public address"),
        }
    }
}

/// One line for each row: `+` for what became reachable, `-` for what stopped being so.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((before, after)) = self.mode {
            writeln!(f, "mode: {before} -> {after}")?;
        }
        let opened = self.opened.iter().map(|row| ('+', row));
        let closed = self.closed.iter().map(|row| ('-', row));
        for (sign, row) in opened.chain(closed) {
            write!(f, "{sign} {row}  ({} -> {}", row.before, row.after)?;
            match &row.rule {
                Some(rule) => writeln!(f, ", {rule})")?,
                None => writeln!(f, ")")?,
            }
        }
        Ok(())
    }
}
