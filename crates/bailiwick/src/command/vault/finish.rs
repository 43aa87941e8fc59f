//! `bailiwick vault finish`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use crate::client::{AnswerForm, Client, Column, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[("VAULT", "/vault_id"), ("CREDENTIAL", "/credential_id")];

/// Finish what `bailiwick vault connect` began, with the word that the page showed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault finish mcpc_01JQ8ZK5T6W3R9X2 K7QF-93XM")]
pub(crate) struct Arguments {
    /// What was begun, as `bailiwick vault connect` said.
    #[arg(value_name = "CONNECTION")]
    connection: String,
    /// What the page showed.
    #[arg(value_name = "WORD")]
    word: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let begun = (arguments.connection.as_str(), arguments.word.as_str());
    finish(&client, begun, arguments.output)?;
    Ok(Exit::Done.into())
}

/// Puts the access into the vault.
pub(super) fn finish(
    client: &Client,
    (connection, word): (&str, &str),
    form: AnswerForm,
) -> anyhow::Result<()> {
    let path = ["api", "mcp-connections", connection, "finish"];
    let body = json!({"confirmation": word});
    let made = client.send(Method::POST, &path, Some(&body), None)?;
    print_one(form, &made, COLUMNS)
}
