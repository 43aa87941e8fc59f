//! `bailiwick limit delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Take a limit away.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick limit delete lim_1ChGqExyZXj8gBdypLbMAf")]
pub(crate) struct Arguments {
    /// Its id.
    #[arg(value_name = "LIMIT")]
    limit: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    client.send(
        Method::DELETE,
        &["api", "limits", &arguments.limit],
        None,
        None,
    )?;
    Ok(Exit::Done.into())
}
