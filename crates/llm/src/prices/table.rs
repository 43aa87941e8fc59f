//! Prices by the names of models.

use std::collections::BTreeMap;

use bailiwick_model::limits::PRICED_MODELS;
use jiff::civil::Date;
use serde::Deserialize;

use super::ModelPrice;

/// The table of this version: `cargo xtask prices` makes it.
const BUILT_IN: &str = include_str!("../../data/prices.json");

/// What providers are called in front of a model's name, where that is not their name in the table.
const PREFIXES: [(&str, &str); 6] = [
    ("gemini", "google"),
    ("vertex_ai", "google"),
    ("meta-llama", "meta"),
    ("meta_llama", "meta"),
    ("mistralai", "mistral"),
    ("x-ai", "xai"),
];

/// Prices of models. What is not in it has no price; nothing is guessed from a name that looks alike.
#[derive(Debug, Clone)]
pub struct PriceTable {
    head: TableHead,
    models: BTreeMap<String, ModelPrice>,
    overrides: Overrides,
}

/// Where a table comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableHead {
    /// What it was made of.
    pub source: String,
    /// The licence of that.
    pub licence: String,
    /// When that was of, as `YYYY-MM-DD`.
    pub date: Date,
    /// How rates are written.
    pub unit: String,
}

/// Prices that somebody set for models by the names that they are asked by: they come before the table's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Overrides(BTreeMap<String, ModelPrice>);

/// What a table says about a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priced<'t> {
    /// Somebody set the price.
    Override(&'t ModelPrice),
    /// The table has it, by this name.
    Table {
        /// Its name in the table.
        name: &'t str,
        /// Its price.
        price: &'t ModelPrice,
    },
    /// Nobody knows.
    Unknown,
}

/// Why a text is no table, or no overrides.
#[derive(Debug, thiserror::Error)]
pub enum NotATable {
    /// It is no JSON of that shape, or a price is none.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Too many.
    #[error("it has {0} models, more than {PRICED_MODELS}")]
    TooMany(usize),
    /// It could not be told which of two holds.
    #[error("the tiers of {0:?} are not in ascending order")]
    Tiers(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    head: TableHead,
    models: BTreeMap<String, ModelPrice>,
}

impl PriceTable {
    /// The table that comes with this version.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test reads it")
    }

    /// A newer table.
    ///
    /// # Errors
    ///
    /// See [`NotATable`].
    pub fn parse(text: &str) -> Result<Self, NotATable> {
        let TableFile { head, models } = serde_json::from_str(text)?;
        let models = checked(models)?;
        Ok(Self {
            head,
            models,
            overrides: Overrides::default(),
        })
    }

    /// The same table with these prices before its own.
    #[must_use]
    pub fn with(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// Where it comes from.
    pub fn head(&self) -> &TableHead {
        &self.head
    }

    /// The models of the table, by name.
    pub fn models(&self) -> impl Iterator<Item = (&str, &ModelPrice)> {
        self.models
            .iter()
            .map(|(name, price)| (name.as_str(), price))
    }

    /// What it says about a model, by the name that it is asked by. A name may have the provider in front (`openai/gpt-5`), a date behind that the
    /// table does not have (`gpt-5-2099-01-01`: the undated one), or none where the table has only dated ones (the newest).
    pub fn look_up(&self, model: &str) -> Priced<'_> {
        if let Some(price) = self.overrides.0.get(model) {
            return Priced::Override(price);
        }
        let model = model.to_ascii_lowercase();
        let found = match model.split_once('/') {
            None => self.named(&model),
            // With a provider in front it has to be that provider's.
            Some((provider, name)) => self.named(name).filter(|(_, price)| price.is_of(provider)),
        };
        found.map_or(Priced::Unknown, |(name, price)| Priced::Table {
            name,
            price,
        })
    }

    fn named(&self, name: &str) -> Option<(&str, &ModelPrice)> {
        let undated_one = || self.exactly(undated(name)?);
        let newest = || self.newest(name.strip_suffix("-latest").unwrap_or(name));
        self.exactly(name).or_else(undated_one).or_else(newest)
    }

    fn exactly(&self, name: &str) -> Option<(&str, &ModelPrice)> {
        let (name, price) = self.models.get_key_value(name)?;
        Some((name, price))
    }

    /// Of the dated ones of this name the last.
    fn newest(&self, name: &str) -> Option<(&str, &ModelPrice)> {
        let from = format!("{name}-");
        let named = self
            .models
            .range(from.clone()..)
            .take_while(|(found, _)| found.starts_with(&from));
        let dated = named.filter(|(found, _)| undated(found) == Some(name));
        dated.last().map(|(found, price)| (found.as_str(), price))
    }
}

impl ModelPrice {
    fn is_of(&self, prefix: &str) -> bool {
        let known = PREFIXES.iter().find(|(other, _)| *other == prefix);
        let provider = known.map_or(prefix, |(_, provider)| *provider);
        self.provider.as_deref() == Some(provider)
    }
}

impl Overrides {
    /// From JSON: an object of models, each as in the table.
    ///
    /// # Errors
    ///
    /// See [`NotATable`].
    pub fn parse(text: &str) -> Result<Self, NotATable> {
        Ok(Self(checked(serde_json::from_str(text)?)?))
    }

    /// The price of a model, by the very name.
    pub fn get(&self, model: &str) -> Option<&ModelPrice> {
        self.0.get(model)
    }
}

fn checked(
    models: BTreeMap<String, ModelPrice>,
) -> Result<BTreeMap<String, ModelPrice>, NotATable> {
    if models.len() > PRICED_MODELS {
        return Err(NotATable::TooMany(models.len()));
    }
    for (name, price) in &models {
        if !price
            .tiers
            .is_sorted_by(|one, next| one.above_tokens < next.above_tokens)
        {
            return Err(NotATable::Tiers(name.clone()));
        }
    }
    Ok(models)
}

/// The name without `-YYYYMMDD` or `-YYYY-MM-DD`; nothing if it has no date.
fn undated(name: &str) -> Option<&str> {
    let before = |end: usize| {
        let (bare, date) = name.split_at_checked(name.len().checked_sub(end)?)?;
        Some((bare, date.strip_prefix('-')?))
    };
    let compact = before("-YYYYMMDD".len())
        .filter(|(_, date)| date.bytes().all(|byte| byte.is_ascii_digit()));
    let extended = || before("-YYYY-MM-DD".len()).filter(|(_, date)| date.as_bytes()[4] == b'-');
    let (bare, date) = compact.or_else(extended)?;
    // Either form (ISO 8601).
    let date: Date = date.parse().ok()?;
    (2000..2100).contains(&date.year()).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: &PriceTable, model: &str) -> String {
        match table.look_up(model) {
            Priced::Override(_) => "override".to_owned(),
            Priced::Table { name, .. } => name.to_owned(),
            Priced::Unknown => "unknown".to_owned(),
        }
    }

    fn small() -> PriceTable {
        let models = [
            "claude-sonnet-9",
            "claude-haiku-9-20290101",
            "claude-haiku-9-20290601",
            "gpt-9",
            "gpt-9-mini",
            "grok-9-2029-01-01",
        ];
        let models: Vec<_> = models
            .iter()
            .map(|model| {
                format!(
                    r#""{model}":{{"provider":"{}","input":"1","output":"2"}}"#,
                    if model.starts_with("gpt") {
                        "openai"
                    } else {
                        "anthropic"
                    }
                )
            })
            .collect();
        let head = r#"{"source":"a","licence":"MIT","date":"2026-12-01","unit":"b"}"#;
        PriceTable::parse(&format!(
            r#"{{"head":{head},"models":{{{}}}}}"#,
            models.join(",")
        ))
        .unwrap()
    }

    #[test]
    fn a_model_is_found_with_and_without_its_date_and_its_provider() {
        let table = small();
        for (asked, found) in [
            ("claude-sonnet-9", "claude-sonnet-9"),
            ("claude-sonnet-9-20991231", "claude-sonnet-9"),
            ("claude-sonnet-9-latest", "unknown"),
            ("claude-haiku-9", "claude-haiku-9-20290601"),
            ("claude-haiku-9-latest", "claude-haiku-9-20290601"),
            ("claude-haiku-9-20290101", "claude-haiku-9-20290101"),
            ("gpt-9-2029-03-04", "gpt-9"),
            ("GPT-9", "gpt-9"),
            ("openai/gpt-9", "gpt-9"),
            ("anthropic/gpt-9", "unknown"),
            ("grok-9", "grok-9-2029-01-01"),
            ("gpt", "unknown"),
            ("gpt-9-nano", "unknown"),
            ("gpt-9-99999999", "unknown"),
            ("", "unknown"),
            ("/", "unknown"),
            ("é-20290101", "unknown"),
            ("2029-01-01", "unknown"),
        ] {
            assert_eq!(name(&table, asked), found, "{asked}");
        }
    }

    #[test]
    fn an_override_comes_first_also_for_a_model_that_nobody_knows() {
        let overrides = Overrides::parse(
            r#"{"gpt-9":{"input":"0.5","output":"1"},"ours":{"input":"0","output":"0"}}"#,
        )
        .unwrap();
        let table = small().with(overrides);
        assert_eq!(name(&table, "gpt-9"), "override");
        assert_eq!(name(&table, "ours"), "override");
        assert_eq!(name(&table, "gpt-9-mini"), "gpt-9-mini");
    }

    #[test]
    fn a_wrong_table_is_refused() {
        for text in [
            r#"{"a":{"input":3,"output":"1"}}"#,
            r#"{"a":{"input":"3"}}"#,
            r#"{"a":{"input":"3","output":"1","tiers":[{"above_tokens":2,"input":"3","output":"1"},{"above_tokens":1,"input":"3","output":"1"}]}}"#,
        ] {
            assert!(Overrides::parse(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn the_table_of_this_version_has_what_people_ask_for() {
        let table = PriceTable::built_in();
        assert!(table.models().count() > 200);
        assert!(table.head().source.contains("litellm"));
        for (asked, provider) in [
            ("claude-opus-4-5", "anthropic"),
            ("claude-sonnet-4-5-20250929", "anthropic"),
            ("gpt-5", "openai"),
            ("gpt-4.1", "openai"),
            ("gemini/gemini-2.5-pro", "google"),
            ("gemini-2.5-pro", "google"),
            ("deepseek-chat", "deepseek"),
            ("mistral/codestral-2508", "mistral"),
            ("grok-4.5", "xai"),
        ] {
            let Priced::Table { price, .. } = table.look_up(asked) else {
                panic!("{asked} is unknown");
            };
            assert_eq!(price.provider.as_deref(), Some(provider), "{asked}");
        }
        let cheapest_unit = |(name, price): (&str, &ModelPrice)| {
            assert!(
                price.rates.output >= price.rates.input || price.rates.output.pico_dollars() == 0,
                "{name}: output is cheaper than input"
            );
        };
        table.models().for_each(cheapest_unit);
    }
}
