//! `bailiwick usage configure`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::SETTINGS;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Say where the organization's days begin, and what a model costs.
///
/// What was spent keeps its cost.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick usage configure --time-zone Europe/Berlin
  bailiwick usage configure --price qwen3-32b=0.10,0.40 --price fast=0.10,0.40
  bailiwick usage configure --no-price fast")]
pub(crate) struct Arguments {
    /// A name of the IANA time zone database.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What a million tokens of input and of output cost in dollars; may be given many times.
    #[arg(long = "price", value_name = "MODEL=INPUT,OUTPUT", value_parser = price)]
    prices: Vec<(String, Value)>,
    /// Let a model cost what the table says; may be given many times.
    #[arg(long = "no-price", value_name = "MODEL")]
    no_prices: Vec<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

fn price(text: &str) -> Result<(String, Value), String> {
    let parts = text.rsplit_once('=').and_then(|(model, rates)| {
        let (input, output) = rates.split_once(',')?;
        Some((model, input, output))
    });
    match parts {
        Some((model, input, output)) if !model.is_empty() => {
            let rates = json!({"input": input.trim(), "output": output.trim()});
            Ok((model.to_owned(), rates))
        }
        Some(_) | None => Err("write MODEL=INPUT,OUTPUT, such as qwen3-32b=0.10,0.40".to_owned()),
    }
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let mut body = Map::new();
    if let Some(zone) = &arguments.time_zone {
        body.insert("time_zone".to_owned(), json!(zone));
    }
    if !arguments.prices.is_empty() || !arguments.no_prices.is_empty() {
        let before = client.get(&["api", "spend-settings"], &[])?;
        let mut prices = before["model_prices"].clone();
        for (model, rates) in &arguments.prices {
            prices[model] = rates.clone();
        }
        if let Some(prices) = prices.as_object_mut() {
            prices.retain(|model, _| !arguments.no_prices.contains(model));
        }
        body.insert("model_prices".to_owned(), prices);
    }
    if body.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    let path = ["api", "spend-settings"];
    let changed = client.send(Method::PATCH, &path, Some(&Value::Object(body)), None)?;
    print_one(arguments.output, &changed, SETTINGS)?;
    Ok(Exit::Done.into())
}
