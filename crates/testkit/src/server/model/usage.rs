//! Tokens, counted by a rule of thumb that is the same everywhere: four bytes of JSON are one.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use super::record::ModelUsage;

/// Tokens of a text.
pub(super) fn tokens(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX).div_ceil(4)
}

/// Tokens of the input of a request.
pub(super) fn input_tokens(body: &Value) -> u64 {
    parts(body).iter().map(|part| tokens(&part.text)).sum()
}

/// The input of a request, split into what the cache has, what it gets, and what is neither. A part with `cache_control` is a breakpoint: what is
/// up to it is cached as a whole, and read by later requests that begin with the same.
pub(super) fn of_input(body: &Value, cached: &mut HashSet<u64>) -> ModelUsage {
    let mut hasher = DefaultHasher::new();
    let (mut all, mut read, mut written, mut one_hour) = (0, 0, 0, false);
    for part in parts(body) {
        part.text.hash(&mut hasher);
        all += tokens(&part.text);
        let Some(ttl) = part.breakpoint else {
            continue;
        };
        if cached.insert(hasher.finish()) {
            written = all;
            one_hour = ttl == "1h";
        } else {
            read = all;
        }
    }
    let written = written.max(read) - read;
    let (five_minutes, one_hour) = if one_hour { (0, written) } else { (written, 0) };
    ModelUsage {
        input_tokens: all - read - written,
        output_tokens: 0,
        cache_read_tokens: read,
        cache_write_5m_tokens: five_minutes,
        cache_write_1h_tokens: one_hour,
    }
}

struct Part {
    text: String,
    breakpoint: Option<String>,
}

/// Tools, system and messages, in the order in which the cache has them.
fn parts(body: &Value) -> Vec<Part> {
    let mut parts = Vec::new();
    for tool in list(&body["tools"]) {
        parts.push(part(tool));
    }
    content(&body["system"], &mut parts);
    content(&body["instructions"], &mut parts);
    content(&body["input"], &mut parts);
    for message in list(&body["messages"]) {
        content(&message["content"], &mut parts);
        for call in list(&message["tool_calls"]) {
            parts.push(part(call));
        }
    }
    parts
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn content(content: &Value, parts: &mut Vec<Part>) {
    match content {
        Value::Null => {}
        Value::Array(blocks) => parts.extend(blocks.iter().map(part)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            parts.push(part(content));
        }
    }
}

/// A breakpoint may be elsewhere in the next request, so that it is no part of what is cached.
fn part(value: &Value) -> Part {
    let mut value = value.clone();
    let control = value
        .as_object_mut()
        .and_then(|block: &mut Map<_, _>| block.remove("cache_control"));
    let breakpoint = control.filter(|control| !control.is_null());
    Part {
        text: value.to_string(),
        breakpoint: breakpoint.map(|control| control["ttl"].as_str().unwrap_or("5m").to_owned()),
    }
}
