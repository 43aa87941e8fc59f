//! `bailiwick mcp-catalog tools`.

use std::process::ExitCode;

use crate::client::{AnswerForm, Client, Column, MCP_CATALOG, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[("NAME", "/name"), ("DESCRIPTION", "/description")];

/// List the tools that an MCP server of the catalog has.
///
/// The server is asked now, under the policy of its environment and with the credential of its vault, as a gateway would; where it cannot be asked, the answer says why.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog tools docs
  bailiwick mcp-catalog tools docs -o json")]
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
    let mut found = client.get(&["api", "mcp-catalog", &id, "tools"], &[])?;
    let tools = found["data"].take();
    let tools = tools.as_array().map(Vec::as_slice).unwrap_or_default();
    print_list(arguments.output, tools, COLUMNS)?;
    Ok(Exit::Done.into())
}
