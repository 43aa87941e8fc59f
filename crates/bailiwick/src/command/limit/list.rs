//! `bailiwick limit list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List limits, the oldest first, with how much of each is used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick limit list
  bailiwick limit list -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let limits = client.list(&["api", "limits"], "1000", &[])?;
    print_list(arguments.output, &limits, COLUMNS)?;
    Ok(Exit::Done.into())
}
