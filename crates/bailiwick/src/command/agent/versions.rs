//! `bailiwick agent versions`.

use std::process::ExitCode;

use crate::client::{AGENTS, AnswerForm, Client, Column, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

const COLUMNS: &[Column] = &[
    ("VERSION", "/version"),
    ("NAME", "/name"),
    ("MODEL", "/model/id"),
    ("UPDATED", "/updated_at"),
];
/// The most of a page.
const PAGE: &str = "100";

/// List the versions of an agent, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick agent versions reviewer
  bailiwick agent versions reviewer -o json")]
pub(crate) struct Arguments {
    /// Its name or its id; archived ones have an id alone.
    #[arg(value_name = "AGENT")]
    agent: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&AGENTS, &arguments.agent)?;
    let versions = client.list(&["v1", "agents", &id, "versions"], PAGE, &[])?;
    print_list(arguments.output, &versions, COLUMNS)?;
    Ok(Exit::Done.into())
}
