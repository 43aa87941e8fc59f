//! `bailiwick policy`.

mod check;
mod diff;
mod presets;
mod suggest;

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;

/// Ask what a policy allows, without running anything.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Check(check::Arguments),
    Diff(diff::Arguments),
    Suggest(suggest::Arguments),
    Presets(presets::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(arguments) => check::execute(&arguments, host),
        Command::Diff(arguments) => diff::execute(&arguments, host),
        Command::Suggest(arguments) => suggest::execute(&arguments),
        Command::Presets(arguments) => presets::execute(&arguments, host),
    }
}
