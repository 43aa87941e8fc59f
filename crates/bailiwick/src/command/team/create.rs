//! `bailiwick team create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, TEAMS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a team.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick team create releases")]
pub(crate) struct Arguments {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let body = json!({"name": arguments.name});
    let made = client.send(Method::POST, TEAMS.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
