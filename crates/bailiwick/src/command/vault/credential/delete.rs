//! `bailiwick vault credential delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ServerArguments, VAULTS};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a credential.
///
/// There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault credential delete payments vcrd_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// The vault, by name or id.
    #[arg(value_name = "VAULT")]
    vault: String,
    /// The credential's id, which `bailiwick vault credential list` shows.
    #[arg(value_name = "CREDENTIAL")]
    credential: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let vault = client.id_of(&VAULTS, &arguments.vault)?;
    let path = ["v1", "vaults", &vault, "credentials", &arguments.credential];
    client.send(Method::DELETE, &path, None, None)?;
    Ok(Exit::Done.into())
}
