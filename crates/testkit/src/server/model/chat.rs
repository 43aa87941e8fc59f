//! Answers of the Chat Completions API.

use serde_json::{Value, json};

use super::answer::{Answer, in_pieces};
use super::frames::Frame;
use super::script::{ModelPiece, Pace};

/// A whole answer.
pub(super) fn whole(answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": text(answer)});
    let calls: Vec<_> = calls(answer).map(|(_, call)| call).collect();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({
        "id": format!("chatcmpl-{}", answer.id), "object": "chat.completion", "created": 0, "model": answer.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason(answer), "logprobs": null}], "usage": usage(answer),
    })
}

/// All events of an answer; the last but one has the usage if the request asked for it.
pub(super) fn of(answer: &Answer, request: &Value, pace: &Pace) -> Vec<Frame> {
    let with_usage = request["stream_options"]["include_usage"] == true;
    let chunk = |delta: Value, reason: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{}", answer.id), "object": "chat.completion.chunk", "created": 0, "model": answer.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": null}],
        });
        if with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut chunks = vec![chunk(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    for (field, piece) in answer.pieces.iter().filter_map(said) {
        let pieces = in_pieces(piece, pace.delta_chars);
        chunks.extend(
            pieces
                .iter()
                .map(|text| chunk(json!({field: text}), Value::Null)),
        );
    }
    for (index, call) in calls(answer) {
        let arguments = call["function"]["arguments"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let start = json!({"index": index, "id": call["id"], "type": "function", "function": {"name": call["function"]["name"], "arguments": ""}});
        chunks.push(chunk(json!({"tool_calls": [start]}), Value::Null));
        let pieces = in_pieces(&arguments, pace.delta_chars);
        let more = |piece: &String| {
            chunk(
                json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
                Value::Null,
            )
        };
        chunks.extend(pieces.iter().map(more));
    }
    chunks.push(chunk(json!({}), reason(answer).into()));
    if with_usage {
        let mut last = chunk(json!({}), Value::Null);
        last["choices"] = json!([]);
        last["usage"] = usage(answer);
        chunks.push(last);
    }
    let mut frames: Vec<_> = chunks
        .iter()
        .map(|chunk| data(&chunk.to_string()))
        .collect();
    frames.push(data("[DONE]"));
    frames
}

pub(super) fn data(data: &str) -> Frame {
    Frame {
        bytes: format!("data: {data}\n\n"),
        is_output: true,
    }
}

fn said(piece: &ModelPiece) -> Option<(&'static str, &str)> {
    match piece {
        ModelPiece::Text(text) => Some(("content", text)),
        ModelPiece::Thinking(text) => Some(("reasoning_content", text)),
        ModelPiece::Tool { .. } | ModelPiece::Block(_) => None,
    }
}

fn text(answer: &Answer) -> Value {
    let texts = answer
        .pieces
        .iter()
        .filter_map(said)
        .filter(|(field, _)| *field == "content");
    let text: String = texts.map(|(_, text)| text).collect();
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

fn calls(answer: &Answer) -> impl Iterator<Item = (usize, Value)> {
    let call = |piece: &ModelPiece| match piece {
        ModelPiece::Tool { name, input, id } => Some(json!({
            "id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()},
        })),
        ModelPiece::Text(_) | ModelPiece::Thinking(_) | ModelPiece::Block(_) => None,
    };
    answer.pieces.iter().filter_map(call).enumerate()
}

fn reason(answer: &Answer) -> &str {
    match answer.stop_reason.as_str() {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => other,
    }
}

fn usage(answer: &Answer) -> Value {
    let usage = &answer.usage;
    let prompt = usage.input_tokens
        + usage.cache_read_tokens
        + usage.cache_write_5m_tokens
        + usage.cache_write_1h_tokens;
    json!({
        "prompt_tokens": prompt, "completion_tokens": usage.output_tokens, "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    })
}
