//! Answers of the Responses API, and of embeddings.

use serde_json::{Value, json};

use super::answer::{Answer, in_pieces};
use super::frames::Frame;
use super::script::{ModelPiece, Pace};
use super::usage::tokens;

/// A whole answer.
pub(super) fn whole(answer: &Answer) -> Value {
    response(answer, "completed", &items(answer), &usage(answer))
}

/// All events of an answer; the last one has the usage.
pub(super) fn of(answer: &Answer, pace: &Pace) -> Vec<Frame> {
    let mut events = Events(Vec::new());
    let begun = response(answer, "in_progress", &[], &Value::Null);
    events.add("response.created", &json!({"response": begun}));
    events.add("response.in_progress", &json!({"response": begun}));
    for (index, item) in items(answer).iter().enumerate() {
        let mut empty = item.clone();
        if item["type"] == "message" {
            empty["content"] = json!([]);
        } else {
            empty["arguments"] = "".into();
        }
        empty["status"] = "in_progress".into();
        let place = json!({"output_index": index, "item_id": item["id"]});
        events.add(
            "response.output_item.added",
            &json!({"output_index": index, "item": empty}),
        );
        if item["type"] == "message" {
            events.text(&place, &item["content"][0], pace);
        } else {
            events.call(&place, item, pace);
        }
        events.add(
            "response.output_item.done",
            &json!({"output_index": index, "item": item}),
        );
    }
    events.add("response.completed", &json!({"response": whole(answer)}));
    events.0
}

/// A vector for each text; they are all the same.
pub(super) fn embeddings(request: &Value) -> Value {
    let texts = request["input"].as_array().map_or(1, Vec::len);
    // Three zeros, as 32-bit floats.
    let vector = if request["encoding_format"] == "base64" {
        json!("AAAAAAAAAAAAAAAA")
    } else {
        json!([0.0, 0.0, 0.0])
    };
    let one = |index| json!({"object": "embedding", "index": index, "embedding": vector});
    let data: Vec<_> = (0..texts).map(one).collect();
    let tokens = tokens(&request["input"].to_string());
    json!({
        "object": "list", "data": data, "model": request["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

struct Events(Vec<Frame>);

impl Events {
    fn add(&mut self, name: &str, data: &Value) {
        let mut data = data.clone();
        data["type"] = name.into();
        data["sequence_number"] = self.0.len().into();
        self.0.push(Frame {
            bytes: format!("event: {name}\ndata: {data}\n\n"),
            is_output: name.ends_with(".delta"),
        });
    }

    fn text(&mut self, place: &Value, part: &Value, pace: &Pace) {
        let at = |more: Value| merged(&merged(place, &json!({"content_index": 0})), &more);
        let mut empty = part.clone();
        empty["text"] = "".into();
        self.add("response.content_part.added", &at(json!({"part": empty})));
        let text = part["text"].as_str().unwrap_or_default();
        for piece in in_pieces(text, pace.delta_chars) {
            let delta = at(json!({"delta": piece, "logprobs": []}));
            self.add("response.output_text.delta", &delta);
        }
        let done = at(json!({"text": text, "logprobs": []}));
        self.add("response.output_text.done", &done);
        self.add("response.content_part.done", &at(json!({"part": part})));
    }

    fn call(&mut self, place: &Value, item: &Value, pace: &Pace) {
        let arguments = item["arguments"].as_str().unwrap_or_default();
        for piece in in_pieces(arguments, pace.delta_chars) {
            let delta = merged(place, &json!({"delta": piece}));
            self.add("response.function_call_arguments.delta", &delta);
        }
        let done = merged(
            place,
            &json!({"arguments": arguments, "name": item["name"]}),
        );
        self.add("response.function_call_arguments.done", &done);
    }
}

fn merged(one: &Value, other: &Value) -> Value {
    let mut all = one.as_object().cloned().unwrap_or_default();
    all.extend(other.as_object().cloned().unwrap_or_default());
    all.into()
}

fn response(answer: &Answer, status: &str, items: &[Value], usage: &Value) -> Value {
    json!({
        "id": format!("resp_{}", answer.id), "object": "response", "created_at": 0, "status": status, "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {}, "model": answer.model, "output": items,
        "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "usage": usage,
    })
}

fn items(answer: &Answer) -> Vec<Value> {
    let item = |(index, piece): (usize, &ModelPiece)| match piece {
        ModelPiece::Text(text) => Some(json!({
            "id": format!("msg_{index}"), "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
        })),
        ModelPiece::Tool { name, input, id } => Some(json!({
            "id": format!("fc_{index}"), "type": "function_call", "call_id": id, "name": name,
            "arguments": input.to_string(), "status": "completed",
        })),
        ModelPiece::Thinking(_) | ModelPiece::Block(_) => None,
    };
    answer.pieces.iter().enumerate().filter_map(item).collect()
}

fn usage(answer: &Answer) -> Value {
    let usage = &answer.usage;
    let input = usage.input_tokens
        + usage.cache_read_tokens
        + usage.cache_write_5m_tokens
        + usage.cache_write_1h_tokens;
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "output_tokens": usage.output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + usage.output_tokens,
    })
}
