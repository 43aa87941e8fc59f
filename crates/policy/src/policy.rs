//! The compiled policy: immutable, shared by everything that decides.

use std::slice;
use std::sync::LazyLock;

use bailiwick_model::PolicySource;

use crate::egress::{
    EffectivePolicy, EgressPolicy, Mode, OrganizationFloor, SessionGrants, Uncompiled,
};
use crate::list::{host_rules, lines};
use crate::rule::{Matcher, Origin, Rule};
use crate::table::{AddressTable, HostTable};
use crate::{CidrRule, HostPattern};

mod decide;
mod explain;
mod reach;

pub use decide::HOST_SERVICE;

/// A compiled policy. Made once for each revision, then only read: share it in an `Arc`.
#[derive(Debug)]
pub struct Policy {
    pub(crate) hosts: HostTable,
    pub(crate) addresses: AddressTable,
    /// What it was compiled from.
    uncompiled: Box<Uncompiled>,
    /// What the author of the policy, the organization and the session wrote; the built-in floor is not among it.
    written: Vec<Rule>,
    /// What must allow a destination too. Each has none of its own.
    narrowed_by: Vec<Policy>,
}

impl Policy {
    /// Compiles the policy that is in force together with the floors under it and what the session brings along.
    pub fn compile(
        effective: EffectivePolicy,
        organization: &OrganizationFloor,
        grants: &SessionGrants,
    ) -> Self {
        Uncompiled {
            effective,
            narrowed_by: Vec::new(),
            organization: organization.clone(),
            grants: grants.clone(),
        }
        .compile()
    }

    fn of(uncompiled: Uncompiled) -> Self {
        let Uncompiled {
            effective,
            narrowed_by,
            organization,
            grants,
        } = &uncompiled;
        let mut written = written_rules(&effective.policy, organization, grants);
        let rules = || floor_rules().iter().chain(&written).cloned();
        let mut hosts = HostTable::default();
        rules().for_each(|rule| hosts.insert(rule));
        let addresses = AddressTable::new(rules());
        let narrower =
            |effective: &EffectivePolicy| Self::compile(effective.clone(), organization, grants);
        let narrowed_by: Vec<Self> = narrowed_by.iter().map(narrower).collect();
        for narrower in &narrowed_by {
            written.extend_from_slice(&narrower.written);
        }
        Self {
            hosts,
            addresses,
            uncompiled: Box::new(uncompiled),
            written,
            narrowed_by,
        }
    }

    /// This policy and each that narrows it: a destination is allowed if all of them allow it.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.narrowed_by)
    }

    /// Where the policy came from; not what narrows it.
    pub fn source(&self) -> &PolicySource {
        &self.uncompiled.effective.source
    }

    /// What happens to a destination that no rule names.
    pub fn mode(&self) -> Mode {
        let mut own = self.each().map(Self::own_mode);
        own.find(|mode| *mode == Mode::Limited)
            .unwrap_or(Mode::Unrestricted)
    }

    /// As [`Self::mode`], as if nothing narrowed it.
    fn own_mode(&self) -> Mode {
        self.uncompiled.effective.policy.mode
    }

    /// Whether destinations that no rule names are allowed, if they are public.
    pub fn is_unrestricted(&self) -> bool {
        self.mode() == Mode::Unrestricted
    }

    /// The ports that are reachable as `host.internal`, unless something narrows the policy.
    pub fn host_ports(&self) -> &[u16] {
        &self.uncompiled.effective.policy.host_ports
    }

    /// What it was compiled from: for another process, which compiles it itself.
    pub fn uncompiled(&self) -> &Uncompiled {
        &self.uncompiled
    }

    /// The rules of the policy, of what narrows it, the organization's floor and the session; without the built-in floor.
    pub fn rules(&self) -> &[Rule] {
        &self.written
    }
}

impl Uncompiled {
    /// The policy.
    pub fn compile(self) -> Policy {
        Policy::of(self)
    }
}

/// The built-in floor and the ranges that are not public, from the data files.
///
/// # Panics
///
/// On an entry that cannot be read. The files are part of the crate, and every test that compiles a policy reads them.
fn floor_rules() -> &'static [Rule] {
    static FLOOR: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let names = host_rules(include_str!("../data/floor/names.txt"))
            .into_iter()
            .map(|entry| Rule {
                origin: Origin::Floor(entry.comment),
                matcher: Matcher::Host(entry.pattern),
            });
        let addresses = blocks(include_str!("../data/floor/addresses.txt"), Origin::Floor);
        let private = blocks(include_str!("../data/floor/private.txt"), Origin::NonPublic);
        names.chain(addresses).chain(private).collect()
    });
    &FLOOR
}

fn blocks(file: &'static str, origin: fn(&'static str) -> Origin) -> impl Iterator<Item = Rule> {
    lines(file).map(move |(entry, comment)| match entry.parse::<CidrRule>() {
        Ok(cidr) => Rule {
            origin: origin(comment),
            matcher: Matcher::Cidr(cidr),
        },
        Err(error) => panic!("data file entry {entry:?}: {error}"),
    })
}

fn written_rules(
    policy: &EgressPolicy,
    organization: &OrganizationFloor,
    grants: &SessionGrants,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut hosts = |origin: Origin, patterns: &[HostPattern]| {
        rules.extend(patterns.iter().map(|pattern| Rule {
            origin,
            matcher: Matcher::Host(pattern.clone()),
        }));
    };
    hosts(Origin::Organization, &organization.denied_hosts);
    hosts(Origin::Denied, &policy.denied_hosts);
    hosts(Origin::Allowed, &policy.allowed_hosts);
    for preset in &policy.presets {
        for entry in preset.entries() {
            hosts(Origin::Preset(*preset), slice::from_ref(&entry.pattern));
        }
    }
    if policy.allow_package_managers {
        for entry in crate::session_registries() {
            hosts(Origin::Registry, slice::from_ref(&entry.pattern));
        }
    }
    if policy.allow_mcp_servers {
        hosts(Origin::McpServer, &grants.mcp_hosts);
    }
    if policy.allow_credential_hosts {
        hosts(Origin::Credential, &grants.credential_hosts);
    }
    let cidrs = [
        (Origin::Organization, &organization.denied_cidrs),
        (Origin::Denied, &policy.denied_cidrs),
        (Origin::Allowed, &policy.allowed_cidrs),
    ];
    for (origin, blocks) in cidrs {
        rules.extend(blocks.iter().map(|cidr| Rule {
            origin,
            matcher: Matcher::Cidr(*cidr),
        }));
    }
    rules
}
