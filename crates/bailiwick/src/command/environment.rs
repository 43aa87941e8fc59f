//! `bailiwick environment`.

mod show;
mod validate;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// Check and show environment files.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Validate(validate::Arguments),
    Show(show::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Validate(arguments) => validate::execute(&arguments, host),
        Command::Show(arguments) => show::execute(&arguments, host),
    }
}
