//! `bailiwick usage report`.

use std::process::ExitCode;

use clap::ValueEnum as _;

use super::filter::{Filter, borrowed};
use crate::client::{AnswerForm, Client, Column, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("OF", "/of"),
    ("REQUESTS", "/requests"),
    ("INPUT", "/input_tokens"),
    ("OUTPUT", "/output_tokens"),
    ("CACHE READ", "/cache_read_tokens"),
    ("USD", "/cost_usd"),
    ("ESTIMATED", "/estimated"),
];

/// Sums of what was used, the dearest first, or day after day.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick usage report
  bailiwick usage report --by user --environment production --from 2026-12-01T00:00:00Z
  bailiwick usage report --by day --from 2026-12-01T00:00:00Z -o json")]
pub(crate) struct Arguments {
    /// What has something in common.
    #[arg(long, value_enum, default_value_t = By::Model)]
    by: By,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    Environment,
    Agent,
    User,
    Model,
    LlmProxy,
    Key,
    Day,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let mut query = arguments.filter.query(&client)?;
    let by = arguments.by.to_possible_value();
    let by = by.map(|value| value.get_name().to_owned());
    query.push(("by", by.unwrap_or_default()));
    let found = client.get(&["api", "usage"], &borrowed(&query))?;
    let sums = found["data"].as_array().cloned().unwrap_or_default();
    print_list(arguments.output, &sums, COLUMNS)?;
    Ok(Exit::Done.into())
}
