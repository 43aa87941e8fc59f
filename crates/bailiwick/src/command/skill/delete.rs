//! `bailiwick skill delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, SKILLS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a skill with all its versions, or one version of it. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick skill delete review
  bailiwick skill delete review --version skillver_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "SKILL")]
    skill: String,
    /// Only this version, by id.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SKILLS, &arguments.skill)?;
    let mut path = vec!["v1", "skills", &id];
    if let Some(version) = &arguments.version {
        path.extend(["versions", version]);
    }
    client.send(Method::DELETE, &path, None, None)?;
    Ok(Exit::Done.into())
}
