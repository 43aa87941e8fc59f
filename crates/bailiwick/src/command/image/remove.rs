//! `bailiwick image remove`.

use std::process::ExitCode;

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::{images, state};

/// Remove layers. One that a sandbox uses, or that another layer stands on, stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image remove 3f9a0c")]
pub(crate) struct Arguments {
    /// The keys of layers, or their first digits.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let store = images::store(&state::open(host)?)?;
    for key in &arguments.keys {
        store.remove(&super::layer(&store, key)?.key)?;
    }
    Ok(Exit::Done.into())
}
