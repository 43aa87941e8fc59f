//! `bailiwick mcp-gateway update`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use super::servers::entries;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, MCP_GATEWAYS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Change an MCP gateway, or move it to another environment: what is not named stays.
///
/// MCP servers that are elsewhere stand in the way of a move.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-gateway update dev --entry docs --entry tickets
  bailiwick mcp-gateway update dev --environment staging --detach")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "GATEWAY")]
    gateway: String,
    /// What people shall call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it belongs from now on, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// All MCP servers that it names from now on, or tools of them; may be given many times.
    #[arg(
        long = "entry",
        value_name = "ENTRY[:TOOL]",
        conflicts_with = "all_tools"
    )]
    entries: Vec<String>,
    /// All MCP servers of the environment from now on.
    #[arg(long)]
    all_tools: bool,
    /// What clients show people.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// What models are told of it.
    #[arg(long, value_name = "TEXT")]
    instructions: Option<String>,
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
    let id = client.id_of(&MCP_GATEWAYS, &arguments.gateway)?;
    let body = body(arguments, &client, &id)?;
    if body.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    let query: &[_] = match arguments.detach {
        true => &[("on_conflict", "detach")],
        false => &[],
    };
    let changed = client.send_with(
        Method::PATCH,
        &["api", "mcp-gateways", &id],
        query,
        Some(&Value::Object(body)),
        arguments.if_version,
    )?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

fn body(arguments: &Arguments, client: &Client, id: &str) -> anyhow::Result<Map<String, Value>> {
    let mut body = Map::new();
    let texts = [
        ("name", &arguments.name),
        ("title", &arguments.title),
        ("instructions", &arguments.instructions),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            body.insert(field.to_owned(), json!(text));
        }
    }
    let environment = arguments.environment.as_deref();
    let environment = environment.map(|text| client.id_of(&ENVIRONMENTS, text));
    let environment = environment.transpose()?;
    if !arguments.entries.is_empty() {
        let environment = match &environment {
            Some(id) => id.clone(),
            None => {
                let found = client.get(&["api", "mcp-gateways", id], &[])?;
                found["environment_id"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            }
        };
        let entries = entries(client, &environment, &arguments.entries)?;
        body.insert("entries".to_owned(), json!(entries));
        body.insert("access".to_owned(), json!("explicit"));
    }
    if arguments.all_tools {
        body.insert("access".to_owned(), json!("all_tools"));
    }
    if let Some(environment) = environment {
        body.insert("environment_id".to_owned(), json!(environment));
    }
    Ok(body)
}
