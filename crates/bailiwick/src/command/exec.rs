//! `bailiwick exec`.

use std::ffi::OsString;
use std::process::ExitCode;

use bailiwick_model::SandboxId;

use crate::host_environment::HostEnvironment;
use crate::value::{self, Variable};

/// Run one more command in a running sandbox.
///
/// The command gets the same identity, file system, limits and network policy as the sandbox's first one. Its exit code
/// is this one's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick exec 4k2m9x0c7r1de -- ps aux
  bailiwick exec 4k2m9x0c7r1de -e DEBUG=1 -- bash")]
pub(crate) struct Arguments {
    /// The sandbox, as `bailiwick ps` shows it.
    #[arg(value_name = "ID")]
    pub(crate) sandbox: SandboxId,
    /// Set a variable in the command's environment.
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = value::variable)]
    pub(crate) env: Vec<Variable>,
    /// The command and its arguments.
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

pub(crate) fn execute(_arguments: Arguments, _host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`exec` is not wired to the local backend yet")
}
