//! The record of one attempt to reach something.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Destination, EnvironmentName, PolicySource, Reason, SandboxId, Verdict};

/// Something worth telling about a flow besides its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowNote {
    /// TLS to a name, but the ClientHello carried no server name.
    NoSni,
    /// Cut because the policy was tightened while it was open.
    CutByPolicy,
    /// Ended by the idle timeout.
    IdleTimeout,
    /// TLS ended at the relay, because a credential is for this host.
    Inspected,
}

/// One attempt to reach something: a DNS question, a relayed connection, or a datagram that was refused.
///
/// A flow is written once, when it is over (a denial is over at once); one JSON object a line in `--flows`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// When it began.
    pub at: Timestamp,
    /// Whose it was.
    pub sandbox: SandboxId,
    /// The environment, where it has a name.
    pub environment: Option<EnvironmentName>,
    /// What was asked for.
    pub destination: Destination,
    /// The address that was dialled, where it came to that.
    pub address: Option<IpAddr>,
    /// Allowed or denied.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The rule that matched, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where the policy came from.
    pub source: PolicySource,
    /// For a denial: what would allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Bytes from the sandbox to the destination.
    pub bytes_out: u64,
    /// Bytes from the destination to the sandbox.
    pub bytes_in: u64,
    /// How long it was open, in milliseconds.
    pub duration_ms: u64,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<FlowNote>,
}
