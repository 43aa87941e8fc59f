//! `bailiwick kill`.

use std::process::ExitCode;

use bailiwick_model::SandboxId;

use crate::host_environment::HostEnvironment;

/// End running sandboxes, at once and with everything in them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick kill 4k2m9x0c7r1de
  bailiwick kill --all")]
pub(crate) struct Arguments {
    /// The sandboxes, as `bailiwick ps` shows them.
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub(crate) sandboxes: Vec<SandboxId>,
    /// Every sandbox of this user.
    #[arg(long)]
    pub(crate) all: bool,
}

pub(crate) fn execute(_arguments: Arguments, _host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`kill` is not wired to the local backend yet")
}
