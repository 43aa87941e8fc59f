//! `bailiwick model-upstream delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, MODEL_UPSTREAMS, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete a server that answers for models, with its key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick model-upstream delete main")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "UPSTREAM")]
    upstream: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&MODEL_UPSTREAMS, &arguments.upstream)?;
    client.send(Method::DELETE, &["api", "model-upstreams", &id], None, None)?;
    Ok(Exit::Done.into())
}
