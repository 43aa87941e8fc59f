//! `bailiwick mcp-gateway key list`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, MCP_GATEWAYS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("BEGINS", "/shown"),
    ("EXPIRES", "/expires_at"),
    ("REVOKED", "/revoked_at"),
];

/// List the virtual keys of an MCP gateway, the newest first; what opens it is not shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-gateway key list dev")]
pub(crate) struct Arguments {
    /// The gateway's name or its id.
    #[arg(value_name = "GATEWAY")]
    gateway: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MCP_GATEWAYS, &arguments.gateway)?;
    let keys = client.list(&["api", "mcp-gateways", &id, "keys"], "1000", &[])?;
    print_list(arguments.output, &keys, COLUMNS)?;
    Ok(Exit::Done.into())
}
