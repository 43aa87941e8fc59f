//! `bailiwick usage`.

mod configure;
mod filter;
mod records;
mod report;
mod settings;

use std::process::ExitCode;

use crate::client::Column;
use crate::host_environment::HostEnvironment;

/// What holds for all limits.
const SETTINGS: &[Column] = &[("TIME ZONE", "/time_zone"), ("PRICES", "/model_prices")];

/// What was used of models, and what it cost.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Report(report::Arguments),
    Records(records::Arguments),
    Settings(settings::Arguments),
    Configure(configure::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Report(arguments) => report::execute(&arguments, host),
        Command::Records(arguments) => records::execute(&arguments, host),
        Command::Settings(arguments) => settings::execute(&arguments, host),
        Command::Configure(arguments) => configure::execute(&arguments, host),
    }
}
