//! `bailiwick mcp-gateway key create`.

use std::process::ExitCode;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::client::{AnswerForm, Client, MCP_GATEWAYS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a virtual key of an MCP gateway, and print it, this once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick mcp-gateway key create dev --name ci
  bailiwick mcp-gateway key create dev --name ci --expires-at 2027-01-01T00:00:00Z -o json")]
pub(crate) struct Arguments {
    /// The gateway's name or its id.
    #[arg(value_name = "GATEWAY")]
    gateway: String,
    /// What it is for.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// From when on it is not taken, such as 2027-01-01T00:00:00Z [default: never].
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MCP_GATEWAYS, &arguments.gateway)?;
    let body = json!({"name": arguments.name, "expires_at": arguments.expires_at});
    let path = ["api", "mcp-gateways", &id, "keys"];
    let made = client.send(Method::POST, &path, Some(&body), None)?;
    let columns = [("ID", "/id"), ("KEY", "/key"), ("EXPIRES", "/expires_at")];
    print_one(arguments.output, &made, &columns)?;
    Ok(Exit::Done.into())
}
