//! What a request cost, in tokens.

use bailiwick_model::limits::LLM_TOKENS_OF_REQUEST;
use serde::{Deserialize, Serialize};

/// Tokens of one request, each counted once: what was read from a cache or written to one is not in `input_tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input that no cache had or keeps.
    pub input_tokens: u64,
    /// Output, thinking included.
    pub output_tokens: u64,
    /// Input that came from the cache.
    pub cache_read_tokens: u64,
    /// Input that the cache keeps for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input that the cache keeps for an hour.
    pub cache_write_1h_tokens: u64,
}

impl Usage {
    /// All tokens of the input, which is what long-context tiers go by.
    pub fn whole_input(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_read_tokens)
            .saturating_add(self.cache_write_5m_tokens)
            .saturating_add(self.cache_write_1h_tokens)
    }
}

/// What one event says of it: counts are totals so far, those that are missing stay as they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageUpdate {
    /// See [`Usage`].
    pub input_tokens: Option<u64>,
    /// See [`Usage`].
    pub output_tokens: Option<u64>,
    /// See [`Usage`].
    pub cache_read_tokens: Option<u64>,
    /// See [`Usage`].
    pub cache_write_5m_tokens: Option<u64>,
    /// See [`Usage`].
    pub cache_write_1h_tokens: Option<u64>,
}

impl UsageUpdate {
    /// Writes what is told over `usage`; nobody can have taken more than [`LLM_TOKENS_OF_REQUEST`] of a kind.
    pub fn apply(&self, usage: &mut Usage) {
        let told = [
            (self.input_tokens, &mut usage.input_tokens),
            (self.output_tokens, &mut usage.output_tokens),
            (self.cache_read_tokens, &mut usage.cache_read_tokens),
            (self.cache_write_5m_tokens, &mut usage.cache_write_5m_tokens),
            (self.cache_write_1h_tokens, &mut usage.cache_write_1h_tokens),
        ];
        for (from, to) in told {
            *to = from.map_or(*to, |told| told.min(LLM_TOKENS_OF_REQUEST));
        }
    }

    /// Whether anything is told.
    pub fn is_something(&self) -> bool {
        *self != Self::default()
    }
}

/// `usage` as the Messages API writes it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<WireCacheCreation>,
}

#[derive(Debug, Deserialize)]
struct WireCacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

impl From<WireUsage> for UsageUpdate {
    fn from(wire: WireUsage) -> Self {
        // The sum alone is of the time when five minutes were the only choice. Where both are told, what the parts lack counts as five minutes.
        let one_hour = wire
            .cache_creation
            .as_ref()
            .and_then(|parts| parts.ephemeral_1h_input_tokens);
        let five_minutes = wire
            .cache_creation
            .as_ref()
            .and_then(|parts| parts.ephemeral_5m_input_tokens);
        let of_sum = wire
            .cache_creation_input_tokens
            .map(|sum| sum.saturating_sub(one_hour.unwrap_or(0)));
        Self {
            input_tokens: wire.input_tokens,
            output_tokens: wire.output_tokens,
            cache_read_tokens: wire.cache_read_input_tokens,
            cache_write_5m_tokens: five_minutes.max(of_sum),
            cache_write_1h_tokens: one_hour,
        }
    }
}
