//! `bailiwick knowledge-connector get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, KNOWLEDGE_CONNECTORS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show a knowledge connector, and how far its sync is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge-connector get handbook")]
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
    let found = client.get(&["api", "knowledge-connectors", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
