//! `bailiwick session delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, SESSIONS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a session, with its resources and its files. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session delete sesn_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// Its id or its title; archived ones have an id alone.
    #[arg(value_name = "SESSION")]
    session: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SESSIONS, &arguments.session)?;
    client.send(Method::DELETE, &["v1", "sessions", &id], None, None)?;
    Ok(Exit::Done.into())
}
