//! Events of sessions: what users send, and what agents do.

mod agent;
mod content;
mod status;
mod user;

use bailiwick_model::SessionEventType;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use agent::{
    AgentEvent, CallPermission, ModelUsage, PermissionEvaluation, RetryStatus, SessionError,
    SessionErrorKind, ToolOutput,
};
pub use content::{Citations, ContentBlock, DocumentSource, ImageSource, TextBlock};
pub use status::{StatusFacts, WireUsage, stop_reason_json};
pub(crate) use user::initial_events;
pub use user::{ConfirmationResult, UserEvent, sent_events};

/// What is stored of an event: its fields without `type`, which has a column of its own.
fn body_of<T: Serialize>(event: &T) -> String {
    let mut value = serde_json::to_value(event).expect("texts and numbers");
    if let Value::Object(fields) = &mut value {
        fields.remove("type");
    }
    value.to_string()
}

/// An event that was stored by [`body_of`].
fn of_body<T: DeserializeOwned>(kind: SessionEventType, body: &str) -> serde_json::Result<T> {
    let mut fields: Map<String, Value> = serde_json::from_str(body)?;
    fields.insert("type".to_owned(), Value::from(kind.as_str()));
    serde_json::from_value(Value::Object(fields))
}
