//! `bailiwick llm-proxy create`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, LLM_PROXIES, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make an LLM proxy in an environment.
///
/// Its callers ask models at /llm/NAME/anthropic and /llm/NAME/openai/v1, as far as the environment's egress policy lets the upstreams be reached.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick llm-proxy create dev --environment payments-dev
  bailiwick llm-proxy create dev --environment payments-dev --model 'claude-*'")]
pub(crate) struct Arguments {
    /// What people shall call it.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it belongs, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// A model that can be asked through it, or the beginning of names and `*`; may be given many times [default: all].
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let body = json!({
        "name": arguments.name,
        "environment_id": client.id_of(&ENVIRONMENTS, &arguments.environment)?,
        "models": arguments.models,
    });
    let made = client.send(Method::POST, LLM_PROXIES.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
