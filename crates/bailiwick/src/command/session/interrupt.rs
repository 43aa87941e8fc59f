//! `bailiwick session interrupt`.

use std::process::ExitCode;

use serde_json::json;

use crate::client::{Client, SESSIONS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Stop what a session does, so that it rests.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session interrupt sesn_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// Its id or its title.
    #[arg(value_name = "SESSION")]
    session: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let session = client.id_of(&SESSIONS, &arguments.session)?;
    let interrupt = json!([{"type": "user.interrupt"}]);
    client.wait(client.say(&session, &interrupt))?;
    Ok(Exit::Done.into())
}
