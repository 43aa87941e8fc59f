//! `bailiwick service-account key`.

mod create;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// Keys of service accounts; `bailiwick key` lists and revokes them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Create(create::Arguments),
}

pub(super) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create::execute(&arguments, host),
    }
}
