//! `bailiwick vault credential validate`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{AnswerForm, Client, Column, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("STATUS", "/status"),
    ("FAILED STEP", "/mcp_probe/method"),
    ("ANSWER", "/mcp_probe/http_response/status_code"),
    ("WHY", "/mcp_probe/detail"),
    ("REFRESH", "/refresh/status"),
    ("WHY", "/refresh/detail"),
];

/// Try whether the MCP server of an OAuth credential takes its access token.
///
/// If it does not, another one is asked for with the refresh token, stored, and tried.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault credential validate payments vcrd_01JQ8ZK5T6W3R9X2
  bailiwick vault credential validate payments vcrd_01JQ8ZK5T6W3R9X2 -o json")]
pub(crate) struct Arguments {
    /// The vault, by name or id.
    #[arg(value_name = "VAULT")]
    vault: String,
    /// The credential's id, which `bailiwick vault credential list` shows.
    #[arg(value_name = "CREDENTIAL")]
    credential: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let vault = client.id_of(&VAULTS, &arguments.vault)?;
    let credential = &arguments.credential;
    let path = [
        "v1",
        "vaults",
        &vault,
        "credentials",
        credential,
        "mcp_oauth_validate",
    ];
    let found = client.send(Method::POST, &path, None, None)?;
    print_one(arguments.output, &found, COLUMNS)?;
    Ok(Exit::Done.into())
}
