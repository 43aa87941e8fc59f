//! Launches sandboxes from a process that is already there: what a launch costs without the start of a program.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bailiwick_local::{Layers, Request, StateDirectory, prepare};
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
    /// How many layers lie over the base.
    #[arg(long)]
    layers: u32,
}

/// Obeys [`Launch`] orders; milliseconds each. The process has one thread, as a launch needs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let state = StateDirectory::open(args.state.clone())?;
    let layers = layers(args)?;
    let mut number = 0;
    worker::obey(|order: Launch| {
        number += 1;
        let start = Instant::now();
        let (prepared, started) = launch(number, &state, &layers)?;
        let took = match order {
            Launch::UntilStarted => started.duration_since(prepared),
            Launch::Whole => start.elapsed(),
        };
        Ok(vec![took.as_secs_f64() * 1e3])
    })
}

/// Layers with a file each, as small packages would make them.
fn layers(args: &Args) -> Result<Layers> {
    let mut trees = Vec::new();
    for number in 0..args.layers {
        let tree = args.state.join(format!("layer-{number}"));
        let directory = tree.join("usr/local/share").join(number.to_string());
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("file"), "content")?;
        trees.push(tree);
    }
    Ok(Layers {
        trees,
        ..Layers::default()
    })
}

/// From request to nothing left; says when the plan was ready, and when the command had been started.
fn launch(number: u32, state: &StateDirectory, layers: &Layers) -> Result<(Instant, Instant)> {
    let request = Request {
        layers: layers.clone(),
        ..request(number, None)
    };
    let prepared = prepare(&request, state)?;
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
