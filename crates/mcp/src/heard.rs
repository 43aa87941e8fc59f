//! What a server says while an answer is awaited: messages of JSON-RPC.

use bailiwick_model::limits::{MCP_ERROR_CHARS, MCP_ID_BYTES};
use serde_json::{Map, Value};

/// A message.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// The answer to the request with this id.
    Answer {
        id: u64,
        answer: Result<Map<String, Value>, RpcError>,
    },
    /// The server asks something, under this id.
    Asked { id: Value, method: String },
    /// It tells something.
    Told(String),
    /// Nothing that concerns anybody.
    Else,
}

/// The server could not, or would not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// Which kind of error, by JSON-RPC.
    pub code: i64,
    /// What the server says of it, in at most [`MCP_ERROR_CHARS`] characters.
    pub message: String,
}

impl Heard {
    /// Reads a message.
    pub(crate) fn of(message: Value) -> Self {
        let Value::Object(mut message) = message else {
            return Self::Else;
        };
        let (id, method) = (message.remove("id"), message.remove("method"));
        match (id, method) {
            (Some(id), Some(Value::String(method))) if is_id(&id) => Self::Asked { id, method },
            (None, Some(Value::String(method))) => Self::Told(method),
            (Some(id), None) => number(&id).map_or(Self::Else, |id| Self::Answer {
                id,
                answer: answer(message),
            }),
            _ => Self::Else,
        }
    }
}

/// Whether an id can be answered under: a number, or a text that is not too long.
fn is_id(id: &Value) -> bool {
    match id {
        Value::Number(_) => true,
        Value::String(text) => text.len() <= MCP_ID_BYTES,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Some servers write numbers as texts.
fn number(id: &Value) -> Option<u64> {
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

fn answer(mut message: Map<String, Value>) -> Result<Map<String, Value>, RpcError> {
    if let Some(Value::Object(result)) = message.remove("result") {
        return Ok(result);
    }
    Err(
        RpcError::of(message.get("error")).unwrap_or_else(|| RpcError {
            code: 0,
            message: "the answer has neither a result nor an error".to_owned(),
        }),
    )
}

impl RpcError {
    /// The error of an answer, if it is one.
    pub(crate) fn of(error: Option<&Value>) -> Option<Self> {
        let error = error?.as_object()?;
        let message = error.get("message").and_then(Value::as_str);
        let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
        Some(Self {
            code,
            message: in_one_line(message.unwrap_or("an error")),
        })
    }
}

/// What a server wrote, as a part of a sentence.
fn in_one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MCP_ERROR_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_told_apart() {
        let heard = Heard::of;
        let result = json!({"jsonrpc": "2.0", "id": 7, "result": {"a": 1}});
        let Heard::Answer {
            id: 7,
            answer: Ok(found),
        } = heard(result)
        else {
            panic!("no answer");
        };
        assert_eq!(found["a"], 1);
        let failed =
            json!({"id": "7", "error": {"code": -32602, "message": "no\nsuch \u{1b}[1mtool"}});
        let error = RpcError {
            code: -32602,
            message: "no such  [1mtool".to_owned(),
        };
        let answer = Err(error);
        assert_eq!(heard(failed), Heard::Answer { id: 7, answer });
        let asked = json!({"id": 7, "method": "sampling/createMessage", "params": {}});
        assert!(matches!(heard(asked), Heard::Asked { .. }));
        let told = json!({"method": "notifications/tools/list_changed"});
        assert_eq!(
            heard(told),
            Heard::Told("notifications/tools/list_changed".to_owned())
        );
        for other in [
            json!({"id": "x", "result": {}}),
            json!([]),
            json!(null),
            json!({"id": null}),
            json!({"id": [[], []], "method": "ping"}),
            json!({"id": "x".repeat(MCP_ID_BYTES + 1), "method": "ping"}),
        ] {
            assert_eq!(heard(other), Heard::Else);
        }
        assert!(matches!(
            heard(json!({"id": 7, "result": []})),
            Heard::Answer { answer: Err(_), .. }
        ));
    }
}
