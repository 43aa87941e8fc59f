//! `bailiwick vault create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::value;

/// Make a vault on a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault create --name payments
  bailiwick vault create --name payments --metadata team=payments -o json")]
pub(crate) struct Arguments {
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// A pair of metadata; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::pair)]
    metadata: Vec<(String, String)>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let pair = |(key, value): &(String, String)| (key.clone(), json!(value));
    let metadata: Map<_, _> = arguments.metadata.iter().map(pair).collect();
    let body = json!({"display_name": arguments.name, "metadata": Value::Object(metadata)});
    let client = Client::new(&arguments.server, host)?;
    let made = client.send(Method::POST, VAULTS.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
