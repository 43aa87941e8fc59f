//! `bailiwick environment delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ENVIRONMENTS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete an environment of a server.
///
/// Nothing may refer to it. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment delete payments-dev")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    client.send(Method::DELETE, &["api", "environments", &id], None, None)?;
    Ok(Exit::Done.into())
}
