//! `bailiwick environment impact`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::update::ChangeArguments;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_list, print_one};
use crate::command::impact::{COLUMNS, lines};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show what a change of an environment would open and close; nothing is written.
///
/// Takes what `bailiwick environment update` takes. -o json and -o yaml say besides what refers to the environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 nothing would be reached that is not reached now, nor the other way round; 1 something would.

Examples:
  bailiwick environment impact payments-dev -f environment.yaml
  bailiwick environment impact payments-dev --inherit-policy -o json")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    change: ChangeArguments,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let body = arguments.change.body(host)?;
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let path = ["api", "environments", &id, "impact"];
    let version = arguments.change.if_version;
    let impact = client.send(Method::POST, &path, Some(&body), version)?;
    let lines = lines(&json!(arguments.environment), &impact);
    match arguments.output {
        AnswerForm::Table => print_list(arguments.output, &lines, COLUMNS)?,
        AnswerForm::Json | AnswerForm::Yaml => print_one(arguments.output, &impact, COLUMNS)?,
    }
    Ok(if lines.is_empty() {
        Exit::Done
    } else {
        Exit::Differs
    }
    .into())
}
