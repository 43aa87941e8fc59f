//! `bailiwick knowledge-connector create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::COLUMNS;
use super::source::{How, More, Where};
use crate::client::{
    AnswerForm, Client, ENVIRONMENTS, KNOWLEDGE_CONNECTORS, ServerArguments, print_one,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a knowledge connector in an environment, and sync it at once.
///
/// It reads under the environment's egress policy, and what it reads is searched in that environment alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick knowledge-connector create handbook --environment payments-dev --web https://handbook.example.com/ --every 60
  bailiwick knowledge-connector create code --environment payments-dev --git https://git.example.com/payments.git --include 'docs/**'
  bailiwick knowledge-connector create issues --environment payments-dev --github example/payments --vault readers --credential vcrd_...
  bailiwick knowledge-connector create wiki --environment payments-dev -f wiki.yaml")]
pub(crate) struct Arguments {
    /// What people shall call it.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it belongs, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    source: Where,
    #[command(flatten)]
    more: More,
    #[command(flatten)]
    how: How,
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
    let environment = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    body.insert("name".to_owned(), json!(arguments.name));
    body.insert("environment_id".to_owned(), json!(environment));
    let body = Value::Object(body);
    let made = client.send(Method::POST, KNOWLEDGE_CONNECTORS.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
