//! `bailiwick skill versions`.

use std::process::ExitCode;

use super::VERSION_COLUMNS;
use crate::client::{AnswerForm, Client, SKILLS, ServerArguments, print_list};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// The most of a page.
const PAGE: &str = "1000";

/// List the versions of a skill, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick skill versions review")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "SKILL")]
    skill: String,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SKILLS, &arguments.skill)?;
    let all = client.list(&["v1", "skills", &id, "versions"], PAGE, &[])?;
    print_list(arguments.output, &all, VERSION_COLUMNS)?;
    Ok(Exit::Done.into())
}
