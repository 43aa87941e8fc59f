//! `bailiwick mcp-catalog import`.

mod file;

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_model::limits::MCP_IMPORT_BYTES;
use reqwest::Method;
use serde_json::{Value, json};

use super::COLUMNS;
use crate::bad_input::BadInput;
use crate::client::{
    AnswerForm, Client, ENVIRONMENTS, MCP_CATALOG, ServerArguments, VAULTS, name_key, print_list,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::{input, output};
pub(crate) use file::NotImported;

/// Enter the MCP servers of an editor's mcp.json into the catalog of an environment.
///
/// The file has `mcpServers` or `servers`, as editors write it. Headers and variables that look like secrets are refused: put them into a vault, whose credential is used instead. Servers whose name the environment has already stay as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-catalog import .vscode/mcp.json --environment payments-dev --dry-run
  bailiwick mcp-catalog import mcp.json --environment payments-dev --vault ci")]
pub(crate) struct Arguments {
    /// The file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where they belong, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// The vault whose credentials are used for their URLs, by name or id.
    #[arg(long, value_name = "VAULT")]
    vault: Option<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let text = input::text(&arguments.file, MCP_IMPORT_BYTES)?;
    let servers = file::servers(&input::name(&arguments.file), &text).map_err(BadInput::from)?;
    let client = Client::new(&arguments.server, host)?;
    let environment = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let vault = arguments.vault.as_deref();
    let vault = vault.map(|text| client.id_of(&VAULTS, text)).transpose()?;
    let known = client.all(&MCP_CATALOG, &[("environment_id", &environment)])?;
    let is_known = |name: &str| {
        let wanted = name_key(name);
        let is_it = |one: &Value| {
            one["name"]
                .as_str()
                .is_some_and(|it| name_key(it) == wanted)
        };
        known.iter().any(is_it)
    };
    let mut made = Vec::new();
    for mut body in servers {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        if is_known(&name) {
            let name = output::printable(&name);
            output::print_to_stderr(&format!("{name} is there already, and stays as it is\n"));
            continue;
        }
        body["environment_id"] = json!(environment);
        if let (Some(vault), true) = (&vault, body.get("url").is_some()) {
            body["vault_id"] = json!(vault);
        }
        made.push(if arguments.dry_run {
            body["type"] = json!(if body.get("url").is_some() {
                "remote"
            } else {
                "self_hosted"
            });
            body
        } else {
            client.send(Method::POST, MCP_CATALOG.path, Some(&body), None)?
        });
    }
    if arguments.dry_run {
        output::print_to_stderr("nothing was changed: these would be entered\n");
    }
    print_list(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
