//! What a model costs in an organization.

use bailiwick_llm::{ModelPrice, PriceTable, Priced, Service, Usage};

use super::Rules;

/// What a request costs whose model nobody has a price for, in picodollars for a token: as a model of middle size does. It is a guess, and marked so.
const GUESSED: (&str, &str) = ("3", "15");

/// A price, or a guess.
#[derive(Debug, Clone)]
pub(crate) enum Price<'p> {
    Known(&'p ModelPrice),
    Guessed(ModelPrice),
}

impl Rules {
    /// The organization's own price comes first, by the name that was asked for; then the table's, by what the upstream calls the model.
    pub(crate) fn price<'p>(
        &'p self,
        table: &'p PriceTable,
        asked: &str,
        upstream: &str,
    ) -> Price<'p> {
        let own = self.prices.get(asked).or_else(|| self.prices.get(upstream));
        let known = own
            .or_else(|| look_up(table, upstream))
            .or_else(|| look_up(table, asked));
        known.map_or_else(|| Price::Guessed(guessed()), Price::Known)
    }
}

fn look_up<'t>(table: &'t PriceTable, model: &str) -> Option<&'t ModelPrice> {
    match table.look_up(model) {
        Priced::Override(price) | Priced::Table { price, .. } => Some(price),
        Priced::Unknown => None,
    }
}

fn guessed() -> ModelPrice {
    let (input, output) = GUESSED;
    let text = format!(r#"{{"input":"{input}","output":"{output}"}}"#);
    serde_json::from_str(&text).expect("two rates")
}

impl Price<'_> {
    fn price(&self) -> &ModelPrice {
        match self {
            Self::Known(price) => price,
            Self::Guessed(price) => price,
        }
    }

    /// The price, if it is known.
    pub(crate) fn known(&self) -> Option<&ModelPrice> {
        match self {
            Self::Known(price) => Some(price),
            Self::Guessed(_) => None,
        }
    }

    pub(crate) fn is_estimated(&self) -> bool {
        matches!(self, Self::Guessed(_))
    }

    /// What it cost, in billionths of a dollar.
    pub(crate) fn cost(&self, usage: &Usage) -> i64 {
        self.price().cost(usage, Service::Standard).nano_dollars().0
    }

    /// What it can cost at most.
    pub(crate) fn most(&self, worst: &Usage) -> i64 {
        let most = self.price().most(worst.whole_input(), worst.output_tokens);
        most.nano_dollars().0
    }

    /// As it is kept with what was spent.
    pub(crate) fn to_json(&self) -> String {
        match self {
            Self::Known(price) => serde_json::to_string(&price.rates).unwrap_or_default(),
            Self::Guessed(_) => String::new(),
        }
    }
}
