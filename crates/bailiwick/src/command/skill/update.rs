//! `bailiwick skill update`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{VERSION_COLUMNS, bundle};
use crate::client::{AnswerForm, Client, SKILLS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a new version of a skill, of a directory with a SKILL.md, or of a zip of one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick skill update review skills/review")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "SKILL")]
    skill: String,
    /// The directory, or the zip.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let files = bundle::read(&arguments.path)?;
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SKILLS, &arguments.skill)?;
    let made = client.send_files(&["v1", "skills", &id, "versions"], files, None)?;
    print_one(arguments.output, &made, VERSION_COLUMNS)?;
    Ok(Exit::Done.into())
}
