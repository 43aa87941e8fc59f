//! `bailiwick member remove`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, MEMBERS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Take a member out of the organization; their keys and sessions end at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick member remove ada@example.com")]
pub(crate) struct Arguments {
    /// Their address of mail, or their id.
    #[arg(value_name = "MEMBER")]
    member: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MEMBERS, &arguments.member)?;
    client.send(Method::DELETE, &["api", "members", &id], None, None)?;
    Ok(Exit::Done.into())
}
