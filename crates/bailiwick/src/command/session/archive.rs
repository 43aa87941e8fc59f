//! `bailiwick session archive`.

use std::process::ExitCode;

use reqwest::Method;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, SESSIONS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// End a session, and make it read-only. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session archive sesn_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// Its id or its title; archived ones have an id alone.
    #[arg(value_name = "SESSION")]
    session: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SESSIONS, &arguments.session)?;
    let path = ["v1", "sessions", &id, "archive"];
    let archived = client.send(Method::POST, &path, None, None)?;
    print_one(arguments.output, &archived, COLUMNS)?;
    Ok(Exit::Done.into())
}
