//! What users send to sessions.

use bailiwick_model::{SessionEventId, SessionEventType, SessionThreadId, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content::{Blocks, ContentBlock, TextBlock, blocks, texts};
use super::{body_of, of_body};
use crate::json::FieldProblem;
use crate::request::{Fields, Place, Reader};

/// Something that a user sends to a session, as it is stored and echoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum UserEvent {
    /// Something is said to the agent.
    #[serde(rename = "user.message")]
    Message {
        /// What.
        content: Vec<ContentBlock>,
    },
    /// It is to stop what it does.
    #[serde(rename = "user.interrupt")]
    Interrupt {
        /// Which thread alone; else all of them.
        session_thread_id: Option<SessionThreadId>,
    },
    /// A call of a tool is allowed, or is not.
    #[serde(rename = "user.tool_confirmation")]
    ToolConfirmation {
        /// Which call.
        tool_use_id: SessionEventId,
        /// Whether it is.
        result: ConfirmationResult,
        /// Why it is not.
        deny_message: Option<String>,
        /// The thread that calls, if it is not the primary one: the server says so.
        session_thread_id: Option<SessionThreadId>,
    },
    /// What a tool of the client came to.
    #[serde(rename = "user.custom_tool_result")]
    CustomToolResult {
        /// Which call of it.
        custom_tool_use_id: SessionEventId,
        /// What it came to.
        content: Option<Vec<ContentBlock>>,
        /// Whether it failed.
        is_error: Option<bool>,
        /// The thread that calls, if it is not the primary one: the server says so.
        session_thread_id: Option<SessionThreadId>,
    },
    /// What a tool came to that a worker ran.
    #[serde(rename = "user.tool_result")]
    ToolResult {
        /// Which call of it.
        tool_use_id: SessionEventId,
        /// What it came to.
        content: Option<Vec<ContentBlock>>,
        /// Whether it failed.
        is_error: Option<bool>,
        /// The thread that calls, if it is not the primary one: the server says so.
        session_thread_id: Option<SessionThreadId>,
    },
    /// What the agent is told besides, from here on.
    #[serde(rename = "system.message")]
    SystemMessage {
        /// What.
        content: Vec<TextBlock>,
    },
}

/// Whether a call of a tool may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmationResult {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

impl UserEvent {
    /// What kind of event it is.
    pub fn kind(&self) -> SessionEventType {
        match self {
            Self::Message { .. } => SessionEventType::UserMessage,
            Self::Interrupt { .. } => SessionEventType::UserInterrupt,
            Self::ToolConfirmation { .. } => SessionEventType::UserToolConfirmation,
            Self::CustomToolResult { .. } => SessionEventType::UserCustomToolResult,
            Self::ToolResult { .. } => SessionEventType::UserToolResult,
            Self::SystemMessage { .. } => SessionEventType::SystemMessage,
        }
    }

    /// What is stored of it.
    pub fn body(&self) -> String {
        body_of(self)
    }

    /// One that was stored.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn stored(kind: SessionEventType, body: &str) -> serde_json::Result<Self> {
        of_body(kind, body)
    }

    /// Its blocks.
    pub fn content(&self) -> &[ContentBlock] {
        match self {
            Self::Message { content } => content,
            Self::CustomToolResult { content, .. } | Self::ToolResult { content, .. } => {
                content.as_deref().unwrap_or_default()
            }
            Self::Interrupt { .. } | Self::ToolConfirmation { .. } | Self::SystemMessage { .. } => {
                &[]
            }
        }
    }

    /// What a message of the system may follow.
    fn may_be_accompanied(&self) -> bool {
        match self {
            Self::Message { .. } | Self::CustomToolResult { .. } | Self::ToolResult { .. } => true,
            Self::Interrupt { .. } | Self::ToolConfirmation { .. } | Self::SystemMessage { .. } => {
                false
            }
        }
    }

    fn read(
        reader: &mut Reader,
        place: &Place<'_>,
        kinds: &[(&'static str, Kind)],
    ) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let Some(kind) = kind.and_then(|place| reader.word(&place, kinds)) else {
                // Which other fields there may be depends on it.
                fields.ignore_rest();
                return None;
            };
            match kind {
                Kind::Message => {
                    let content = fields.required(reader, "content")?;
                    let content = blocks(reader, &content, Blocks::Message, 1)?;
                    Some(Self::Message { content })
                }
                Kind::Interrupt => Self::interrupt(reader, fields),
                Kind::ToolConfirmation => Self::confirmation(reader, fields),
                Kind::CustomToolResult => {
                    let (call, content, is_error) = result(reader, fields, "custom_tool_use_id")?;
                    Some(Self::CustomToolResult {
                        custom_tool_use_id: call,
                        content,
                        is_error,
                        session_thread_id: None,
                    })
                }
                Kind::ToolResult => {
                    let (call, content, is_error) = result(reader, fields, "tool_use_id")?;
                    Some(Self::ToolResult {
                        tool_use_id: call,
                        content,
                        is_error,
                        session_thread_id: None,
                    })
                }
                Kind::SystemMessage => {
                    let content = fields.required(reader, "content")?;
                    let content = texts(reader, &content, 1)?;
                    Some(Self::SystemMessage { content })
                }
                Kind::DefineOutcome => {
                    fields.ignore_rest();
                    let message = "this server does not judge outcomes";
                    let help = "say in a `user.message` what is to be achieved";
                    reader.refuse(&place.path, "outcomes_unsupported", message, help);
                    None
                }
            }
        })
    }

    fn interrupt(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let session_thread_id = match fields.take("session_thread_id") {
            Some(place) => {
                let text = reader.text(&place, 1..=limits::REFERENCE_CHARS)?;
                let Ok(id) = text.parse() else {
                    let message = "the session has no such thread";
                    let help = "leave it out, to interrupt all threads";
                    reader.refuse(&place.path, "unknown_thread", message, help);
                    return None;
                };
                Some(id)
            }
            None => None,
        };
        Some(Self::Interrupt { session_thread_id })
    }

    fn confirmation(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let (call, result, message) = (
            fields.required(reader, "tool_use_id"),
            fields.required(reader, "result"),
            fields.take("deny_message"),
        );
        let call = call.and_then(|place| tool_use(reader, &place));
        let words = [
            ("allow", ConfirmationResult::Allow),
            ("deny", ConfirmationResult::Deny),
        ];
        let result = result.and_then(|place| reader.word(&place, &words));
        let deny_message = match &message {
            Some(place) => {
                let text = reader.text(place, 0..=limits::DENY_MESSAGE_CHARS)?;
                Some(text.to_owned())
            }
            None => None,
        };
        if let (Some(place), Some(ConfirmationResult::Allow)) = (&message, result) {
            let message = "says why a call is denied, and this one is allowed";
            reader.refuse(
                &place.path,
                "deny_message_without_deny",
                message,
                "leave it out",
            );
        }
        Some(Self::ToolConfirmation {
            tool_use_id: call?,
            result: result?,
            deny_message,
            session_thread_id: None,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Message,
    Interrupt,
    ToolConfirmation,
    CustomToolResult,
    ToolResult,
    SystemMessage,
    DefineOutcome,
}

/// What may be sent to a session.
const SENT: [(&str, Kind); 7] = [
    ("user.message", Kind::Message),
    ("user.interrupt", Kind::Interrupt),
    ("user.tool_confirmation", Kind::ToolConfirmation),
    ("user.custom_tool_result", Kind::CustomToolResult),
    ("user.tool_result", Kind::ToolResult),
    ("system.message", Kind::SystemMessage),
    ("user.define_outcome", Kind::DefineOutcome),
];
/// And what it may begin with.
const INITIAL: [(&str, Kind); 2] = [
    ("user.message", Kind::Message),
    ("user.define_outcome", Kind::DefineOutcome),
];

/// The call, what it came to, and whether it failed.
type CallResult = (SessionEventId, Option<Vec<ContentBlock>>, Option<bool>);

fn result(reader: &mut Reader, fields: &mut Fields<'_>, call: &'static str) -> Option<CallResult> {
    let (call, content, is_error) = (
        fields.required(reader, call),
        fields.take("content"),
        fields.take("is_error"),
    );
    let call = call.and_then(|place| tool_use(reader, &place));
    let content = match content {
        Some(place) => blocks(reader, &place, Blocks::Result, 0).map(Some),
        None => Some(None),
    };
    let is_error = match is_error {
        Some(place) => reader.boolean(&place).map(Some),
        None => Some(None),
    };
    Some((call?, content?, is_error?))
}

/// What cannot be the id of an event is the id of no call.
fn tool_use(reader: &mut Reader, place: &Place<'_>) -> Option<SessionEventId> {
    let text = reader.text(place, 1..=limits::REFERENCE_CHARS)?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let message = "is not the id of an event in which the agent calls a tool";
        let help = "take it from `stop_reason.event_ids` of the last `session.status_idle`";
        reader.refuse(&place.path, "unknown_tool_use", message, help);
    }
    parsed
}

fn list(
    reader: &mut Reader,
    place: &Place<'_>,
    kinds: &[(&'static str, Kind)],
    count: std::ops::RangeInclusive<usize>,
) -> Option<Vec<UserEvent>> {
    let places = reader.list(place, count)?;
    let events = reader.each(&places, |reader, place| {
        UserEvent::read(reader, place, kinds)
    })?;
    for (index, event) in events.iter().enumerate() {
        if !matches!(event, UserEvent::SystemMessage { .. }) {
            continue;
        }
        let follows = index.checked_sub(1).and_then(|before| events.get(before));
        if index + 1 != events.len() || !follows.is_some_and(UserEvent::may_be_accompanied) {
            let message = "a system.message is the last event of a request, right after a user.message or a result of a tool";
            let help = "move it to the end, or send it with the next message";
            reader.refuse(
                &places[index].path,
                "misplaced_system_message",
                message,
                help,
            );
        }
    }
    let documents = events.iter().flat_map(UserEvent::content);
    let documents = documents.filter(|block| block.is_file_document()).count();
    if documents > limits::FILE_DOCUMENTS {
        let message = format!(
            "has {documents} documents in files, more than {}",
            limits::FILE_DOCUMENTS
        );
        reader.refuse(&place.path, "too_much", message, "send some of them later");
    }
    Some(events)
}

/// Reads the body that sends events to a session.
///
/// # Errors
///
/// Everything that is wrong with it, each with its field.
pub fn sent_events(body: &Map<String, Value>) -> Result<Vec<UserEvent>, Vec<FieldProblem>> {
    let mut reader = Reader::default();
    let read = reader.body(body, |reader, fields| {
        let place = fields.required(reader, "events")?;
        list(reader, &place, &SENT, 1..=limits::SENT_EVENTS)
    });
    reader.end(read)
}

/// Reads the events that a session begins with.
pub(crate) fn initial_events(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<UserEvent>> {
    list(reader, place, &INITIAL, 0..=limits::INITIAL_EVENTS)
}
