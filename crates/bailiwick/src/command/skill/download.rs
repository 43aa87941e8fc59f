//! `bailiwick skill download`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::LATEST;
use crate::client::{Client, SKILLS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::target::Target;

/// Write the zip of a version of a skill to a new file, or to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick skill download review review.zip")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "SKILL")]
    skill: String,
    /// Where to; `-` is standard output. A file must not be there yet.
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// The version, by id [default: the newest].
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SKILLS, &arguments.skill)?;
    let version = arguments.version.as_deref().unwrap_or(LATEST);
    let mut target = Target::new(&arguments.to)?;
    let path = ["v1", "skills", &id, "versions", version, "content"];
    client.download(&path, &mut target)?;
    target.finish()?;
    Ok(Exit::Done.into())
}
