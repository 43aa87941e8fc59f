//! `bailiwick vault archive`.

use std::process::ExitCode;

use reqwest::Method;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Archive a vault on a server, with its credentials, whose secrets are erased.
///
/// There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault archive payments")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "VAULT")]
    vault: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&VAULTS, &arguments.vault)?;
    let archived = client.send(Method::POST, &["v1", "vaults", &id, "archive"], None, None)?;
    print_one(arguments.output, &archived, COLUMNS)?;
    Ok(Exit::Done.into())
}
