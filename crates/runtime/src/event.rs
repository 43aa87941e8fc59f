//! What a sandbox tells while it runs.

use bailiwick_model::Flow;
use serde::{Deserialize, Serialize};

/// Something that happened in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// It runs, with its policy in force. Always the first event.
    Started,
    /// An attempt to reach something is over.
    Flow(Box<Flow>),
    /// The answer to [`Sandbox::mark`](crate::Sandbox::mark): what was over before it has been told.
    Mark(u64),
    /// The kernel killed a process for the memory limit.
    OutOfMemory,
    /// Nothing of it is left. Always the last event.
    Stopped(StopReason),
}

/// Why a sandbox stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopReason {
    /// [`Sandbox::stop`](crate::Sandbox::stop).
    Requested,
    /// [`Sandbox::checkpoint`](crate::Sandbox::checkpoint).
    Checkpointed,
    /// Its [`Limits::lifetime`](crate::Limits::lifetime) was over.
    Lifetime,
    /// The machine took it: its first process or its node died.
    Lost,
}
