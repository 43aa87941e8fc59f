//! `bailiwick session get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, SESSIONS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show a session of a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session get sesn_01JQ8ZK5T6W3R9X2 -o yaml")]
pub(crate) struct Arguments {
    /// Its id or its title; archived ones have an id alone.
    #[arg(value_name = "SESSION")]
    session: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SESSIONS, &arguments.session)?;
    let found = client.get(&["v1", "sessions", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
