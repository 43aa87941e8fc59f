//! `bailiwick mcp-catalog create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use super::server::Server;
use crate::client::{
    AnswerForm, Client, ENVIRONMENTS, MCP_CATALOG, ServerArguments, VAULTS, print_one,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Enter an MCP server into the catalog of an environment.
///
/// A remote server has to be one that the environment's egress policy lets be reached; that is asked again at each connection. One with a command runs in a sandbox of the environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog create docs --environment payments-dev --url https://mcp.example.com/mcp
  bailiwick mcp-catalog create docs --environment payments-dev --url https://mcp.example.com/mcp --vault ci
  bailiwick mcp-catalog create files --environment payments-dev --command mcp-server-filesystem --arg /workspace \\
    --package npm:@modelcontextprotocol/server-filesystem")]
pub(crate) struct Arguments {
    /// What gateways shall call it: its tools are called NAME__tool.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it belongs, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    of: Server,
    /// The vault whose credential for the URL is used, by name or id.
    #[arg(long, value_name = "VAULT", requires = "url")]
    vault: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let mut body = Map::new();
    let environment = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    body.insert("name".to_owned(), json!(arguments.name));
    body.insert("environment_id".to_owned(), json!(environment));
    arguments.of.put(&client, &mut body)?;
    if let Some(vault) = &arguments.vault {
        body.insert("vault_id".to_owned(), json!(client.id_of(&VAULTS, vault)?));
    }
    let body = Value::Object(body);
    let made = client.send(Method::POST, MCP_CATALOG.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
