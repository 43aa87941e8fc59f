//! `bailiwick skill create`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{COLUMNS, bundle};
use crate::client::{AnswerForm, Client, SKILLS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a skill of a directory with a SKILL.md, or of a zip of one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick skill create skills/review
  bailiwick skill create review.zip --name 'Code review'")]
pub(crate) struct Arguments {
    /// The directory, or the zip.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What people call it [default: its name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let files = bundle::read(&arguments.path)?;
    let client = Client::new(&arguments.server, host)?;
    let name = arguments.name.clone().map(|name| ("display_name", name));
    let made = client.send_files(SKILLS.path, files, name)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
