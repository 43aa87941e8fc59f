//! `bailiwick usage records`.

use std::process::ExitCode;

use super::filter::{Filter, borrowed};
use crate::client::{AnswerForm, Client, Column, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("AT", "/at"),
    ("ENVIRONMENT", "/environment_id"),
    ("MODEL", "/model"),
    ("INPUT", "/input_tokens"),
    ("OUTPUT", "/output_tokens"),
    ("USD", "/cost_usd"),
    ("KNOWN", "/kind"),
    ("STATUS", "/status"),
];

/// List what each request to a model took, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick usage records --environment payments-dev
  bailiwick usage records --from 2026-12-01T00:00:00Z -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let query = arguments.filter.query(&client)?;
    let records = client.list(&["api", "usage-records"], "1000", &borrowed(&query))?;
    print_list(arguments.output, &records, COLUMNS)?;
    Ok(Exit::Done.into())
}
