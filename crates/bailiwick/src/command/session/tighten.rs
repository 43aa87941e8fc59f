//! `bailiwick session tighten`.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;

use crate::client::{AnswerForm, Client, Column, SESSIONS, ServerArguments, print_list, print_one};
use crate::command::impact::lines;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// What is in a line.
const COLUMNS: &[Column] = &[
    ("SESSION", "/name"),
    ("CHANGE", "/change"),
    ("DESTINATION", "/destination"),
    ("BEFORE", "/before"),
    ("AFTER", "/after"),
    ("RULE", "/rule"),
];

/// Hold a session to what its environment allows now, and show what it reaches no more.
///
/// What it was made with holds as before. Nothing becomes reachable by it, and it is never taken back. A sandbox that runs has it at once: connections that it denies are cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session tighten sesn_01JQ8ZK5T6W3R9X2
  bailiwick session tighten nightly --if-version 7 -o json")]
pub(crate) struct Arguments {
    /// Its id or its title.
    #[arg(value_name = "SESSION")]
    session: String,
    /// Only if the environment is at this version.
    #[arg(long, value_name = "N")]
    if_version: Option<i64>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SESSIONS, &arguments.session)?;
    let path = ["api", "sessions", &id, "tighten"];
    let tightened = client.send(Method::POST, &path, None, arguments.if_version)?;
    match arguments.output {
        AnswerForm::Table => {
            let lines = lines(&json!(arguments.session), &tightened);
            print_list(arguments.output, &lines, COLUMNS)?;
        }
        AnswerForm::Json | AnswerForm::Yaml => print_one(arguments.output, &tightened, COLUMNS)?,
    }
    Ok(Exit::Done.into())
}
