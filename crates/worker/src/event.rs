//! Events of a session, as far as they matter to its worker.

use bailiwick_tools::Tool;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::id::WireId;

/// A call of a tool that is the worker's to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The id of its event, which its result names.
    pub(crate) id: WireId,
    /// The thread that calls; none for the primary one.
    pub(crate) thread: Option<WireId>,
    /// Which tool.
    pub(crate) tool: Tool,
    /// What the model wrote, as JSON: as values it would take many times that. The tool checks it.
    pub(crate) input: Box<str>,
}

/// Whether a call may be run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Yes.
    Allow,
    /// Once somebody allows it. A word that nobody knows here is this.
    Ask,
    /// Never.
    Deny,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A tool of the sandbox is called.
    Called(Call, Permission),
    /// Somebody has said whether a call may be run.
    Confirmed {
        /// Which.
        call: WireId,
        /// Whether it may. A word that nobody knows here is no.
        allowed: bool,
    },
    /// A call has its result, whoever gave it.
    Answered(WireId),
    /// What runs is to stop: in one thread, or in all.
    Interrupted {
        /// The event.
        id: WireId,
        /// Which thread alone.
        thread: Option<WireId>,
    },
    /// A thread has begun, rests or goes on.
    Thread(WireId),
    /// A thread takes no results any more.
    ThreadEnded(WireId),
    /// The session rests, and waits for nobody.
    Rests,
    /// Something else of it goes on.
    Busy,
    /// Nothing that says whether it rests.
    Neutral,
    /// It has ended.
    Over,
}

/// The fields of all events that matter; each has some of them.
#[derive(Deserialize)]
struct WireEvent {
    id: Option<WireId>,
    r#type: String,
    name: Option<String>,
    input: Option<Box<RawValue>>,
    evaluated_permission: Option<String>,
    session_thread_id: Option<WireId>,
    tool_use_id: Option<WireId>,
    custom_tool_use_id: Option<WireId>,
    result: Option<String>,
    stop_reason: Option<StopReason>,
}

#[derive(Deserialize)]
struct StopReason {
    r#type: String,
}

impl Seen {
    /// Reads an event; none if it lacks what events of its kind have.
    pub(crate) fn read(json: &str) -> Option<Self> {
        let event: WireEvent = serde_json::from_str(json).ok()?;
        Some(match event.r#type.as_str() {
            "agent.tool_use" => return event.call(),
            "user.tool_confirmation" => Self::Confirmed {
                call: event.tool_use_id?,
                allowed: event.result.as_deref() == Some("allow"),
            },
            "user.tool_result" | "agent.tool_result" => Self::Answered(event.tool_use_id?),
            "user.custom_tool_result" => Self::Answered(event.custom_tool_use_id?),
            "user.interrupt" => Self::Interrupted {
                id: event.id?,
                thread: event.session_thread_id,
            },
            "session.thread_status_terminated" => Self::ThreadEnded(event.session_thread_id?),
            "session.thread_status_running"
            | "session.thread_status_idle"
            | "session.thread_status_rescheduled" => Self::Thread(event.session_thread_id?),
            "session.status_idle" if event.stop_reason?.r#type == "requires_action" => Self::Busy,
            "session.status_idle" => Self::Rests,
            "session.status_terminated" | "session.deleted" => Self::Over,
            "session.usage" | "session.updated" | "event_start" | "event_delta" | "ping" => {
                Self::Neutral
            }
            _ => Self::Busy,
        })
    }
}

impl WireEvent {
    /// A call of somebody else's tool is nothing to a worker.
    fn call(self) -> Option<Seen> {
        let name = self.name?;
        let Some(tool) = Tool::from_name(&name).filter(|tool| *tool != Tool::WebFetch) else {
            return Some(Seen::Busy);
        };
        let permission = match self.evaluated_permission.as_deref() {
            None | Some("allow") => Permission::Allow,
            Some("deny") => Permission::Deny,
            Some(_) => Permission::Ask,
        };
        let call = Call {
            id: self.id?,
            thread: self.session_thread_id,
            tool,
            input: self.input?.into(),
        };
        Some(Seen::Called(call, permission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_names_what_nobody_knows_is_not_allowed() {
        let permission = |word: &str| {
            let json = format!(
                r#"{{"type":"agent.tool_use","id":"sevt_1","name":"bash","input":{{}},"evaluated_permission":{word}}}"#
            );
            match Seen::read(&json) {
                Some(Seen::Called(_, permission)) => permission,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(permission("null"), Permission::Allow);
        assert_eq!(permission(r#""allow""#), Permission::Allow);
        assert_eq!(permission(r#""ask""#), Permission::Ask);
        assert_eq!(permission(r#""maybe""#), Permission::Ask);
        assert_eq!(permission(r#""deny""#), Permission::Deny);
        let confirmed =
            r#"{"type":"user.tool_confirmation","id":"a","tool_use_id":"b","result":"perhaps"}"#;
        let call = "b".parse().unwrap();
        let allowed = false;
        assert_eq!(
            Seen::read(confirmed),
            Some(Seen::Confirmed { call, allowed })
        );
    }

    #[test]
    fn tools_of_others_are_not_the_workers() {
        for name in ["web_fetch", "web_search", "weather"] {
            let json =
                format!(r#"{{"type":"agent.tool_use","id":"a","name":"{name}","input":{{}}}}"#);
            assert_eq!(Seen::read(&json), Some(Seen::Busy), "{name}");
        }
    }

    #[test]
    fn an_event_without_what_its_kind_has_is_none() {
        for json in [
            "",
            "[]",
            "null",
            "{}",
            r#"{"type":"agent.tool_use","id":"../../x","name":"bash","input":{}}"#,
            r#"{"type":"agent.tool_use","name":"bash","input":{}}"#,
            r#"{"type":"user.tool_result","id":"a"}"#,
            r#"{"type":"user.interrupt"}"#,
            r#"{"type":"session.status_idle","id":"a"}"#,
        ] {
            assert_eq!(Seen::read(json), None, "{json}");
        }
    }
}
