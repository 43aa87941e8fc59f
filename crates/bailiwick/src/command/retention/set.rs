//! `bailiwick retention set`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::COLUMNS;
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::value::{self, Days};

/// Change for how many days records are kept: what is not named stays.
///
/// What is older goes within the hour. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick retention set --events 30 --flows 90
  bailiwick retention set --audit-log forever")]
pub(crate) struct Arguments {
    /// Days for which events of sessions are kept, or `forever`.
    #[arg(long, value_name = "DAYS", value_parser = value::days)]
    events: Option<Days>,
    /// Days for which flows are kept, or `forever`.
    #[arg(long, value_name = "DAYS", value_parser = value::days)]
    flows: Option<Days>,
    /// Days for which the audit log is kept, or `forever`.
    #[arg(long, value_name = "DAYS", value_parser = value::days)]
    audit_log: Option<Days>,
    /// The version that must still be there.
    #[arg(long, value_name = "NUMBER")]
    if_version: Option<i64>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let named = [
        ("events_days", arguments.events),
        ("flows_days", arguments.flows),
        ("audit_days", arguments.audit_log),
    ];
    let mut body: Map<_, _> = named
        .into_iter()
        .filter_map(|(field, days)| Some((field.to_owned(), json!(days?.0))))
        .collect();
    if body.is_empty() {
        return Err(BadInput::NothingToChange.into());
    }
    if let Some(version) = arguments.if_version {
        body.insert("version".to_owned(), json!(version));
    }
    let client = Client::new(&arguments.server, host)?;
    let body = Value::Object(body);
    let path = ["api", "organization", "retention"];
    let changed = client.send(Method::PATCH, &path, Some(&body), None)?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}
