//! `bailiwick audit-log head`.

use std::process::ExitCode;

use anyhow::Context as _;
use bailiwick_control::SignedHead;

use crate::client::{Client, ServerArguments};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// Print the end of a server's audit log as it is now, signed by the server.
///
/// Keep it where nobody who can write to the database can write, and once, apart from it, its `public_key`: `bailiwick audit-log verify` then
/// shows at any later time, without the server, whether a log still has what it had. The key stays for as long as the key does that secrets
/// are sealed with.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit-log head > head.json
  bailiwick audit-log verify audit.jsonl --signed-head head.json --public-key \"$KEY\"")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let head = client.get(&["api", "audit-log", "head"], &[])?;
    let head: SignedHead =
        serde_json::from_value(head).context("the server's answer is no head")?;
    output::print_json(&head)?;
    Ok(Exit::Done.into())
}
