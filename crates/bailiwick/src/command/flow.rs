//! `bailiwick flow`.

mod list;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// What sandboxes of sessions tried to reach.
///
/// Each connection, question for a name and refused datagram is a flow, with what decided about it and why.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(list::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::execute(&arguments, host),
    }
}
