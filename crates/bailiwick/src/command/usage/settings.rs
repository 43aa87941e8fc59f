//! `bailiwick usage settings`.

use std::process::ExitCode;

use super::SETTINGS;
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show where days begin, and prices that are not the table's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick usage settings -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let found = client.get(&["api", "spend-settings"], &[])?;
    print_one(arguments.output, &found, SETTINGS)?;
    Ok(Exit::Done.into())
}
