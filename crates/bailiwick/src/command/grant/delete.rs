//! `bailiwick grant delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ENVIRONMENTS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Take back a right to deploy to an environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick grant delete production grant_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// The environment, by name or id.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    /// Its id, which `bailiwick grant list` shows.
    #[arg(value_name = "GRANT")]
    grant: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let path = ["api", "environments", &id, "grants", &arguments.grant];
    client.send(Method::DELETE, &path, None, None)?;
    Ok(Exit::Done.into())
}
