//! `bailiwick oauth-grant`.

mod list;
mod revoke;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// What people let programs do with MCP gateways.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(list::Arguments),
    Revoke(revoke::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Revoke(arguments) => revoke::execute(&arguments, host),
    }
}
