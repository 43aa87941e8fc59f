//! How far a worker is with an item of a work queue.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How far a worker is with an item of a work queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    /// It waits for a worker, or for the one that it was handed to to acknowledge it.
    Queued,
    /// A worker has acknowledged it.
    Starting,
    /// A worker has sent a heartbeat.
    Active,
    /// Its worker was asked to stop.
    Stopping,
    /// It has ended, for good.
    Stopped,
}

/// A word that is none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the state of a work item")]
pub struct UnknownWorkState(pub String);

impl WorkState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Starting,
        Self::Active,
        Self::Stopping,
        Self::Stopped,
    ];

    /// The wire's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl FromStr for WorkState {
    type Err = UnknownWorkState;

    fn from_str(text: &str) -> Result<Self, UnknownWorkState> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| UnknownWorkState(text.to_owned()))
    }
}

impl fmt::Display for WorkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
