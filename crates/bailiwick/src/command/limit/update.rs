//! `bailiwick limit update`.

use std::process::ExitCode;

use reqwest::Method;

use super::COLUMNS;
use super::values::LimitValues;
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Replace a limit: requests that are made from then on go by it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick limit update lim_1ChGqExyZXj8gBdypLbMAf --environment payments-dev --max-cost 50 --window 24h")]
pub(crate) struct Arguments {
    /// Its id.
    #[arg(value_name = "LIMIT")]
    limit: String,
    #[command(flatten)]
    values: LimitValues,
    /// Only if it is at this version.
    #[arg(long, value_name = "VERSION")]
    if_version: Option<i64>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let path = ["api", "limits", &arguments.limit];
    let mut body = arguments.values.body(&client)?;
    let before = client.get(&path, &[])?;
    // Which `apply` made it stays, and its name if no other one is given.
    body["apply_set"] = before["apply_set"].clone();
    if body["name"].is_null() {
        body["name"] = before["name"].clone();
    }
    let changed = client.send(Method::PUT, &path, Some(&body), arguments.if_version)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}
