//! What the real API refuses, as far as clients get it wrong.

use serde_json::Value;

use super::record::{ModelRequest, State};
use super::script::ModelFailure;
use super::usage;

/// Why a request is refused before the script is asked.
pub(super) fn refuse(request: &ModelRequest, state: &State) -> Option<ModelFailure> {
    if let Some(failure) = refuse_key(request, state) {
        return Some(failure);
    }
    let said = |message: String| ModelFailure {
        message: Some(message),
        ..ModelFailure::of(400)
    };
    let is_messages = request.path.starts_with("/v1/messages");
    if is_messages && !request.headers.contains_key("anthropic-version") {
        return Some(said("anthropic-version: header is required".to_owned()));
    }
    let model = request.body["model"].as_str().unwrap_or_default();
    if model.is_empty() {
        return Some(said("model: Field required".to_owned()));
    }
    if !state.models.is_empty() && !state.models.iter().any(|known| known == model) {
        return Some(ModelFailure {
            message: Some(format!("model: {model}")),
            ..ModelFailure::of(404)
        });
    }
    let counts = request.path.ends_with("/count_tokens");
    if is_messages
        && !counts
        && request.body["max_tokens"]
            .as_u64()
            .is_none_or(|tokens| tokens == 0)
    {
        return Some(said("max_tokens: Field required".to_owned()));
    }
    let input = usage::input_tokens(&request.body);
    if let Some(most) = state.context_tokens.filter(|most| input > *most) {
        return Some(said(format!(
            "prompt is too long: {input} tokens > {most} maximum"
        )));
    }
    let messages = request.body["messages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let wrong = match request.path.as_str() {
        "/v1/responses" | "/v1/embeddings" if request.body["input"].is_null() => {
            Some("Missing required parameter: 'input'.".to_owned())
        }
        "/v1/responses" | "/v1/embeddings" => None,
        _ if is_messages => conversation(messages),
        _ => chat(messages),
    };
    wrong.map(said)
}

fn refuse_key(request: &ModelRequest, state: &State) -> Option<ModelFailure> {
    let bearer = request
        .headers
        .get("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let key = request
        .headers
        .get("x-api-key")
        .map(String::as_str)
        .or(bearer);
    let message = match key {
        None if state.keys.is_empty() => return None,
        None => "x-api-key header is required",
        Some(key) if state.keys.is_empty() || state.keys.iter().any(|known| known == key) => {
            return None;
        }
        Some(_) => "invalid x-api-key",
    };
    Some(ModelFailure {
        message: Some(message.to_owned()),
        ..ModelFailure::of(401)
    })
}

/// What a conversation of the Messages API must be.
fn conversation(messages: &[Value]) -> Option<String> {
    if messages.is_empty() {
        return Some("messages: at least one message is required".to_owned());
    }
    let mut called: Vec<String> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let is_assistant = match message["role"].as_str() {
            Some("user") => false,
            Some("assistant") => true,
            _ => {
                return Some(format!(
                    "messages.{number}.role: Input should be 'user' or 'assistant'"
                ));
            }
        };
        if number == 0 && is_assistant {
            return Some("messages: first message must use the \"user\" role".to_owned());
        }
        let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(wrong) = blocks_of(number, message, blocks) {
            return Some(wrong);
        }
        let results: Vec<_> = ids(blocks, "tool_result", "tool_use_id");
        if let Some(unknown) = results.iter().find(|id| !called.contains(id)) {
            return Some(format!(
                "messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {unknown}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            ));
        }
        let missing: Vec<_> = called
            .iter()
            .filter(|id| !results.contains(id))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            return Some(format!(
                "messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: {}.",
                missing.join(", ")
            ));
        }
        called = ids(blocks, "tool_use", "id");
    }
    (!called.is_empty()).then(|| {
        "messages: `tool_use` ids were found without `tool_result` blocks immediately after"
            .to_owned()
    })
}

fn blocks_of(number: usize, message: &Value, blocks: &[Value]) -> Option<String> {
    let is_empty = message["content"]
        .as_str()
        .map_or(blocks.is_empty(), str::is_empty);
    if is_empty {
        return Some(format!(
            "messages.{number}: all messages must have non-empty content"
        ));
    }
    let empty_text = |block: &&Value| {
        block["type"] == "text" && block["text"].as_str().is_none_or(str::is_empty)
    };
    if blocks.iter().any(|block| empty_text(&block)) {
        return Some(format!(
            "messages.{number}: text content blocks must be non-empty"
        ));
    }
    let unsigned = |block: &Value| {
        block["type"] == "thinking" && block["signature"].as_str().is_none_or(str::is_empty)
    };
    if blocks.iter().any(unsigned) {
        return Some(format!(
            "messages.{number}: thinking.signature: Field required"
        ));
    }
    None
}

fn ids(blocks: &[Value], kind: &str, field: &str) -> Vec<String> {
    let of_kind = blocks.iter().filter(|block| block["type"] == kind);
    of_kind
        .filter_map(|block| block[field].as_str().map(str::to_owned))
        .collect()
}

/// What a conversation of the Chat Completions API must be.
fn chat(messages: &[Value]) -> Option<String> {
    let mut called: Vec<&str> = Vec::new();
    for message in messages {
        let is_tool = message["role"] == "tool";
        if is_tool {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(at) = called.iter().position(|known| *known == id) else {
                return Some("messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.".to_owned());
            };
            called.remove(at);
        } else if !called.is_empty() {
            return Some("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.".to_owned());
        }
        let calls = message["tool_calls"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        called.extend(calls.iter().filter_map(|call| call["id"].as_str()));
    }
    (messages.is_empty()).then(|| "[] is too short - 'messages'".to_owned())
}
