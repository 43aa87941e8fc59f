//! `bailiwick file delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, FILES, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a file of a server. There is no way back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick file delete report.pdf")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&FILES, &arguments.file)?;
    client.send(Method::DELETE, &["v1", "files", &id], None, None)?;
    Ok(Exit::Done.into())
}
