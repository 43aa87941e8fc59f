//! `bailiwick mcp-catalog logs`.

use std::process::ExitCode;

use crate::client::{Client, MCP_CATALOG, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// Show how a self-hosted MCP server is, and the last of its log.
///
/// The log has what the server printed besides its messages, and in brackets what happened to it: starts, ends, and what its environment denied it. Where several servers of Bailiwick share a database, it is that of the one that answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog logs files
  bailiwick mcp-catalog logs files -o json")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENTRY")]
    entry: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = LogForm::Text)]
    output: LogForm,
}

/// In which form a log is shown.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogForm {
    /// Its lines, and how the server is on standard error.
    Text,
    /// As the server answers.
    Json,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MCP_CATALOG, &arguments.entry)?;
    let state = client.get(&["api", "mcp-catalog", &id, "state"], &[])?;
    match arguments.output {
        LogForm::Json => output::print(&format!("{state:#}\n"))?,
        LogForm::Text => {
            let condition = state["condition"].as_str().unwrap_or_default();
            let told = match state["failures"].as_u64().unwrap_or_default() {
                0 => condition.to_owned(),
                failures => format!("{condition}, after {failures} failures in a row"),
            };
            output::print_to_stderr(&format!("{}\n", output::printable(&told)));
            let lines = state["log"].as_array().into_iter().flatten();
            for line in lines.filter_map(|line| line.as_str()) {
                output::print(&format!("{}\n", output::printable(line)))?;
            }
        }
    }
    Ok(Exit::Done.into())
}
