//! `bailiwick environment list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the environments of a server, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment list
  bailiwick environment list --include-archived -o json")]
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
    let all = client.all(&ENVIRONMENTS, &query)?;
    print_list(arguments.output, &all, COLUMNS)?;
    Ok(Exit::Done.into())
}
