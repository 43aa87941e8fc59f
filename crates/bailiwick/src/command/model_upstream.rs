//! `bailiwick model-upstream`.

mod create;
mod delete;
mod get;
mod list;
mod update;

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What people look for in upstreams.
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("PRIORITY", "/priority"),
    ("PROTOCOL", "/protocol"),
    ("BASE URL", "/base_url"),
    ("KEY", "/has_key"),
];

/// Servers that answer for models: where agents' models are asked, and with which key.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(Box<create::Arguments>),
    List(list::Arguments),
    Get(get::Arguments),
    Update(Box<update::Arguments>),
    Delete(delete::Arguments),
}

/// The API of an upstream.
#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    /// The Messages API.
    Anthropic,
    /// The Chat Completions API.
    Openai,
}

/// How an upstream is shown its key.
#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
enum KeyHeader {
    /// `x-api-key: KEY`.
    #[value(name = "x-api-key")]
    #[serde(rename = "x-api-key")]
    ApiKey,
    /// `Authorization: Bearer KEY`.
    #[serde(rename = "authorization")]
    Authorization,
}

/// What an upstream calls the bound of an answer.
#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum TokensField {
    /// Most upstreams.
    #[value(name = "max_tokens")]
    MaxTokens,
    /// OpenAI's newer models.
    #[value(name = "max_completion_tokens")]
    MaxCompletionTokens,
}

/// `MODEL`, or `MODEL=NAME` where the upstream calls it otherwise.
fn served(text: &str) -> Value {
    match text.split_once('=') {
        Some((model, own)) => json!({"model": model, "upstream_model": own}),
        None => json!(text),
    }
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Get(arguments) => get::execute(&arguments, host),
        Command::Update(arguments) => update::execute(&arguments, host),
        Command::Delete(arguments) => delete::execute(&arguments, host),
    }
}
