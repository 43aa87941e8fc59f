//! `bailiwick mcp-catalog list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, MCP_CATALOG, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// List MCP servers of the catalog, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog list
  bailiwick mcp-catalog list --environment payments-dev -o json")]
pub(crate) struct Arguments {
    /// Only those of this environment, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let environment = arguments.environment.as_deref();
    let environment = environment.map(|text| client.id_of(&ENVIRONMENTS, text));
    let environment = environment.transpose()?;
    let narrowed = environment.as_deref().map(|id| ("environment_id", id));
    let narrowed: Vec<_> = narrowed.into_iter().collect();
    print_list(
        arguments.output,
        &client.all(&MCP_CATALOG, &narrowed)?,
        COLUMNS,
    )?;
    Ok(Exit::Done.into())
}
