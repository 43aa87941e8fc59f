//! A rule as the compiled policy keeps it: what it matches and why it is there.

use std::fmt;

use bailiwick_model::{Reason, Verdict};

use crate::{CidrRule, HostPattern, Preset};

/// Why a rule is in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The built-in floor; what it protects.
    Floor(&'static str),
    /// A range that is not public; what it is for.
    NonPublic(&'static str),
    /// The organization's floor.
    Organization,
    /// `denied_hosts`, `denied_cidrs`.
    Denied,
    /// `allowed_hosts`, `allowed_cidrs`.
    Allowed,
    /// `presets`.
    Preset(Preset),
    /// `allow_package_managers`.
    Registry,
    /// `allow_mcp_servers`.
    McpServer,
    /// `allow_credential_hosts`.
    Credential,
}

/// What a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// Names.
    Host(HostPattern),
    /// Addresses.
    Cidr(CidrRule),
    /// The addresses of the host's interfaces.
    HostAddresses,
    /// Bailiwick's own listeners.
    Listeners,
    /// `host.internal` and the ports in `host_ports`.
    HostService,
}

/// A rule of a compiled policy, built-in ones included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Why it is there.
    pub origin: Origin,
    /// What it matches.
    pub matcher: Matcher,
}

impl Rule {
    pub(crate) const HOST_ADDRESSES: &Self = &Self {
        origin: Origin::Floor("an address of this host"),
        matcher: Matcher::HostAddresses,
    };
    pub(crate) const LISTENERS: &Self = &Self {
        origin: Origin::Floor("one of Bailiwick's own listeners"),
        matcher: Matcher::Listeners,
    };
    pub(crate) const HOST_SERVICE: &Self = &Self {
        origin: Origin::Allowed,
        matcher: Matcher::HostService,
    };
    pub(crate) const CLOSED_HOST_SERVICE: &Self = &Self {
        origin: Origin::Floor("a service of this host"),
        matcher: Matcher::HostService,
    };
}

impl Rule {
    /// Whether the rule allows something, instead of denying it.
    pub fn allows(&self) -> bool {
        match self.origin {
            Origin::Floor(_) | Origin::NonPublic(_) | Origin::Organization | Origin::Denied => {
                false
            }
            Origin::Allowed
            | Origin::Preset(_)
            | Origin::Registry
            | Origin::McpServer
            | Origin::Credential => true,
        }
    }
}

/// The rule as its author wrote it, after the list that it stands in.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Floor(what) => write!(f, "floor ({what}): ")?,
            Origin::NonPublic(what) => write!(f, "not public ({what}): ")?,
            Origin::Organization => f.write_str("organization floor: ")?,
            Origin::Denied => f.write_str("denied: ")?,
            Origin::Allowed => {}
            Origin::Preset(preset) => write!(f, "preset {preset}: ")?,
            Origin::Registry => f.write_str("package managers: ")?,
            Origin::McpServer => f.write_str("MCP server: ")?,
            Origin::Credential => f.write_str("credential: ")?,
        }
        match &self.matcher {
            Matcher::Host(pattern) => pattern.fmt(f),
            Matcher::Cidr(cidr) => cidr.fmt(f),
            Matcher::HostAddresses => f.write_str("addresses of the host's interfaces"),
            Matcher::Listeners => f.write_str("Bailiwick's listeners"),
            Matcher::HostService => f.write_str("host.internal"),
        }
    }
}

/// The answer of [`crate::Policy::decide`]: borrowed, small, made without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Ruling<'p> {
    /// The step that decided.
    pub reason: Reason,
    /// The rule that matched, where one did.
    pub rule: Option<&'p Rule>,
}

impl<'p> Ruling<'p> {
    pub(crate) fn without_rule(reason: Reason) -> Self {
        Self { reason, rule: None }
    }

    pub(crate) fn by(reason: Reason, rule: &'p Rule) -> Self {
        Self {
            reason,
            rule: Some(rule),
        }
    }
}

impl Ruling<'_> {
    /// Allowed or denied.
    pub fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }

    /// Whether the destination may be reached.
    pub fn is_allowed(&self) -> bool {
        self.verdict() == Verdict::Allow
    }
}
