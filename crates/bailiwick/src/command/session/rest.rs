//! How a session comes to rest, and what a command that waited for that ends with.

use serde_json::Value;

use crate::exit::Exit;

/// Why nothing goes on any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The agent has done its part.
    Done,
    /// Somebody has to do something: allow a call, or say what one came to.
    Waits,
    /// It stopped, or is over: tried too often, cost too much, refused, terminated, deleted.
    Stopped,
}

impl Rest {
    /// What an event says of it; none if the session goes on.
    pub(super) fn of(event: &Value) -> Option<Self> {
        match event["type"].as_str()? {
            "session.status_idle" => Some(match event["stop_reason"]["type"].as_str() {
                Some("end_turn") => Self::Done,
                Some("requires_action") => Self::Waits,
                Some(_) | None => Self::Stopped,
            }),
            "session.status_terminated" | "session.deleted" => Some(Self::Stopped),
            _ => None,
        }
    }

    /// The session cannot be spoken to any more.
    pub(super) fn is_end(event: &Value) -> bool {
        matches!(
            event["type"].as_str(),
            Some("session.status_terminated" | "session.deleted")
        )
    }
}

impl From<Rest> for Exit {
    fn from(rest: Rest) -> Self {
        match rest {
            Rest::Done => Self::Done,
            Rest::Waits => Self::Differs,
            Rest::Stopped => Self::Denied,
        }
    }
}
