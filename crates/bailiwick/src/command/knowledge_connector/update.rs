//! `bailiwick knowledge-connector update`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::COLUMNS;
use super::source::{How, More, Where};
use crate::bad_input::BadInput;
use crate::client::{
    AnswerForm, Client, ENVIRONMENTS, KNOWLEDGE_CONNECTORS, ServerArguments, print_one,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Change a knowledge connector, or move it with all that it knows: what is not named stays.
///
/// Where it reads is said anew as a whole, and is of the same type as before.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge-connector update handbook --daily-at 03:30
  bailiwick knowledge-connector update handbook --environment staging")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "CONNECTOR")]
    connector: String,
    /// What people shall call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it belongs from now on, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    source: Where,
    #[command(flatten)]
    more: More,
    #[command(flatten)]
    how: How,
    /// Show the source no credential any more.
    #[arg(long, conflicts_with = "credential")]
    no_credential: bool,
    /// Sync it by hand alone.
    #[arg(long, conflicts_with_all = ["every", "daily_at"])]
    no_schedule: bool,
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
    let mut body = arguments.source.fields(&arguments.more)?;
    let client = Client::new(&arguments.server, host)?;
    arguments.how.put(&client, &mut body)?;
    if let Some(name) = &arguments.name {
        body.insert("name".to_owned(), json!(name));
    }
    if let Some(environment) = &arguments.environment {
        let id = client.id_of(&ENVIRONMENTS, environment)?;
        body.insert("environment_id".to_owned(), json!(id));
    }
    if arguments.no_credential {
        body.insert("credential".to_owned(), Value::Null);
    }
    if arguments.no_schedule {
        body.insert("schedule".to_owned(), Value::Null);
    }
    if body.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    let id = client.id_of(&KNOWLEDGE_CONNECTORS, &arguments.connector)?;
    let path = ["api", "knowledge-connectors", &id];
    let body = Value::Object(body);
    let changed = client.send(Method::PATCH, &path, Some(&body), arguments.if_version)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}
