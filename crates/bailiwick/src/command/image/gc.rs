//! `bailiwick image gc`.

use std::process::ExitCode;
use std::time::Duration;

use bailiwick_images::GcLimits;

use super::size;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::value::{self, Bytes};
use crate::{clock, images, output, state};

/// Remove layers that nobody has used for long, or that are over a budget.
///
/// Over the budget, the least recently used ones go first.
///
/// A layer that a sandbox uses stays, and so does what it stands on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image gc
  bailiwick image gc --unused-for 168h --budget 20GiB")]
pub(crate) struct Arguments {
    /// Remove layers that were not used for this long.
    #[arg(long, value_name = "DURATION", value_parser = value::duration, default_value = "720h")]
    unused_for: Duration,
    /// Remove the least recently used layers until the rest takes no more than this.
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    budget: Option<Bytes>,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let store = images::store(&state::open(host)?)?;
    let limits = GcLimits {
        unused_for: arguments.unused_for,
        budget_bytes: arguments.budget.map(|bytes| bytes.0),
    };
    let report = store.gc(limits, clock::now_seconds())?;
    output::print(&format!(
        "{} layers removed, {} freed\n",
        report.removed.len(),
        size(report.freed_bytes)
    ))?;
    Ok(Exit::Done.into())
}
