//! `bailiwick vault credential update`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ServerArguments, VAULTS, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input;

/// Change a credential: what is not named stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick vault credential update payments vcrd_01JQ8ZK5T6W3R9X2 --secret-file - < token
  bailiwick vault credential update payments vcrd_01JQ8ZK5T6W3R9X2 --name staging
  bailiwick vault credential update payments vcrd_01JQ8ZK5T6W3R9X2 -f change.json")]
pub(crate) struct Arguments {
    /// The vault, by name or id.
    #[arg(value_name = "VAULT")]
    vault: String,
    /// The credential's id, which `bailiwick vault credential list` shows.
    #[arg(value_name = "CREDENTIAL")]
    credential: String,
    /// What people shall call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The file of its new secret: of a variable the value, else the token; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The fields to change, in the shape of the wire API; `-` is standard input.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        conflicts_with = "secret_file"
    )]
    file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let mut body = match &arguments.file {
        Some(file) => input::secret_object(file)?,
        None => Map::new(),
    };
    if let Some(name) = &arguments.name {
        body.insert("display_name".to_owned(), json!(name));
    }
    let secret = arguments.secret_file.as_deref().map(input::secret);
    let secret = secret.transpose()?;
    if body.is_empty() && secret.is_none() {
        return Err(BadInput::NothingToChange.into());
    }
    let client = Client::new(&arguments.server, host)?;
    let vault = client.id_of(&VAULTS, &arguments.vault)?;
    let path = ["v1", "vaults", &vault, "credentials", &arguments.credential];
    if let Some(secret) = secret {
        let before = client.get(&path, &[])?;
        body.insert("auth".to_owned(), with_secret(&before["auth"], &secret)?);
    }
    let body = Value::Object(body);
    let changed = client.send(Method::POST, &path, Some(&body), None)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

/// The change that gives a credential of this type another secret.
fn with_secret(auth: &Value, secret: &str) -> anyhow::Result<Value> {
    let kind = auth["type"].as_str().unwrap_or_default();
    let field = match kind {
        "static_bearer" => "token",
        "environment_variable" => "secret_value",
        "mcp_oauth" => "access_token",
        other => bail!("a credential of type {other:?} has no one secret: write -f FILE"),
    };
    Ok(json!({"type": kind, field: secret}))
}
