//! `bailiwick key revoke`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Revoke a key: the server does not take it any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick key revoke key_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// Its id, which `bailiwick key list` shows.
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    client.send(Method::DELETE, &["api", "keys", &arguments.key], None, None)?;
    Ok(Exit::Done.into())
}
