//! `bailiwick image gc`.

use std::process::ExitCode;
use std::time::Duration;

use bailiwick_images::GcLimits;

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, printable};
use crate::value::{self, Bytes};
use crate::{clock, images, state};

/// Remove layers that nobody has used for long, or that are over a budget.
///
/// Over the budget, the least recently used ones go first.
///
/// A layer that a sandbox uses stays, and so does what it stands on. What could not be removed is told, and the command fails.
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
        "{} layers removed, {} freed, {} in use\n",
        report.removed.len(),
        output::bytes(report.freed_bytes),
        report.in_use.len()
    ))?;
    for error in &report.failed {
        output::print_to_stderr(&format!("bailiwick: {}\n", printable(&error.to_string())));
    }
    Ok(if report.failed.is_empty() {
        Exit::Done.into()
    } else {
        Exit::Failed.into()
    })
}
