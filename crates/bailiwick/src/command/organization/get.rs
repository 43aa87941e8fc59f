//! `bailiwick organization get`.

use std::process::ExitCode;

use super::{COLUMNS, PATH};
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show the organization: its default policy, and what it denies everywhere.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick organization get
  bailiwick organization get -o yaml")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let found = client.get(PATH, &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
