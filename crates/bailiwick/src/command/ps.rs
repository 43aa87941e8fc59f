//! `bailiwick ps`.

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;
use crate::output::Format;

/// List the sandboxes that are running.
///
/// Shows the sandboxes of this user: id, environment, since when, and the command.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick ps
  bailiwick ps --format json")]
pub(crate) struct Arguments {
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

pub(crate) fn execute(_arguments: Arguments, _host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`ps` is not wired to the local backend yet")
}
