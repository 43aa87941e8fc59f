//! `bailiwick knowledge-connector cancel`.

use std::process::ExitCode;

use reqwest::Method;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, KNOWLEDGE_CONNECTORS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// End the sync of a knowledge connector, if one runs; what it has read stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge-connector cancel handbook")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "CONNECTOR")]
    connector: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&KNOWLEDGE_CONNECTORS, &arguments.connector)?;
    let path = ["api", "knowledge-connectors", &id, "sync"];
    let found = client.send(Method::DELETE, &path, None, None)?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
