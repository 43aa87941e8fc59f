//! Launches sandboxes from a process that is already there: what a launch costs without the start of a program.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bailiwick_local::{StateDirectory, prepare};
use bailiwick_sandbox::plan::Command;
use bailiwick_sandbox::{Event, TerminalStreams};

use super::{nowhere, request};
use crate::protocol::Launch;
use crate::worker;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The state directory.
    #[arg(long)]
    state: PathBuf,
}

/// Obeys [`Launch`] orders; milliseconds each. The process has one thread, as a launch needs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let state = StateDirectory::open(args.state.clone())?;
    let mut number = 0;
    worker::obey(|order: Launch| {
        number += 1;
        let start = Instant::now();
        let (prepared, started) = launch(number, &state)?;
        let took = match order {
            Launch::UntilStarted => started.duration_since(prepared),
            Launch::Whole => start.elapsed(),
        };
        Ok(vec![took.as_secs_f64() * 1e3])
    })
}

/// From request to nothing left; says when the plan was ready, and when the command had been started.
fn launch(number: u32, state: &StateDirectory) -> Result<(Instant, Instant)> {
    let prepared = prepare(&request(number, None), state)?;
    let planned = Instant::now();
    let launched = bailiwick_sandbox::launch(&prepared.plan)?;
    let command = Command {
        argv: vec![OsString::from("/bin/true")],
        env: prepared.variables.clone(),
        directory: prepared.directory.clone(),
    };
    let null = nowhere()?;
    launched
        .sandbox
        .start(1, command, TerminalStreams::default(), &[null.as_fd(); 3])?;
    let mut started = None;
    loop {
        let event = launched.sandbox.receive()?;
        if matches!(event, Event::Started { .. }) {
            started = Some(Instant::now());
            continue;
        }
        if matches!(event, Event::Ended { status, .. } if status.code() == 0) {
            let started = started.context("the command ended before it started")?;
            return Ok((planned, started));
        }
        bail!("instead of a start or an end: {event:?}");
    }
}
