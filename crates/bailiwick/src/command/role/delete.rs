//! `bailiwick role delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ROLES, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a role that nobody has.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick role delete auditor")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ROLE")]
    role: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ROLES, &arguments.role)?;
    client.send(Method::DELETE, &["api", "roles", &id], None, None)?;
    Ok(Exit::Done.into())
}
