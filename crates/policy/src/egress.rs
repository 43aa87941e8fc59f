//! What an environment says about egress, before it is compiled.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bailiwick_model::{EnvironmentName, PolicySource};
use serde::{Deserialize, Serialize};

use crate::{CidrRule, HostPattern, Preset};

/// What happens to a destination that no rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is allowed, if it is public.
    Unrestricted,
    /// It is denied.
    Limited,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unrestricted => "unrestricted",
            Self::Limited => "limited",
        })
    }
}

/// The egress policy of an environment, as its author wrote it.
///
/// There is no `Default`: nobody gets a policy by forgetting to choose one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressPolicy {
    /// What happens to a destination that no rule names.
    pub mode: Mode,
    /// Hosts that are allowed.
    pub allowed_hosts: Vec<HostPattern>,
    /// Addresses that are allowed as literals, and private ranges that names may resolve to.
    pub allowed_cidrs: Vec<CidrRule>,
    /// Lists of hosts that are allowed.
    pub presets: Vec<Preset>,
    /// Whether the hosts of [`crate::session_registries`] are allowed.
    pub allow_package_managers: bool,
    /// Whether the hosts of the session's MCP servers are allowed.
    pub allow_mcp_servers: bool,
    /// Whether the targets of the session's credentials are allowed.
    pub allow_credential_hosts: bool,
    /// Hosts that are denied whatever else allows them.
    pub denied_hosts: Vec<HostPattern>,
    /// Addresses that are denied whatever else allows them.
    pub denied_cidrs: Vec<CidrRule>,
    /// Ports of the host's loopback that are reachable as `host.internal`.
    pub host_ports: Vec<u16>,
}

impl EgressPolicy {
    /// Every public destination.
    pub fn unrestricted() -> Self {
        Self {
            mode: Mode::Unrestricted,
            ..Self::limited()
        }
    }

    /// Nothing. `allow_credential_hosts` is true: a credential that is handed to a session is meant to be used.
    pub fn limited() -> Self {
        Self {
            mode: Mode::Limited,
            allowed_hosts: Vec::new(),
            allowed_cidrs: Vec::new(),
            presets: Vec::new(),
            allow_package_managers: false,
            allow_mcp_servers: false,
            allow_credential_hosts: true,
            denied_hosts: Vec::new(),
            denied_cidrs: Vec::new(),
            host_ports: Vec::new(),
        }
    }
}

/// What the organization denies in every environment ("production").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationFloor {
    /// Hosts that are denied.
    pub denied_hosts: Vec<HostPattern>,
    /// Addresses that are denied, as literals and as what a name resolves to.
    pub denied_cidrs: Vec<CidrRule>,
}

impl OrganizationFloor {
    /// An organization that denies nothing beyond the built-in floor.
    pub fn empty() -> Self {
        Self {
            denied_hosts: Vec::new(),
            denied_cidrs: Vec::new(),
        }
    }
}

/// What a session brings along and its environment may allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionGrants {
    /// Hosts of its MCP servers.
    pub mcp_hosts: Vec<HostPattern>,
    /// Targets of its credentials.
    pub credential_hosts: Vec<HostPattern>,
}

impl SessionGrants {
    /// No session, or one that brings nothing.
    pub fn none() -> Self {
        Self {
            mcp_hosts: Vec::new(),
            credential_hosts: Vec::new(),
        }
    }
}

/// The policy that is in force and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectivePolicy {
    /// The policy.
    pub policy: EgressPolicy,
    /// Whose it is.
    pub source: PolicySource,
}

/// What a policy is compiled from, as it goes to another process: every field must be there, and each rule is parsed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncompiled {
    /// The policy that is in force.
    pub effective: EffectivePolicy,
    /// What must allow a destination too: nothing is reachable that one of these denies, whatever the others say. So a policy with
    /// one more of them is never wider.
    pub narrowed_by: Vec<EffectivePolicy>,
    /// The organization's floor under it.
    pub organization: OrganizationFloor,
    /// What the session brings along.
    pub grants: SessionGrants,
}

/// The policy of an environment: its own, else the organization's default, else the built-in `unrestricted`.
pub fn effective(
    own: Option<(EnvironmentName, EgressPolicy)>,
    organization_default: Option<EgressPolicy>,
) -> EffectivePolicy {
    match (own, organization_default) {
        (Some((name, policy)), _) => EffectivePolicy {
            policy,
            source: PolicySource::Environment(name),
        },
        (None, Some(policy)) => EffectivePolicy {
            policy,
            source: PolicySource::OrganizationDefault,
        },
        (None, None) => EffectivePolicy {
            policy: EgressPolicy::unrestricted(),
            source: PolicySource::BuiltIn,
        },
    }
}

/// What only the host knows: handed in as data, so that this crate asks the system nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The addresses of every interface of the host, public ones too.
    pub addresses: Vec<IpAddr>,
    /// Where Bailiwick itself listens. A listener on `0.0.0.0` or `::` listens on every address of the host.
    pub listeners: Vec<SocketAddr>,
}

impl HostFacts {
    /// A host about which nothing is known: for looking at a policy away from any host.
    pub fn unknown() -> Self {
        Self::default()
    }
}
