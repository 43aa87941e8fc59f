//! `bailiwick team add`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, MEMBERS, ServerArguments, TEAMS};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Put a member into a team.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick team add releases ada@example.com")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "TEAM")]
    team: String,
    /// Their address of mail, or their id.
    #[arg(value_name = "MEMBER")]
    member: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let team = client.id_of(&TEAMS, &arguments.team)?;
    let member = client.id_of(&MEMBERS, &arguments.member)?;
    let path = ["api", "teams", &team, "members", &member];
    client.send(Method::PUT, &path, None, None)?;
    Ok(Exit::Done.into())
}
