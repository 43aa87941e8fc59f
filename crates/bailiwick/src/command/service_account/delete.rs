//! `bailiwick service-account delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, SERVICE_ACCOUNTS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a service account; its keys are not taken any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick service-account delete ci")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&SERVICE_ACCOUNTS, &arguments.account)?;
    client.send(
        Method::DELETE,
        &["api", "service-accounts", &id],
        None,
        None,
    )?;
    Ok(Exit::Done.into())
}
