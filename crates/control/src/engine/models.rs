//! Which upstream a model is asked at, and what it costs.

use bailiwick_llm::{Client, ModelPrice, PriceTable, Priced, Service, Upstream, Usage};
use bailiwick_model::SessionUsage;
use bailiwick_model::limits::CONTEXT_TOKENS;

/// Where models are asked.
pub struct Models {
    upstream: Option<(Client, Upstream)>,
    prices: PriceTable,
}

/// Nobody was said to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no model upstream is configured: start the server with ANTHROPIC_API_KEY (and ANTHROPIC_BASE_URL, if it is not the usual one)"
)]
pub(crate) struct NoUpstream;

impl Models {
    /// All models are asked at this upstream, if there is one.
    pub fn new(upstream: Option<(Client, Upstream)>) -> Self {
        Self {
            upstream,
            prices: PriceTable::built_in(),
        }
    }

    pub(crate) fn upstream(&self) -> Result<&(Client, Upstream), NoUpstream> {
        self.upstream.as_ref().ok_or(NoUpstream)
    }

    /// What a model costs; what nobody knows the price of can have no budget.
    pub(crate) fn price(&self, model: &str) -> Option<&ModelPrice> {
        match self.prices.look_up(model) {
            Priced::Override(price) | Priced::Table { price, .. } => Some(price),
            Priced::Unknown => None,
        }
    }

    /// Tokens of a model's context.
    pub(crate) fn context_tokens(&self, model: &str) -> u64 {
        let known = self.price(model).and_then(|price| price.context_tokens);
        known.unwrap_or(CONTEXT_TOKENS)
    }

    /// What a request has used. Of a model without a price, the tokens alone.
    pub(crate) fn used(&self, model: &str, usage: &Usage) -> SessionUsage {
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let cost = self.price(model).map_or(0, |price| {
            price.cost(usage, Service::Standard).nano_dollars().0
        });
        SessionUsage {
            input_tokens: count(usage.input_tokens),
            output_tokens: count(usage.output_tokens),
            cache_read_tokens: count(usage.cache_read_tokens),
            cache_5m_tokens: count(usage.cache_write_5m_tokens),
            cache_1h_tokens: count(usage.cache_write_1h_tokens),
            list_cost_nanos: cost,
            ..SessionUsage::default()
        }
    }
}
