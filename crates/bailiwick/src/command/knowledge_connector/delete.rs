//! `bailiwick knowledge-connector delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, KNOWLEDGE_CONNECTORS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a knowledge connector, with all that it knows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge-connector delete handbook")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "CONNECTOR")]
    connector: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&KNOWLEDGE_CONNECTORS, &arguments.connector)?;
    client.send(
        Method::DELETE,
        &["api", "knowledge-connectors", &id],
        None,
        None,
    )?;
    Ok(Exit::Done.into())
}
