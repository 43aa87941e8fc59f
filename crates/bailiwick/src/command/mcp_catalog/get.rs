//! `bailiwick mcp-catalog get`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, MCP_CATALOG, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show an MCP server of the catalog.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog get docs")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENTRY")]
    entry: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MCP_CATALOG, &arguments.entry)?;
    let found = client.get(&["api", "mcp-catalog", &id], &[])?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
