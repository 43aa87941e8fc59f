//! What a stream tells, whatever its upstream speaks.

use crate::{Block, Raw, UsageUpdate};

/// One event of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start(Start),
    /// A block begins: with its id and name if it is a call, else empty as a rule.
    BlockStart {
        /// The block's place in the content; the next one that is free.
        index: usize,
        /// As far as it is known.
        block: Block,
    },
    /// More of a block.
    Delta {
        /// The block's place.
        index: usize,
        /// What is more.
        delta: Delta,
    },
    /// A block is whole.
    BlockStop {
        /// The block's place.
        index: usize,
    },
    /// Why the answer ends, and what it took. It may come more than once; later ones count.
    Stopping {
        /// Why; the upstream has not said yet if it is missing.
        stopped: Option<Stopped>,
        /// What it took so far.
        usage: UsageUpdate,
    },
    /// The upstream is still there.
    Ping,
    /// The answer is whole. Nothing follows.
    End,
}

/// How an answer begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The upstream's id of the answer.
    pub id: String,
    /// The model that answers, which may be another name than was asked for.
    pub model: String,
    /// The input, if it is known already.
    pub usage: UsageUpdate,
}

/// More of a block.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Text.
    Text(String),
    /// Thinking.
    Thinking(String),
    /// The signature of the block's thinking.
    Signature(String),
    /// A piece of the JSON of a call's input; only the whole is JSON.
    InputJson(String),
    /// Something that only passes through, as it came.
    Other(Raw),
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// In a word.
    pub reason: StopReason,
    /// Which of the request's `stop_sequences` it was.
    pub sequence: Option<String>,
    /// `stop_details`: more about a refusal.
    pub details: Option<Raw>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The model has said what it wanted.
    EndTurn,
    /// `max_tokens` was reached.
    MaxTokens,
    /// One of `stop_sequences` came.
    StopSequence,
    /// Tools are to be called.
    ToolUse,
    /// The upstream's own tools take long: send the answer back to go on.
    PauseTurn,
    /// The model refuses, or was made to.
    Refusal,
    /// The context is full.
    ContextWindow,
    /// Another one, as the upstream calls it.
    Other(String),
}

impl StopReason {
    /// As the Messages API writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::PauseTurn => "pause_turn",
            Self::Refusal => "refusal",
            Self::ContextWindow => "model_context_window_exceeded",
            Self::Other(word) => word,
        }
    }

    /// From the Messages API's word.
    pub(crate) fn of(word: &str) -> Self {
        let known = [
            Self::EndTurn,
            Self::MaxTokens,
            Self::StopSequence,
            Self::ToolUse,
            Self::PauseTurn,
            Self::Refusal,
            Self::ContextWindow,
        ];
        let mut known = known.into_iter();
        known
            .find(|reason| reason.as_str() == word)
            .unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}
