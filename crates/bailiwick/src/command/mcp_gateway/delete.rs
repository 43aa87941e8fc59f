//! `bailiwick mcp-gateway delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, MCP_GATEWAYS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete an MCP gateway, with its virtual keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-gateway delete dev")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "GATEWAY")]
    gateway: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MCP_GATEWAYS, &arguments.gateway)?;
    client.send(Method::DELETE, &["api", "mcp-gateways", &id], None, None)?;
    Ok(Exit::Done.into())
}
