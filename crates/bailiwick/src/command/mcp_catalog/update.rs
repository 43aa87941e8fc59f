//! `bailiwick mcp-catalog update`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use super::server::Server;
use crate::bad_input::BadInput;
use crate::client::{
    AnswerForm, Client, ENVIRONMENTS, MCP_CATALOG, ServerArguments, VAULTS, print_one,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Change an MCP server of the catalog, or move it to another environment: what is not named stays.
///
/// Gateways that name it stand in the way of a move.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog update docs --url https://mcp.example.com/v2
  bailiwick mcp-catalog update docs --environment staging --detach")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENTRY")]
    entry: String,
    /// What gateways shall call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it belongs from now on, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    of: Server,
    /// The vault whose credential for the URL is used from now on, by name or id.
    #[arg(long, value_name = "VAULT", conflicts_with = "no_vault")]
    vault: Option<String>,
    /// Use no credential any more.
    #[arg(long)]
    no_vault: bool,
    /// Let go of what stands in the way of a move.
    #[arg(long)]
    detach: bool,
    /// Only if it is at this version.
    #[arg(long, value_name = "VERSION")]
    if_version: Option<i64>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let mut body = Map::new();
    if let Some(name) = &arguments.name {
        body.insert("name".to_owned(), json!(name));
    }
    if let Some(environment) = &arguments.environment {
        let id = client.id_of(&ENVIRONMENTS, environment)?;
        body.insert("environment_id".to_owned(), json!(id));
    }
    arguments.of.put(&client, &mut body)?;
    if let Some(vault) = &arguments.vault {
        body.insert("vault_id".to_owned(), json!(client.id_of(&VAULTS, vault)?));
    }
    if arguments.no_vault {
        body.insert("vault_id".to_owned(), Value::Null);
    }
    if body.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    let id = client.id_of(&MCP_CATALOG, &arguments.entry)?;
    let query: &[_] = match arguments.detach {
        true => &[("on_conflict", "detach")],
        false => &[],
    };
    let changed = client.send_with(
        Method::PATCH,
        &["api", "mcp-catalog", &id],
        query,
        Some(&Value::Object(body)),
        arguments.if_version,
    )?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}
