//! Events and threads of sessions, as the wire shows them.

use std::fmt::Write as _;

use bailiwick_control::ThreadView;
use bailiwick_model::{SessionEventType, SessionId, SessionStatus, SessionThreadId};
use bailiwick_store::SessionEvent;
use bailiwick_wire::{Schema, SessionAgent, WireUsage};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::{Failure, corrupt};
use crate::session_json::usage_schema;

/// How an event looks: what kinds have besides is described in the guide.
pub(crate) fn event_schema() -> Schema {
    let kinds = SessionEventType::ALL.iter().map(|kind| kind.as_str());
    Schema::answer()
        .has("id", Schema::id::<bailiwick_model::SessionEventId>())
        .has("type", Schema::words(kinds))
        .has(
            "processed_at",
            Schema::moment()
                .or_null()
                .says("Null as long as nobody has taken it up."),
        )
        .with("additionalProperties", serde_json::json!(true))
        .named("SessionEvent")
}

/// An event in one line of JSON, in the list of a thread or of the session. What is stored of it is an object, and is not parsed again.
pub(crate) fn event_json(event: &SessionEvent, thread: Option<&SessionThreadId>) -> String {
    let mut json = String::with_capacity(event.body.len() + 160);
    let _ = write!(
        json,
        r#"{{"id":"{}","type":"{}","processed_at":"#,
        event.id, event.kind
    );
    let _ = match event.processed_at {
        Some(at) => write!(json, r#""{at}""#),
        None => write!(json, "null"),
    };
    if event.kind.is_tool_use() {
        // In the list of the thread itself it says nothing new.
        let elsewhere =
            thread.is_none() && event.thread != SessionThreadId::primary_of(&event.session);
        let _ = if elsewhere {
            write!(json, r#","session_thread_id":"{}""#, event.thread)
        } else {
            write!(json, r#","session_thread_id":null"#)
        };
    }
    match event.body.strip_prefix('{') {
        Some("}") | None => json.push('}'),
        Some(fields) => {
            json.push(',');
            json.push_str(fields);
        }
    }
    json
}

/// The same, as a value to be written as it is.
pub(crate) fn raw_event(
    event: &SessionEvent,
    thread: Option<&SessionThreadId>,
) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(event_json(event, thread)).map_err(|_| corrupt("body"))
}

/// The wire's thread: every key always there.
#[derive(Serialize)]
pub(crate) struct WireThread<'a> {
    id: &'a SessionThreadId,
    r#type: &'static str,
    session_id: &'a SessionId,
    parent_thread_id: Option<&'a SessionThreadId>,
    status: SessionStatus,
    agent: &'a RawValue,
    stats: ThreadStats,
    usage: WireUsage,
    /// Threads of workflows, which there are none of.
    workflow_run_id: Option<()>,
    created_at: Timestamp,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct ThreadStats {
    active_seconds: f64,
    duration_seconds: f64,
    startup_seconds: f64,
}

impl<'a> WireThread<'a> {
    pub(crate) fn schema() -> Schema {
        let stats = Schema::answer()
            .has("active_seconds", Schema::seconds())
            .has("duration_seconds", Schema::seconds())
            .has("startup_seconds", Schema::seconds());
        let statuses = Schema::words(SessionStatus::ALL.map(SessionStatus::as_str));
        Schema::answer()
            .has("id", Schema::id::<SessionThreadId>())
            .has("type", Schema::word("session_thread"))
            .has("session_id", Schema::id::<SessionId>())
            .has(
                "parent_thread_id",
                Schema::id::<SessionThreadId>().or_null(),
            )
            .has("status", statuses)
            .has("agent", SessionAgent::schema())
            .has("stats", stats)
            .has("usage", usage_schema())
            .has("workflow_run_id", Schema::text().or_null())
            .has("created_at", Schema::moment())
            .has("updated_at", Schema::moment())
            .has("archived_at", Schema::moment().or_null())
            .named("SessionThread")
    }

    pub(crate) fn of(view: &'a ThreadView) -> Result<Self, Failure> {
        let thread = &view.thread;
        let until = view.until();
        let lived = until.duration_since(thread.created_at);
        Ok(Self {
            id: &thread.id,
            r#type: "session_thread",
            session_id: &thread.session,
            parent_thread_id: thread.parent.as_ref(),
            status: thread.status,
            agent: serde_json::from_str(&view.agent).map_err(|_| corrupt("agent"))?,
            stats: ThreadStats {
                active_seconds: thread.activity.micros_at(until) as f64 / 1e6,
                duration_seconds: lived.as_secs_f64(),
                startup_seconds: 0.0,
            },
            usage: WireUsage::of(thread.usage, thread.activity, until),
            workflow_run_id: None,
            created_at: thread.created_at,
            updated_at: thread.updated_at,
            archived_at: thread.archived_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::{ResourceId as _, SessionEventId, SessionThreadId};

    use super::*;

    fn event(kind: SessionEventType, body: &str, thread: Option<SessionThreadId>) -> SessionEvent {
        let session = SessionId::made(1, [1; 10]);
        SessionEvent {
            thread: thread.unwrap_or_else(|| SessionThreadId::primary_of(&session)),
            session,
            sequence: 1,
            id: SessionEventId::made(1, [2; 10]),
            in_session: true,
            kind,
            body: body.to_owned(),
            answers: None,
            created_at: Timestamp::UNIX_EPOCH,
            processed_at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn an_event_is_one_object_in_one_line_with_or_without_fields_of_its_own() {
        let other = SessionThreadId::made(1, [9; 10]);
        let tool_use = SessionEventType::AgentToolUse;
        for (event, field) in [
            (
                event(SessionEventType::SessionStatusRunning, "{}", None),
                None,
            ),
            (
                event(SessionEventType::AgentMessage, r#"{"content":[]}"#, None),
                None,
            ),
            (
                event(tool_use, r#"{"name":"x","input":{}}"#, Some(other.clone())),
                Some(other),
            ),
        ] {
            let json = event_json(&event, None);
            assert!(!json.contains('\n'));
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value["type"], event.kind.as_str());
            assert_eq!(value["processed_at"], "1970-01-01T00:00:00Z");
            let routed = field.map(|id| serde_json::json!(id)).unwrap_or_default();
            assert_eq!(value["session_thread_id"], routed);
        }
    }
}
