//! `bailiwick doctor`.

use std::process::ExitCode;

use crate::host_environment::HostEnvironment;
use crate::output::Format;

/// Check what this machine offers: each kernel feature that sandboxes use.
///
/// For each feature: found or missing, what is lost without it, and how to get it. Ends with 0 when sandboxes can run
/// here, with 125 when something that isolation needs is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick doctor
  bailiwick doctor --format json")]
pub(crate) struct Arguments {
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

pub(crate) fn execute(_arguments: Arguments, _host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`doctor` is not wired to the local backend yet")
}
