//! A message that is going to be sent, with its ids and its usage.

use serde_json::{Value, json};

use super::record::ModelUsage;
use super::script::{ModelPiece, ModelReply};
use super::usage::tokens;

/// A message.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) pieces: Vec<ModelPiece>,
    pub(super) stop_reason: String,
    pub(super) usage: ModelUsage,
}

impl Answer {
    pub(super) fn new(
        number: usize,
        request: &Value,
        reply: &ModelReply,
        mut usage: ModelUsage,
    ) -> Self {
        let mut pieces = reply.pieces.clone();
        let mut calls = 0;
        for piece in &mut pieces {
            if let ModelPiece::Tool { id, .. } = piece {
                id.get_or_insert_with(|| format!("toolu_{number:08}{calls:04}"));
                calls += 1;
            }
        }
        let usual = if calls > 0 { "tool_use" } else { "end_turn" };
        let computed = || {
            pieces
                .iter()
                .map(|piece| tokens(&written(piece)))
                .sum::<u64>()
                .max(1)
        };
        usage.output_tokens = reply.output_tokens.unwrap_or_else(computed);
        Self {
            id: format!("msg_{number:08}"),
            model: request["model"].as_str().unwrap_or_default().to_owned(),
            stop_reason: reply
                .stop_reason
                .clone()
                .unwrap_or_else(|| usual.to_owned()),
            pieces,
            usage,
        }
    }

    /// As the Messages API writes usage.
    pub(super) fn usage_json(&self, output_tokens: u64) -> Value {
        let usage = &self.usage;
        json!({
            "input_tokens": usage.input_tokens,
            "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            "cache_read_input_tokens": usage.cache_read_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
                "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        })
    }

    /// The whole message, as it comes without a stream.
    pub(super) fn json(&self) -> Value {
        let content: Vec<_> = self.pieces.iter().map(block).collect();
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": self.stop_reason, "stop_sequence": null, "usage": self.usage_json(self.usage.output_tokens),
        })
    }
}

/// A piece as a content block.
pub(super) fn block(piece: &ModelPiece) -> Value {
    match piece {
        ModelPiece::Text(text) => json!({"type": "text", "text": text}),
        ModelPiece::Thinking(thinking) => {
            json!({"type": "thinking", "thinking": thinking, "signature": signature(thinking)})
        }
        ModelPiece::Tool { name, input, id } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
        ModelPiece::Block(block) => block.clone(),
    }
}

pub(super) fn signature(thinking: &str) -> String {
    format!("c2ln{:04}", thinking.len())
}

fn written(piece: &ModelPiece) -> String {
    match piece {
        ModelPiece::Text(text) | ModelPiece::Thinking(text) => text.clone(),
        ModelPiece::Tool { name, input, .. } => format!("{name}{input}"),
        ModelPiece::Block(block) => block.to_string(),
    }
}

/// A text in pieces of so many characters.
pub(super) fn in_pieces(text: &str, chars: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(chars.max(1))
        .map(|piece| piece.iter().collect())
        .collect()
}
