//! `bailiwick llm-proxy update`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, LLM_PROXIES, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Change an LLM proxy, or move it to another environment: what is not named stays.
///
/// Virtual keys of agents that are placed elsewhere stand in the way of a move.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick llm-proxy update dev --model 'claude-*' --model 'gpt-5*'
  bailiwick llm-proxy update dev --environment staging --detach")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "PROXY")]
    proxy: String,
    /// What people shall call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it belongs from now on, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// All models that can be asked through it from now on; may be given many times.
    #[arg(long = "model", value_name = "MODEL", conflicts_with = "all_models")]
    models: Vec<String>,
    /// Let all models be asked through it.
    #[arg(long)]
    all_models: bool,
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
    if arguments.all_models || !arguments.models.is_empty() {
        body.insert("models".to_owned(), json!(arguments.models));
    }
    if body.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    let id = client.id_of(&LLM_PROXIES, &arguments.proxy)?;
    let path = ["api", "llm-proxies", &id];
    let query: &[_] = match arguments.detach {
        true => &[("on_conflict", "detach")],
        false => &[],
    };
    let body = Value::Object(body);
    let changed = client.send_with(
        Method::PATCH,
        &path,
        query,
        Some(&body),
        arguments.if_version,
    )?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}
