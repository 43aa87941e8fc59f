//! `bailiwick retention get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show for how many days records are kept; none is for ever.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick retention get
  bailiwick retention get -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let found = client.get(&["api", "organization", "retention"], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
