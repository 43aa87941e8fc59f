//! `bailiwick vault credential list`.

use std::process::ExitCode;

use super::{COLUMNS, PAGE};
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List the credentials of a vault, the newest first, without their secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault credential list payments
  bailiwick vault credential list payments --include-archived -o json")]
pub(crate) struct Arguments {
    /// The vault, by name or id.
    #[arg(value_name = "VAULT")]
    vault: String,
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
    let vault = client.id_of(&VAULTS, &arguments.vault)?;
    let include_archived = arguments.include_archived.to_string();
    let query = [("include_archived", include_archived.as_str())];
    let all = client.list(&["v1", "vaults", &vault, "credentials"], PAGE, &query)?;
    print_list(arguments.output, &all, COLUMNS)?;
    Ok(Exit::Done.into())
}
