//! `bailiwick vault credential get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show a credential, without its secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault credential get payments vcrd_01JQ8ZK5T6W3R9X2 -o yaml")]
pub(crate) struct Arguments {
    /// The vault, by name or id.
    #[arg(value_name = "VAULT")]
    vault: String,
    /// The credential's id, which `bailiwick vault credential list` shows.
    #[arg(value_name = "CREDENTIAL")]
    credential: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let vault = client.id_of(&VAULTS, &arguments.vault)?;
    let path = ["v1", "vaults", &vault, "credentials", &arguments.credential];
    print_one(arguments.output, &client.get(&path, &[])?, COLUMNS)?;
    Ok(Exit::Done.into())
}
