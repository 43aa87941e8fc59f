//! `bailiwick grant list`.

use std::process::ExitCode;

use super::COLUMNS;
use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// The most of a page.
const PAGE: &str = "1000";

/// List who may deploy to an environment besides those whose role says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick grant list production")]
pub(crate) struct Arguments {
    /// The environment, by name or id.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let all = client.list(&["api", "environments", &id, "grants"], PAGE, &[])?;
    print_list(arguments.output, &all, COLUMNS)?;
    Ok(Exit::Done.into())
}
