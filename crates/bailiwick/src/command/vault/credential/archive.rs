//! `bailiwick vault credential archive`.

use std::process::ExitCode;

use reqwest::Method;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Archive a credential: its secret is erased, and another one may be for the same.
///
/// There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault credential archive payments vcrd_01JQ8ZK5T6W3R9X2")]
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
    let credential = &arguments.credential;
    let path = ["v1", "vaults", &vault, "credentials", credential, "archive"];
    let archived = client.send(Method::POST, &path, None, None)?;
    print_one(arguments.output, &archived, COLUMNS)?;
    Ok(Exit::Done.into())
}
