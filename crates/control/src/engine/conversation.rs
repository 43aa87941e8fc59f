//! What the model is asked: the messages of a request, as the Messages API has them.
//!
//! The first is the user's, roles alternate, and a call is followed by its result; whatever was told keeps its place.

use serde_json::{Value, json};

use super::history::{Outcome, Speaker, Told};

/// The messages that tell the model what happened.
pub(crate) fn messages(told: &[Told]) -> Vec<Value> {
    let mut messages: Vec<Message> = Vec::new();
    for part in told {
        let (role, content) = blocks(part);
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(content),
            Some(_) | None => messages.push(Message { role, content }),
        }
    }
    let write = |message: Message| json!({"role": message.role, "content": message.content});
    messages.into_iter().map(write).collect()
}

struct Message {
    role: &'static str,
    content: Vec<Value>,
}

fn blocks(part: &Told) -> (&'static str, Vec<Value>) {
    match part {
        Told::Said(Speaker::User, content) => ("user", content.clone()),
        // Models differ in whether they take a system message in the middle; all take a text that says what it is.
        Told::Said(Speaker::System, content) => ("user", content.iter().map(as_system).collect()),
        Told::Answered(content) => ("assistant", content.clone()),
        Told::Results(results) => {
            let write = |(id, outcome): &(_, Outcome)| {
                json!({
                    "type": "tool_result",
                    "tool_use_id": id,
                    "content": outcome.content,
                    "is_error": outcome.is_error,
                })
            };
            ("user", results.iter().map(write).collect())
        }
        Told::Summary(summary) => {
            let text = format!(
                "What happened before, summarised because it was too long to repeat:\n\n{summary}"
            );
            ("user", vec![json!({"type": "text", "text": text})])
        }
    }
}

fn as_system(block: &Value) -> Value {
    let text = block.get("text").and_then(Value::as_str);
    let text = text.unwrap_or_default();
    json!({"type": "text", "text": format!("<system-message>\n{text}\n</system-message>")})
}
