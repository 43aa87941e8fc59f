//! What a scripted model has been asked, and what of its script is left.

use std::collections::{BTreeMap, HashSet};
use std::iter::Sum;

use serde::Serialize;
use serde_json::Value;

use super::script::{ModelAnswer, ModelScript, ModelStep};

/// A request that has reached a scripted model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelRequest {
    /// Its number, from 0.
    pub number: usize,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Its headers, in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body; null if it was no JSON.
    pub body: Value,
    /// The status of the answer.
    pub status: u16,
    /// Whether the answer was sent to its end.
    pub finished: bool,
    /// What the answer took.
    pub usage: ModelUsage,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ModelUsage {
    /// Input that no cache had.
    pub input_tokens: u64,
    /// Output that was sent.
    pub output_tokens: u64,
    /// Input of the cache.
    pub cache_read_tokens: u64,
    /// Input that went to the cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input that went to the cache for an hour.
    pub cache_write_1h_tokens: u64,
}

impl Sum for ModelUsage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            input_tokens: sum.input_tokens + one.input_tokens,
            output_tokens: sum.output_tokens + one.output_tokens,
            cache_read_tokens: sum.cache_read_tokens + one.cache_read_tokens,
            cache_write_5m_tokens: sum.cache_write_5m_tokens + one.cache_write_5m_tokens,
            cache_write_1h_tokens: sum.cache_write_1h_tokens + one.cache_write_1h_tokens,
        })
    }
}

impl ModelRequest {
    /// Whether it asks a model for an answer.
    pub fn is_for_answer(&self) -> bool {
        matches!(
            self.path.as_str(),
            "/v1/messages" | "/v1/chat/completions" | "/v1/responses"
        )
    }

    /// How often the model has spoken in its conversation.
    pub fn round(&self) -> usize {
        let messages = self.body["messages"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        messages
            .iter()
            .filter(|message| message["role"] == "assistant")
            .count()
    }
}

#[derive(Debug)]
pub(super) struct State {
    steps: Vec<ModelStep>,
    pub(super) keys: Vec<String>,
    pub(super) models: Vec<String>,
    pub(super) context_tokens: Option<u64>,
    pub(super) requests: Vec<ModelRequest>,
    /// Prompts up to a breakpoint that have been seen, by hash.
    pub(super) cached: HashSet<u64>,
    pub(super) connections: usize,
    pub(super) streaming: usize,
    pub(super) unscripted: usize,
}

impl State {
    pub(super) fn new(script: ModelScript) -> Self {
        let ModelScript {
            steps,
            keys,
            models,
            context_tokens,
        } = script;
        Self {
            steps,
            keys,
            models,
            context_tokens,
            requests: Vec::new(),
            cached: HashSet::new(),
            connections: 0,
            streaming: 0,
            unscripted: 0,
        }
    }

    pub(super) fn append(&mut self, steps: impl IntoIterator<Item = ModelStep>) {
        self.steps.extend(steps);
    }

    /// Takes the step that is meant for a request.
    pub(super) fn step_for(&mut self, request: &ModelRequest) -> Option<ModelAnswer> {
        let left = |step: &ModelStep| step.times != Some(0);
        let meant = |step: &ModelStep| {
            left(step) && !step.when.is_for_anybody() && step.when.is_met(request)
        };
        let found = self.steps.iter().position(meant);
        let found = found.or_else(|| {
            self.steps
                .iter()
                .position(|step| left(step) && step.when.is_for_anybody())
        });
        let Some(step) = found.map(|at| &mut self.steps[at]) else {
            self.unscripted += 1;
            return None;
        };
        step.times = step.times.map(|times| times - 1);
        Some(step.answer.clone())
    }
}
