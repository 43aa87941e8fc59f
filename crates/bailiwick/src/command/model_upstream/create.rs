//! `bailiwick model-upstream create`.

use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::{COLUMNS, KeyHeader, Protocol, TokensField, served};
use crate::client::{AnswerForm, Client, MODEL_UPSTREAMS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input;

/// Add a server that answers for models.
///
/// Its key is read from a file or standard input: on a command line others could see it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick model-upstream create main --protocol anthropic --base-url https://api.anthropic.com --model 'claude-*' --key-file key
  bailiwick model-upstream create own --protocol openai --base-url http://vllm.models.svc:8000/v1 --allow-plain-http --model fast=qwen3-32b")]
pub(crate) struct Arguments {
    /// What people shall call it.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it speaks.
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Where it is, without the paths of its API: https://HOST[:PORT][/PATH].
    #[arg(long, value_name = "URL")]
    base_url: String,
    /// A model that it is asked for, or the beginning of names and `*`; with `=`, what it calls it; may be given many times.
    #[arg(long = "model", value_name = "MODEL[=NAME]", required = true)]
    models: Vec<String>,
    /// The file of its key; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How it is shown the key [default: as its protocol has it].
    #[arg(long, value_enum)]
    key_header: Option<KeyHeader>,
    /// What it calls the bound of an answer, where it speaks the Chat Completions API [default: max_tokens].
    #[arg(long, value_enum)]
    max_tokens_field: Option<TokensField>,
    /// Where it stands among those that have a model: the lowest is asked first [default: 100].
    #[arg(long, value_name = "NUMBER")]
    priority: Option<i64>,
    /// Seconds until it has to begin an answer [default: 300].
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<i64>,
    /// Reach it over http, although everybody on the way can read prompts and key.
    #[arg(long)]
    allow_plain_http: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let key = arguments
        .key_file
        .as_deref()
        .map(input::secret)
        .transpose()?;
    let models: Vec<Value> = arguments.models.iter().map(|text| served(text)).collect();
    let mut body = json!({
        "name": arguments.name,
        "protocol": arguments.protocol,
        "base_url": arguments.base_url,
        "models": models,
        "priority": arguments.priority,
        "key_header": arguments.key_header,
        "allow_plain_http": arguments.allow_plain_http,
        "timeout_seconds": arguments.timeout,
        "api_key": key,
    });
    if let Some(field) = arguments.max_tokens_field {
        body["max_tokens_field"] = json!(field);
    }
    let client = Client::new(&arguments.server, host)?;
    let made = client.send(Method::POST, MODEL_UPSTREAMS.path, Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
