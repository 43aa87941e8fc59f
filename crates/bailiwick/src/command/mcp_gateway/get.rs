//! `bailiwick mcp-gateway get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, MCP_GATEWAYS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show an MCP gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-gateway get dev")]
pub(crate) struct Arguments {
    /// Its name or its id.
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
    let found = client.get(&["api", "mcp-gateways", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
