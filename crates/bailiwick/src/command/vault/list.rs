//! `bailiwick vault list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the vaults of a server, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault list
  bailiwick vault list --include-archived -o json")]
pub(crate) struct Arguments {
    /// Those that were archived, too.
    #[arg(long)]
    include_archived: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let include_archived = arguments.include_archived.to_string();
    let query = [("include_archived", include_archived.as_str())];
    print_list(arguments.output, &client.all(&VAULTS, &query)?, COLUMNS)?;
    Ok(Exit::Done.into())
}
