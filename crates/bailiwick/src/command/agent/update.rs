//! `bailiwick agent update`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{COLUMNS, place, shown};
use crate::bad_input::BadInput;
use crate::client::{AGENTS, AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::input;

/// Change an agent on a server: what is not named stays.
///
/// A change of what the agent is makes a version. It is refused if somebody else changed the agent meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick agent update reviewer -f change.yaml
  bailiwick agent update reviewer --environment payments-dev
  bailiwick agent update reviewer --no-environment --if-version 4")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "AGENT")]
    agent: String,
    /// The fields to change, in the shape of the wire API; `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its new name, instead of the file's.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The environment that it is placed in, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Leave its place to its sessions.
    #[arg(long, conflicts_with = "environment")]
    no_environment: bool,
    /// The version that must still be there [default: the one that is there now].
    #[arg(long, value_name = "NUMBER")]
    if_version: Option<i64>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let mut body = body(arguments)?;
    let places = arguments.no_environment || arguments.environment.is_some();
    if body.is_empty() && !places {
        return Err(BadInput::NothingToChange.into());
    }
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&AGENTS, &arguments.agent)?;
    let before = shown(&client, &id)?;
    let there = before["version"].as_i64();
    let version = arguments.if_version.or(there);
    // With another version than the one that is there, the change below is refused.
    let places = places && version == there;
    if places {
        let environment = arguments.environment.as_deref();
        place(&client, &id, environment, before["revision"].as_i64())?;
    }
    body.insert("version".to_owned(), json!(version));
    let body = Value::Object(body);
    let changed = client.send(Method::POST, &["v1", "agents", &id], Some(&body), None);
    let told = "the agent was placed, and nothing else was changed";
    if places {
        changed.context(told)?;
    } else {
        changed?;
    }
    print_one(arguments.output, &shown(&client, &id)?, COLUMNS)?;
    Ok(Exit::Done.into())
}

fn body(arguments: &Arguments) -> anyhow::Result<Map<String, Value>> {
    let mut body = match &arguments.file {
        Some(file) => input::object(file)?,
        None => Map::new(),
    };
    if let Some(name) = &arguments.name {
        body.insert("name".to_owned(), json!(name));
    }
    Ok(body)
}
