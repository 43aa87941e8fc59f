//! `bailiwick llm-proxy key revoke`.

use std::process::ExitCode;

use reqwest::Method;

use crate::client::{Client, LLM_PROXIES, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Revoke a virtual key: it does not open the proxy any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick llm-proxy key revoke dev key_01JQ8ZK5T6W3R9X2")]
pub(crate) struct Arguments {
    /// The proxy's name or its id.
    #[arg(value_name = "PROXY")]
    proxy: String,
    /// The key's id, which `bailiwick llm-proxy key list` shows.
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&LLM_PROXIES, &arguments.proxy)?;
    let path = ["api", "llm-proxies", &id, "keys", &arguments.key];
    client.send(Method::DELETE, &path, None, None)?;
    Ok(Exit::Done.into())
}
