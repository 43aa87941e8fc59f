//! `bailiwick llm-proxy delete`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, LLM_PROXIES, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Delete an LLM proxy, with its virtual keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick llm-proxy delete dev")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "PROXY")]
    proxy: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&LLM_PROXIES, &arguments.proxy)?;
    client.send(Method::DELETE, &["api", "llm-proxies", &id], None, None)?;
    Ok(Exit::Done.into())
}
