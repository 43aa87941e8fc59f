//! `bailiwick skill get`.

use std::process::ExitCode;

use super::{COLUMNS, VERSION_COLUMNS};
use crate::client::{AnswerForm, Client, SKILLS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Show a skill of a server, or one of its versions.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick skill get review -o yaml
  bailiwick skill get review --version latest")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "SKILL")]
    skill: String,
    /// This version of it, by id, or `latest`.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SKILLS, &arguments.skill)?;
    if let Some(version) = &arguments.version {
        let found = client.get(&["v1", "skills", &id, "versions", version], &[])?;
        print_one(arguments.output, &found, VERSION_COLUMNS)?;
    } else {
        let found = client.get(&["v1", "skills", &id], &[])?;
        print_one(arguments.output, &found, COLUMNS)?;
    }
    Ok(Exit::Done.into())
}
