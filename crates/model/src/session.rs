//! What a session is doing.

mod event_type;
mod state;
mod usage;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

pub use event_type::{SessionEventType, UnknownSessionEventType};
pub use state::{
    SessionInput, SessionRefusal, SessionState, StatusEvent, StopDetails, StopReason, ThreadState,
};
pub use usage::{Activity, SessionUsage};

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It waits for input.
    Idle,
    /// Its agent is at work.
    Running,
    /// Something failed that may pass; it is tried again.
    Rescheduling,
    /// It has ended, for good.
    Terminated,
}

/// A word that is none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the status of a session")]
pub struct UnknownSessionStatus(pub String);

impl SessionStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Idle,
        Self::Running,
        Self::Rescheduling,
        Self::Terminated,
    ];

    /// The wire's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Rescheduling => "rescheduling",
            Self::Terminated => "terminated",
        }
    }
}

impl FromStr for SessionStatus {
    type Err = UnknownSessionStatus;

    fn from_str(text: &str) -> Result<Self, UnknownSessionStatus> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| UnknownSessionStatus(text.to_owned()))
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
