//! How a session comes to rest, and what a command that waited for that ends with.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::exit::Exit;

/// Follows what a session waits for: a call that was allowed, and that a worker runs, is no rest.
#[derive(Debug, Default)]
pub(super) struct Rests {
    /// Calls that nobody needs to allow any more.
    allowed: BTreeSet<String>,
}

impl Rests {
    /// Takes note of an event; how the session rests from there on, if it does.
    pub(super) fn note(&mut self, event: &Value) -> Option<Rest> {
        let named = |field: &str| event[field].as_str().map(str::to_owned);
        match event["type"].as_str()? {
            "agent.tool_use" if event["evaluated_permission"] == "allow" => {
                self.allowed.extend(named("id"));
            }
            "user.tool_confirmation" if event["result"] == "allow" => {
                self.allowed.extend(named("tool_use_id"));
            }
            _ => {}
        }
        let rest = Rest::of(event)?;
        let waits = event["stop_reason"]["event_ids"].as_array();
        let is_worker_s = |call: &Value| {
            let call = call.as_str();
            call.is_some_and(|call| self.allowed.contains(call))
        };
        let is_all = waits.is_some_and(|calls| !calls.is_empty() && calls.iter().all(is_worker_s));
        (rest != Rest::Waits || !is_all).then_some(rest)
    }
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_that_waits_for_its_worker_does_not_rest() {
        let call = |permission: &str| json!({"type": "agent.tool_use", "id": "a", "evaluated_permission": permission});
        let confirmed = |result: &str| json!({"type": "user.tool_confirmation", "tool_use_id": "a", "result": result});
        let waits = json!({"type": "session.status_idle", "stop_reason": {"type": "requires_action", "event_ids": ["a"]}});
        let ended = json!({"type": "session.status_idle", "stop_reason": {"type": "end_turn"}});
        for (before, expect) in [
            (vec![], Some(Rest::Waits)),
            (vec![call("allow")], None),
            (vec![call("ask")], Some(Rest::Waits)),
            (vec![call("ask"), confirmed("allow")], None),
            (vec![call("ask"), confirmed("deny")], Some(Rest::Waits)),
        ] {
            let mut rests = Rests::default();
            for event in &before {
                assert_eq!(rests.note(event), None);
            }
            assert_eq!(rests.note(&waits), expect, "{before:?}");
            assert_eq!(rests.note(&ended), Some(Rest::Done));
        }
    }
}
