//! What models cost.

mod rate;
mod table;

use bailiwick_model::limits::LLM_COST_OF_REQUEST;
use serde::{Deserialize, Serialize};

use crate::Usage;

pub use rate::{NotARate, Rate};
pub use table::{NotATable, Overrides, PriceTable, Priced, TableHead};

/// What one model costs, and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Whose model it is, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Tokens of its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Tokens that an answer has at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// What a request costs whose input is in no tier.
    #[serde(flatten)]
    pub rates: Rates,
    /// The same in a batch; none where batches cost the same or are not offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Rates>,
    /// What longer requests cost, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// Rates of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Of input that no cache had.
    pub input: Rate,
    /// Of output.
    pub output: Rate,
    /// Of input that a cache had; as other input if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Rate>,
    /// Of input that is kept for five minutes; as other input if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Rate>,
    /// Of input that is kept for an hour; as for five minutes if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Rate>,
}

/// What requests with a long input cost, all their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Of an input with more tokens than these, cached ones included.
    pub above_tokens: u64,
    /// What they cost.
    #[serde(flatten)]
    pub rates: Rates,
    /// The same in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Rates>,
}

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Answered at once.
    Standard,
    /// In a batch.
    Batch,
}

/// What something costs, exactly: a whole number of millionths of a millionth of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    pico_dollars: i128,
}

/// Money, as ledgers count it: a whole number of billionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoDollars(pub i64);

impl Cost {
    /// In billionths of a dollar, rounded up, so that a ledger never has less than what is owed; at most [`LLM_COST_OF_REQUEST`].
    pub fn nano_dollars(self) -> NanoDollars {
        let up = self.pico_dollars.saturating_add(999) / 1000;
        let most = LLM_COST_OF_REQUEST;
        NanoDollars(i64::try_from(up).map_or(most, |nanos| nanos.min(most)))
    }

    /// In picodollars, not rounded.
    pub fn pico_dollars(self) -> i128 {
        self.pico_dollars
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            pico_dollars: self.pico_dollars.saturating_add(other.pico_dollars),
        }
    }
}

impl ModelPrice {
    /// What a request costs that took this.
    pub fn cost(&self, usage: &Usage, service: Service) -> Cost {
        let rates = self.rates_for(usage.whole_input(), service);
        let cached = rates.cache_read.unwrap_or(rates.input);
        let five_minutes = rates.cache_write_5m.unwrap_or(rates.input);
        let one_hour = rates.cache_write_1h.unwrap_or(five_minutes);
        let parts = [
            (usage.input_tokens, rates.input),
            (usage.output_tokens, rates.output),
            (usage.cache_read_tokens, cached),
            (usage.cache_write_5m_tokens, five_minutes),
            (usage.cache_write_1h_tokens, one_hour),
        ];
        let cost =
            |(tokens, rate): (u64, Rate)| i128::from(tokens) * i128::from(rate.pico_dollars());
        // A rate has 50 bits at most and a count 64, so that no product and no sum of five overflows.
        Cost {
            pico_dollars: parts.into_iter().map(cost).sum(),
        }
    }

    /// The most that a request can cost before it is made: all its input at the dearest rate that input can have, and all its output. The tier
    /// is that of the input or any below, whichever is dearer.
    pub fn most(&self, input_tokens: u64, output_tokens: u64) -> Cost {
        let with = |usage: Usage| self.cost(&usage, Service::Standard);
        let output = Usage {
            output_tokens,
            ..Usage::default()
        };
        let kinds = [
            Usage {
                input_tokens,
                ..output
            },
            Usage {
                cache_write_5m_tokens: input_tokens,
                ..output
            },
            Usage {
                cache_write_1h_tokens: input_tokens,
                ..output
            },
        ];
        kinds.map(with).into_iter().max().unwrap_or_default()
    }

    fn rates_for(&self, input_tokens: u64, service: Service) -> Rates {
        let tier = self
            .tiers
            .iter()
            .rfind(|tier| input_tokens > tier.above_tokens);
        let (standard, batch) =
            tier.map_or((self.rates, self.batch), |tier| (tier.rates, tier.batch));
        match service {
            Service::Standard => standard,
            // Never less than what it can cost.
            Service::Batch => batch.unwrap_or(standard),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str) -> ModelPrice {
        serde_json::from_str(text).unwrap()
    }

    fn sonnet() -> ModelPrice {
        price(
            r#"{"input":"3","output":"15","cache_read":"0.3","cache_write_5m":"3.75","cache_write_1h":"6",
            "batch":{"input":"1.5","output":"7.5"},
            "tiers":[{"above_tokens":200000,"input":"6","output":"22.5","cache_read":"0.6","cache_write_5m":"7.5","cache_write_1h":"12"}]}"#,
        )
    }

    #[test]
    fn every_kind_of_token_has_its_rate() {
        let usage = Usage {
            input_tokens: 1000,
            output_tokens: 100,
            cache_read_tokens: 10_000,
            cache_write_5m_tokens: 2000,
            cache_write_1h_tokens: 500,
        };
        // 3000 + 1500 + 3000 + 7500 + 3000 micro-dollars.
        assert_eq!(
            sonnet().cost(&usage, Service::Standard).nano_dollars(),
            NanoDollars(18_000_000)
        );
    }

    #[test]
    fn a_tier_holds_for_all_tokens_of_a_request_whose_whole_input_is_above_it() {
        let cost = |input_tokens, cache_read_tokens| {
            let usage = Usage {
                input_tokens,
                cache_read_tokens,
                output_tokens: 1,
                ..Usage::default()
            };
            sonnet().cost(&usage, Service::Standard).nano_dollars().0
        };
        assert_eq!(cost(200_000, 0), 200_000 * 3000 + 15_000);
        assert_eq!(cost(200_001, 0), 200_001 * 6000 + 22_500);
        assert_eq!(cost(1, 200_000), 6000 + 200_000 * 600 + 22_500);
    }

    #[test]
    fn a_rate_below_a_nano_dollar_is_exact_and_rounded_up_once() {
        let cheap = price(r#"{"input":"0.0125","output":"0"}"#);
        let cost = |input_tokens| {
            cheap.cost(
                &Usage {
                    input_tokens,
                    ..Usage::default()
                },
                Service::Standard,
            )
        };
        assert_eq!(cost(1).pico_dollars(), 12_500);
        assert_eq!(cost(1).nano_dollars(), NanoDollars(13));
        assert_eq!(cost(2).nano_dollars(), NanoDollars(25));
        assert_eq!(cost(1).plus(cost(1)), cost(2));
    }

    #[test]
    fn a_batch_without_a_price_costs_what_other_requests_cost() {
        let usage = Usage {
            input_tokens: 10,
            ..Usage::default()
        };
        assert_eq!(
            sonnet().cost(&usage, Service::Batch).nano_dollars(),
            NanoDollars(15_000)
        );
        let without = price(r#"{"input":"3","output":"15"}"#);
        assert_eq!(
            without.cost(&usage, Service::Batch).nano_dollars(),
            NanoDollars(30_000)
        );
    }

    proptest! {
        #[test]
        fn a_cost_is_the_sum_of_its_parts_and_never_more_than_the_most(
            tokens in proptest::array::uniform5(0..50_000_u64),
        ) {
            let [input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens] = tokens;
            let usage = Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens };
            let price = sonnet();
            let whole = price.cost(&usage, Service::Standard);
            prop_assert!(whole <= price.most(usage.whole_input(), output_tokens));
            let none = Usage::default();
            let parts = [
                Usage { input_tokens, ..none },
                Usage { output_tokens, ..none },
                Usage { cache_read_tokens, ..none },
                Usage { cache_write_5m_tokens, ..none },
                Usage { cache_write_1h_tokens, ..none },
            ];
            let sum = parts.iter().map(|part| price.cost(part, Service::Standard)).fold(Cost::default(), Cost::plus);
            // None of them is above the tier by itself; all together may be.
            prop_assert!(whole == sum || usage.whole_input() > 200_000);
        }

        #[test]
        fn no_count_overflows(tokens in proptest::array::uniform5(any::<u64>())) {
            let [input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens] = tokens;
            let usage = Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens };
            let dearest = price(r#"{"input":"1000000","output":"1000000"}"#);
            prop_assert!(dearest.cost(&usage, Service::Standard).nano_dollars() >= NanoDollars(0));
        }
    }
}
