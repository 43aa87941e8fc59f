//! `bailiwick vault delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ServerArguments, VAULTS};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a vault of a server, with its credentials.
///
/// There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault delete payments")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "VAULT")]
    vault: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&VAULTS, &arguments.vault)?;
    client.send(Method::DELETE, &["v1", "vaults", &id], None, None)?;
    Ok(Exit::Done.into())
}
