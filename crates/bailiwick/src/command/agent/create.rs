//! `bailiwick agent create`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

use super::{COLUMNS, declared, place, shown};
use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make an agent on a server.
///
/// The file has the shape of the wire API, as YAML or JSON; `environment: NAME` places the agent, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick agent create -f reviewer.yaml
  bailiwick agent create -f reviewer.yaml --environment payments-dev -o json")]
pub(crate) struct Arguments {
    /// The agent; `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// The environment that it is placed in, by name or id, instead of the file's.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let agent = declared(&arguments.file, host)?;
    let client = Client::new(&arguments.server, host)?;
    let placed = agent.environment.flatten().map(String::from);
    let environment = arguments.environment.clone().or(placed);
    // Before anything is made.
    let environment = environment.map(|text| client.id_of(&ENVIRONMENTS, &text));
    let environment = environment.transpose()?;
    let body = Value::Object(agent.body.to_request());
    let made = client.send(Method::POST, &["v1", "agents"], Some(&body), None)?;
    let id = made["id"]
        .as_str()
        .context("the server's answer has no id")?;
    let made = match environment {
        Some(environment) => place(&client, id, Some(&environment), None)
            .with_context(|| format!("the agent {id} was made, and not placed"))?,
        None => shown(&client, id)?,
    };
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
