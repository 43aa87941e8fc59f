//! `bailiwick mcp-catalog delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, MCP_CATALOG, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Take an MCP server out of the catalog, and out of the gateways that name it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog delete docs")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENTRY")]
    entry: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MCP_CATALOG, &arguments.entry)?;
    client.send(Method::DELETE, &["api", "mcp-catalog", &id], None, None)?;
    Ok(Exit::Done.into())
}
