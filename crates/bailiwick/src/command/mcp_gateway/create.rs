//! `bailiwick mcp-gateway create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use super::servers::entries;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, MCP_GATEWAYS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make an MCP gateway in an environment.
///
/// MCP clients reach it at /mcp/NAME, with an API key of a member who may use gateways or with a virtual key of the gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-gateway create dev --environment payments-dev --all-tools
  bailiwick mcp-gateway create dev --environment payments-dev --entry docs --entry tickets:search")]
pub(crate) struct Arguments {
    /// What people shall call it.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it belongs, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// An MCP server of the catalog, or one tool of it; may be given many times.
    #[arg(
        long = "entry",
        value_name = "ENTRY[:TOOL]",
        conflicts_with = "all_tools"
    )]
    entries: Vec<String>,
    /// All MCP servers of the environment, also those that come later.
    #[arg(long)]
    all_tools: bool,
    /// Leave the tools of its one server their own names.
    #[arg(long)]
    own_names: bool,
    /// What clients show people [default: its name].
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// What models are told of it.
    #[arg(long, value_name = "TEXT")]
    instructions: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let environment = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let body = json!({
        "name": arguments.name,
        "entries": entries(&client, &environment, &arguments.entries)?,
        "environment_id": environment,
        "access": if arguments.all_tools { "all_tools" } else { "explicit" },
        "naming": if arguments.own_names { "own" } else { "joined" },
        "title": arguments.title,
        "instructions": arguments.instructions,
    });
    let made = client.send(Method::POST, MCP_GATEWAYS.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
