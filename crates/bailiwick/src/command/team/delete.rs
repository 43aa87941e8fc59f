//! `bailiwick team delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ServerArguments, TEAMS};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a team, and the rights that it was given.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick team delete releases")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&TEAMS, &arguments.team)?;
    client.send(Method::DELETE, &["api", "teams", &id], None, None)?;
    Ok(Exit::Done.into())
}
