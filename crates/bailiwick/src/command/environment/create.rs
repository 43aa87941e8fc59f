//! `bailiwick environment create`.

use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::{COLUMNS, body_of};
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make an environment on a server.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["file", "name"]))]
#[command(after_help = "\
Examples:
  bailiwick environment create -f environment.yaml
  bailiwick environment create -f environment.yaml --name payments-test --restricted
  bailiwick environment create --name scratch -o json")]
pub(crate) struct Arguments {
    /// The environment file; without one, everything is as the organization has it.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its name, instead of the file's.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for, instead of what the file says.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Its machines are one's own: they take its work from a queue.
    #[arg(long, conflicts_with = "file")]
    self_hosted: bool,
    /// Only who may deploy to restricted environments assigns resources to it.
    #[arg(long)]
    restricted: bool,
    /// Its Kubernetes namespace.
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let mut body = body_of(arguments.file.as_deref(), host)?;
    let texts = [
        ("name", &arguments.name),
        ("description", &arguments.description),
        ("namespace", &arguments.namespace),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            body.insert(field.to_owned(), json!(text));
        }
    }
    if arguments.self_hosted {
        body.insert("config".to_owned(), json!({"type": "self_hosted"}));
    }
    body.insert("restricted".to_owned(), json!(arguments.restricted));
    let client = Client::new(&arguments.server, host)?;
    let made = client.send(
        Method::POST,
        &["api", "environments"],
        Some(&Value::Object(body)),
        None,
    )?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
