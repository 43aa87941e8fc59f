//! `bailiwick mcp-gateway key revoke`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, MCP_GATEWAYS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Revoke a virtual key: it does not open the gateway any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-gateway key revoke dev key_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// The gateway's name or its id.
    #[arg(value_name = "GATEWAY")]
    gateway: String,
    /// The key's id, which `bailiwick mcp-gateway key list` shows.
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MCP_GATEWAYS, &arguments.gateway)?;
    let path = ["api", "mcp-gateways", &id, "keys", &arguments.key];
    client.send(Method::DELETE, &path, None, None)?;
    Ok(Exit::Done.into())
}
