//! `bailiwick kill`.

use std::process::ExitCode;

use bailiwick_local::Control;
use bailiwick_model::SandboxId;

use crate::bad_input::BadInput;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::{output, state};

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

pub(crate) fn execute(arguments: Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let state = state::open(host)?;
    let sandboxes = if arguments.all {
        state
            .running()?
            .into_iter()
            .map(|record| record.id)
            .collect()
    } else {
        arguments.sandboxes
    };
    let mut exit = Exit::Done;
    for id in sandboxes {
        let ended = Control::connect(&state.control_socket(&id)).and_then(|control| control.stop());
        match ended {
            Ok(()) => output::print(&format!("{id}\n"))?,
            // With --all it may have ended by itself meanwhile.
            Err(_) if arguments.all => {}
            Err(_) => {
                output::print_to_stderr(&format!("bailiwick: {}\n", BadInput::NoSandbox(id)));
                exit = Exit::BadInput;
            }
        }
    }
    Ok(exit.into())
}
