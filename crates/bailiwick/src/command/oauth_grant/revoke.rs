//! `bailiwick oauth-grant revoke`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Take back what you let a program do: its tokens open nothing any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick oauth-grant revoke oag_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// Its id, which `bailiwick oauth-grant list` shows.
    #[arg(value_name = "GRANT")]
    grant: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let path = ["api", "oauth-grants", &arguments.grant];
    client.send(Method::DELETE, &path, None, None)?;
    Ok(Exit::Done.into())
}
