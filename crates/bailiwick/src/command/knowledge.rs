//! `bailiwick knowledge`.

mod search;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// What environments know: the documents of their knowledge connectors.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Search(search::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Search(arguments) => search::execute(&arguments, host),
    }
}
