//! `bailiwick environment get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show an environment of a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment get payments-dev -o yaml
  bailiwick environment get env_01JQ8ZK5T6W3R9X2 -o json")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let found = client.get(&["api", "environments", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
