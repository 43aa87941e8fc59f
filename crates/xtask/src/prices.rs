//! The price table of the crate `llm`, out of the table of the Python package `litellm`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::workspace;

/// Providers there whose chat models are taken, and what they are called here.
const PROVIDERS: [(&str, &str); 7] = [
    ("anthropic", "anthropic"),
    ("openai", "openai"),
    ("gemini", "google"),
    ("mistral", "mistral"),
    ("vertex_ai-llama_models", "meta"),
    ("deepseek", "deepseek"),
    ("xai", "xai"),
];
/// Rates here, and the fields there.
const RATES: [(&str, &str); 5] = [
    ("input", "input_cost_per_token"),
    ("output", "output_cost_per_token"),
    ("cache_read", "cache_read_input_token_cost"),
    ("cache_write_5m", "cache_creation_input_token_cost"),
    (
        "cache_write_1h",
        "cache_creation_input_token_cost_above_1hr",
    ),
];

/// Writes `crates/llm/data/prices.json` from `model_prices_and_context_window_backup.json` of an unpacked wheel of `litellm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// That file.
    file: PathBuf,
    /// The version of the package.
    #[arg(long)]
    version: String,
    /// The day that it is of, as YYYY-MM-DD.
    #[arg(long)]
    date: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let text = fs::read_to_string(&args.file)
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    let theirs: BTreeMap<String, Value> = serde_json::from_str(&text)?;
    let models = models(&theirs)?;
    let head = json!({
        "source": format!("litellm {} (PyPI), model_prices_and_context_window_backup.json, trimmed", args.version),
        "licence": "MIT, Copyright (c) 2023 Berri AI",
        "date": args.date,
        "unit": "US dollars for a million tokens",
    });
    // One model a line, so that a change of a price is a change of a line.
    let lines: Vec<_> = models
        .iter()
        .map(|(name, model)| format!("    {}: {model}", json!(name)))
        .collect();
    let written = format!(
        "{{\n  \"head\": {head},\n  \"models\": {{\n{}\n  }}\n}}\n",
        lines.join(",\n")
    );
    let file = workspace::root().join("crates/llm/data/prices.json");
    eprintln!("{} models", models.len());
    fs::write(&file, written).with_context(|| format!("cannot write {}", file.display()))
}

fn models(theirs: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>> {
    let mut models = BTreeMap::new();
    for (name, theirs) in theirs {
        let provider = PROVIDERS
            .iter()
            .find(|(there, _)| theirs["litellm_provider"] == *there);
        let is_chat = theirs["mode"] == "chat" || theirs["mode"] == "responses";
        // The names of fine-tuned models are their owners'.
        let Some((_, provider)) = provider.filter(|_| is_chat && !name.starts_with("ft:")) else {
            continue;
        };
        let bare = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let Some(model) = model(provider, theirs).with_context(|| name.clone())? else {
            continue;
        };
        // The same model with and without its provider in front: the latter is the provider's own name for it.
        if name.contains('/') {
            models.entry(bare).or_insert(model);
        } else {
            models.insert(bare, model);
        }
    }
    Ok(models)
}

/// Nothing if it has no price.
fn model(provider: &str, theirs: &Value) -> Result<Option<Value>> {
    let Some(mut model) = rates(theirs, "", "", None)? else {
        return Ok(None);
    };
    let base = model.clone();
    model.insert("provider".to_owned(), json!(provider));
    for (ours, field) in [
        ("context_tokens", "max_input_tokens"),
        ("output_tokens", "max_output_tokens"),
    ] {
        if let Some(tokens) = theirs[field].as_u64() {
            model.insert(ours.to_owned(), json!(tokens));
        }
    }
    if let Some(batch) = rates(theirs, "", "_batches", Some(&base))? {
        model.insert("batch".to_owned(), Value::Object(batch));
    }
    let tiers = tiers(theirs, &base)?;
    if !tiers.is_empty() {
        model.insert("tiers".to_owned(), Value::Array(tiers));
    }
    Ok(Some(Value::Object(model)))
}

fn tiers(theirs: &Value, base: &Map<String, Value>) -> Result<Vec<Value>> {
    let mut tiers = Vec::new();
    for thousands in 1..10_000_u64 {
        let above = format!("_above_{thousands}k_tokens");
        let Some(mut tier) = rates(theirs, &above, "", Some(base))? else {
            continue;
        };
        if let Some(batch) = rates(theirs, &above, "_batches", Some(&tier))? {
            tier.insert("batch".to_owned(), Value::Object(batch));
        }
        tier.insert("above_tokens".to_owned(), json!(thousands * 1000));
        tiers.push(Value::Object(tier));
    }
    Ok(tiers)
}

/// The rates of fields with these ends; nothing if input or output has none. What is missing beside them and is there in `usual` is written as the
/// larger of that and the input's, so that nothing is counted too low.
fn rates(
    theirs: &Value,
    above: &str,
    service: &str,
    usual: Option<&Map<String, Value>>,
) -> Result<Option<Map<String, Value>>> {
    let mut rates = Map::new();
    for (ours, field) in RATES {
        if let Some(dollars) = theirs[format!("{field}{above}{service}")].as_f64() {
            rates.insert(ours.to_owned(), json!(per_million(dollars)?));
        }
    }
    let Some(input) = rates
        .get("input")
        .cloned()
        .filter(|_| rates.contains_key("output"))
    else {
        return Ok(None);
    };
    for (ours, _) in RATES {
        if let Some(usual) = usual.and_then(|usual| usual.get(ours)) {
            rates.entry(ours).or_insert_with(|| dearer(usual, &input));
        }
    }
    Ok(Some(rates))
}

fn dearer(one: &Value, other: &Value) -> Value {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    if number(one) < number(other) {
        other.clone()
    } else {
        one.clone()
    }
}

/// Dollars for a token, in dollars for a million, exactly: the shortest digits of the number are those in the file.
fn per_million(dollars: f64) -> Result<String> {
    ensure!(
        dollars.is_finite() && dollars >= 0.0,
        "{dollars} is no price"
    );
    let text = format!("{dollars:e}");
    let (digits, exponent) = text.split_once('e').context("a number")?;
    let exponent: i32 = exponent.parse()?;
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    // In picodollars for a token, which are millionths of a dollar for a million.
    let zeros = exponent + 12 - i32::try_from(decimals.len())?;
    let zeros = u32::try_from(zeros).with_context(|| format!("{dollars} has too many digits"))?;
    let pico: i64 = format!("{whole}{decimals}").parse::<i64>()? * 10_i64.pow(zeros);
    let text = format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
    Ok(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact() {
        for (dollars, written) in [
            (3e-6, "3"),
            (3.75e-6, "3.75"),
            (1.25e-8, "0.0125"),
            (0.0, "0"),
            (0.0006, "600"),
            (1e-12, "0.000001"),
        ] {
            assert_eq!(per_million(dollars).unwrap(), written);
        }
        assert!(per_million(1.5e-13).is_err());
        assert!(per_million(-1.0).is_err());
    }

    #[test]
    fn what_a_tier_leaves_out_is_never_cheaper_than_it_can_be() {
        let theirs = json!({"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
            "cache_read_input_token_cost": 1e-7, "input_cost_per_token_above_200k_tokens": 2e-6, "output_cost_per_token_above_200k_tokens": 4e-6});
        let model = model("google", &theirs).unwrap().unwrap();
        assert_eq!(
            model["tiers"][0],
            json!({"above_tokens": 200_000, "input": "2", "output": "4", "cache_read": "2"})
        );
    }
}
