//! `bailiwick mcp-gateway key`.

mod create;
mod list;
mod revoke;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// Virtual keys of an MCP gateway: each opens it and nothing else.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
    List(list::Arguments),
    Revoke(revoke::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Revoke(arguments) => revoke::execute(&arguments, host),
    }
}
