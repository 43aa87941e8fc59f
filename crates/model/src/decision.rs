//! Verdicts and the one list of reason codes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::EnvironmentName;

/// Whether a destination may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $verdict:ident;)*) => {
        /// Why a destination is allowed or denied. The codes are stable: scripts and dashboards match on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of this list.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable code, as it stands in flows, JSON bodies and exit reports.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The verdict that goes with the reason: each reason has exactly one.
            pub fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)* }
            }
        }
    };
}

reasons! {
    /// Step 1: the destination is not a valid name, address or port.
    InvalidDestination = "invalid_destination", Deny;
    /// Step 2: metadata, link-local, the host itself, Bailiwick's own listeners. No rule opens these.
    Floor = "floor", Deny;
    /// Step 2: a host service that `host_ports` opens.
    HostPort = "host_port", Allow;
    /// An address that the operator pinned with `--resolve`.
    Pinned = "pinned", Allow;
    /// Step 3: the organization's own floor.
    OrganizationFloor = "organization_floor", Deny;
    /// Step 3: the environment's `denied_hosts` or `denied_cidrs`.
    DeniedRule = "denied_rule", Deny;
    /// Step 4: a private or otherwise non-public address that no `allowed_cidrs` contains.
    PrivateAddress = "private_address", Deny;
    /// Step 5: the policy is `unrestricted`.
    Unrestricted = "unrestricted", Allow;
    /// Step 6: a rule of `allowed_hosts`.
    HostRule = "host_rule", Allow;
    /// Step 7: a preset, or the registries of `allow_package_managers`.
    Preset = "preset", Allow;
    /// Step 8: an MCP server or a credential target of the session.
    SessionGrant = "session_grant", Allow;
    /// Step 9: an address in `allowed_cidrs`.
    CidrRule = "cidr_rule", Allow;
    /// Step 10: nothing allowed it.
    NoRule = "no_rule", Deny;
    /// An allowed name resolved to a non-public address.
    ResolvedToPrivate = "resolved_to_private", Deny;
    /// An upstream proxy resolves the name, so that its address cannot be checked.
    UnverifiedAddress = "unverified_address", Deny;
    /// TLS named another server than the connection was made to.
    SniMismatch = "sni_mismatch", Deny;
    /// An HTTP request named another host than the connection was made to.
    HostMismatch = "host_mismatch", Deny;
    /// To a host that a credential is for, something other than an HTTP request that can be checked.
    CredentialRequest = "credential_request", Deny;
    /// The certificate of a server that a credential is for is not trusted.
    UpstreamCertificate = "upstream_certificate", Deny;
    /// UDP other than DNS is never relayed.
    Udp = "udp", Deny;
    /// The sandbox asked for too many names, or too fast.
    NameLimit = "name_limit", Deny;
    /// The sandbox has too many connections open.
    ConnectionLimit = "connection_limit", Deny;
    /// Allowed, but the name does not resolve.
    NameNotFound = "name_not_found", Deny;
    /// Allowed, but the destination did not answer or refused.
    Unreachable = "unreachable", Deny;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Where the effective policy came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum PolicySource {
    /// The environment's own policy.
    Environment(EnvironmentName),
    /// The organization's default policy, because the environment names none.
    OrganizationDefault,
    /// The built-in `unrestricted` policy, because neither names one.
    BuiltIn,
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::OrganizationDefault => f.write_str("organization default"),
            Self::BuiltIn => f.write_str("built-in unrestricted policy"),
        }
    }
}

/// The answer for one destination, with what a person needs to understand and change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Allowed or denied.
    pub verdict: Verdict,
    /// The step that decided.
    pub reason: Reason,
    /// The rule that matched, as it was written (`*.example.com:443`, `10.0.0.0/8`, `preset package_managers: pypi.org`).
    pub rule: Option<String>,
    /// Where the policy came from.
    pub source: PolicySource,
    /// For a denial: what would allow it, or why nothing can.
    pub hint: Option<String>,
}
