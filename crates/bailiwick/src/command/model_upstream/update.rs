//! `bailiwick model-upstream update`.

use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{COLUMNS, KeyHeader, Protocol, TokensField, served};
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, MODEL_UPSTREAMS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input;

/// Change a server that answers for models: what is not named stays.
///
/// The next request to a model goes by it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick model-upstream update main --key-file key
  bailiwick model-upstream update main --base-url https://models.example.com --key-file - < key
  bailiwick model-upstream update main --model 'claude-*' --model fast=claude-haiku-4-5")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "UPSTREAM")]
    upstream: String,
    /// What people shall call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it speaks.
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Where it is. Another server needs the key again.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// All models that it is asked for from now on; may be given many times.
    #[arg(long = "model", value_name = "MODEL[=NAME]")]
    models: Vec<String>,
    /// The file of another key; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Take its key away.
    #[arg(long, conflicts_with = "key_file")]
    no_key: bool,
    /// How it is shown the key.
    #[arg(long, value_enum)]
    key_header: Option<KeyHeader>,
    /// What it calls the bound of an answer.
    #[arg(long, value_enum)]
    max_tokens_field: Option<TokensField>,
    /// Where it stands among those that have a model: the lowest is asked first.
    #[arg(long, value_name = "NUMBER")]
    priority: Option<i64>,
    /// Seconds until it has to begin an answer.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<i64>,
    /// Whether to reach it over http, although everybody on the way can read prompts and key.
    #[arg(long, value_name = "BOOLEAN")]
    allow_plain_http: Option<bool>,
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
    let body = Value::Object(body(arguments)?);
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MODEL_UPSTREAMS, &arguments.upstream)?;
    let path = ["api", "model-upstreams", &id];
    let changed = client.send(Method::PATCH, &path, Some(&body), arguments.if_version)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

fn body(arguments: &Arguments) -> anyhow::Result<Map<String, Value>> {
    let mut body = Map::new();
    let mut set = |field: &str, value: Value| {
        if !value.is_null() {
            body.insert(field.to_owned(), value);
        }
    };
    set("name", json!(arguments.name));
    set("protocol", json!(arguments.protocol));
    set("base_url", json!(arguments.base_url));
    set("key_header", json!(arguments.key_header));
    set("max_tokens_field", json!(arguments.max_tokens_field));
    set("priority", json!(arguments.priority));
    set("timeout_seconds", json!(arguments.timeout));
    set("allow_plain_http", json!(arguments.allow_plain_http));
    if !arguments.models.is_empty() {
        let models = arguments.models.iter().map(|text| served(text));
        set("models", models.collect());
    }
    if let Some(file) = &arguments.key_file {
        set("api_key", json!(input::secret(file)?));
    }
    if arguments.no_key {
        body.insert("api_key".to_owned(), Value::Null);
    }
    if body.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    Ok(body)
}
