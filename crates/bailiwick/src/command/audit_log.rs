//! `bailiwick audit-log`.

mod export;
mod head;
mod list;
mod show_head;
mod verify;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// Show, export and verify the audit log of a server.
///
/// It has every change, by whom, and a chain of hashes that shows whether an entry was changed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Export(export::Arguments),
    Head(show_head::Arguments),
    List(list::Arguments),
    Verify(verify::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Export(arguments) => export::execute(&arguments, host),
        Command::Head(arguments) => show_head::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Verify(arguments) => verify::execute(&arguments, host),
    }
}
