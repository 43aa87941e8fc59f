//! `bailiwick exec`.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::ExitCode;

use bailiwick_local::Control;
use bailiwick_model::SandboxId;

use crate::attached::{self, Signals};
use crate::bad_input::BadInput;
use crate::host_environment::HostEnvironment;
use crate::state;
use crate::stdio::Streams;
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

pub(crate) fn execute(arguments: Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let state = state::open(host)?;
    let socket = state.control_socket(&arguments.sandbox);
    let control =
        Control::connect(&socket).map_err(|_| BadInput::NoSandbox(arguments.sandbox.clone()))?;
    let streams = Streams::of_this_process(state.owner_of_pipes(&arguments.sandbox))?;
    let variables: Vec<_> = arguments
        .env
        .into_iter()
        .map(|variable| (variable.name, variable.value))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let exit = runtime.block_on(async {
        let signals = Signals::listen()?;
        let passed: Vec<_> = streams.passed.iter().map(AsFd::as_fd).collect();
        match control.exec(&arguments.command, &variables, streams.terminal, &passed) {
            Ok(mut program) => {
                let master = program.terminal.take();
                attached::attend(program, signals, master, streams.terminal, None).await
            }
            Err(error) => {
                let name = arguments
                    .command
                    .first()
                    .map(|name| name.to_string_lossy())
                    .unwrap_or_default();
                Ok(attached::not_started(&name, &error))
            }
        }
    })?;
    Ok(exit.into())
}
