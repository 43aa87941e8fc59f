//! `bailiwick team list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, TEAMS, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the teams of the organization.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick team list
  bailiwick team list -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    print_list(arguments.output, &client.all(&TEAMS, &[])?, COLUMNS)?;
    Ok(Exit::Done.into())
}
