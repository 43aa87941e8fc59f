//! The events of a stream of the Messages API.

use serde_json::{Value, json};

use super::answer::{Answer, block, in_pieces, signature};
use super::script::{ModelPiece, Pace};

/// One event, as its bytes, and how much of the output it ends.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: String,
    /// Whether what the model said so far is more by this.
    pub(super) is_output: bool,
}

pub(super) fn event(name: &str, data: &Value) -> Frame {
    Frame {
        bytes: format!("event: {name}\ndata: {data}\n\n"),
        is_output: name == "content_block_delta",
    }
}

/// All events of a message.
pub(super) fn of(answer: &Answer, pace: &Pace) -> Vec<Frame> {
    let mut frames = vec![event(
        "message_start",
        &json!({"type": "message_start", "message": {
            "id": answer.id, "type": "message", "role": "assistant", "model": answer.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": answer.usage_json(1),
        }}),
    )];
    for (index, piece) in answer.pieces.iter().enumerate() {
        frames.extend(of_piece(index, piece, pace));
        if index == 0 {
            // The real one sends one after the first block's start.
            frames.insert(2, ping());
        }
    }
    let delta = json!({"stop_reason": answer.stop_reason, "stop_sequence": null});
    let usage = answer.usage_json(answer.usage.output_tokens);
    frames.push(event(
        "message_delta",
        &json!({"type": "message_delta", "delta": delta, "usage": usage}),
    ));
    frames.push(event("message_stop", &json!({"type": "message_stop"})));
    if pace.ping_every > 0 {
        frames = with_pings(frames, pace.ping_every);
    }
    frames
}

pub(super) fn ping() -> Frame {
    event("ping", &json!({"type": "ping"}))
}

fn with_pings(frames: Vec<Frame>, every: usize) -> Vec<Frame> {
    let mut all = Vec::new();
    for (number, frame) in frames.into_iter().enumerate() {
        if number > 0 && number % every == 0 {
            all.push(ping());
        }
        all.push(frame);
    }
    all
}

fn of_piece(index: usize, piece: &ModelPiece, pace: &Pace) -> Vec<Frame> {
    let (start, deltas) = match piece {
        ModelPiece::Text(text) => {
            let deltas = in_pieces(text, pace.delta_chars);
            let deltas = deltas
                .iter()
                .map(|text| json!({"type": "text_delta", "text": text}));
            (json!({"type": "text", "text": ""}), deltas.collect())
        }
        ModelPiece::Thinking(thinking) => {
            let deltas = in_pieces(thinking, pace.delta_chars);
            let deltas = deltas
                .iter()
                .map(|text| json!({"type": "thinking_delta", "thinking": text}));
            let signed = json!({"type": "signature_delta", "signature": signature(thinking)});
            let deltas = deltas.chain([signed]).collect();
            (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                deltas,
            )
        }
        ModelPiece::Tool { name, input, id } => {
            // The first piece is empty, as the real one's.
            let mut deltas = vec![String::new()];
            if input.as_object().is_none_or(|input| !input.is_empty()) {
                deltas.extend(in_pieces(&input.to_string(), pace.delta_chars));
            }
            let deltas = deltas
                .iter()
                .map(|json| json!({"type": "input_json_delta", "partial_json": json}));
            (
                json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                deltas.collect::<Vec<_>>(),
            )
        }
        ModelPiece::Block(_) => (block(piece), Vec::new()),
    };
    let mut frames = vec![event(
        "content_block_start",
        &json!({"type": "content_block_start", "index": index, "content_block": start}),
    )];
    let delta = |delta: &Value| {
        event(
            "content_block_delta",
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
        )
    };
    frames.extend(deltas.iter().map(delta));
    frames.push(event(
        "content_block_stop",
        &json!({"type": "content_block_stop", "index": index}),
    ));
    frames
}
