//! What a sandbox holds while nothing happens in it, beside the command itself.

use anyhow::{Context, Result, ensure};

use super::turns::{Contestant, take};
use crate::memory::{family, kernel_kib, program, pss_kib};
use crate::os;
use crate::peers::{Stage, launchers, sandboxed};
use crate::report::{BAILIWICK, Better, Report, Row};
use crate::worker::Worker;

/// Says that it runs, then waits for the end of its input.
const COMMAND: &str = "echo 0; exec cat";
/// The program that the command becomes, whose memory is not counted.
const COMMAND_PROGRAM: &str = "cat";

/// Puts a command into a sandbox.
type Wrap = fn(&Stage) -> Result<Vec<String>>;

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let wraps: [(&str, Wrap); 2] = [
        ("bwrap", launchers::bubblewrap_options),
        (BAILIWICK, |stage| {
            Ok([sandboxed::run_command(stage)?, vec!["--".to_owned()]].concat())
        }),
    ];
    let mut wraps = wraps.map(|(name, with)| Contestant { name, with });
    let row = Row::new("memory", "one run, processes", "KiB", Better::Lower);
    take(row, &mut wraps, stage.pick(5, 2), report, |wrap| {
        processes(&wrap(stage)?)
    });
    let row = Row::new(
        "memory",
        "one run, kernel (mean of many)",
        "KiB",
        Better::Lower,
    );
    take(row, &mut wraps, stage.pick(5, 2), report, |wrap| {
        kernel(&wrap(stage)?, stage.pick(50, 20))
    });
    Ok(())
}

/// KiB of every process but the command.
fn processes(wrap: &[String]) -> Result<Vec<f64>> {
    let running = start(wrap)?;
    let family = family(running.pid())?;
    let own: Vec<_> = family
        .into_iter()
        .filter(|pid| program(*pid) != COMMAND_PROGRAM)
        .collect();
    ensure!(!own.is_empty(), "no process of the sandbox was found");
    let sizes = own.into_iter().map(pss_kib).collect::<Result<Vec<_>>>()?;
    Ok(vec![sizes.iter().sum()])
}

/// KiB of the kernel for each of `count` at once, less what `count` commands without a sandbox cost.
fn kernel(wrap: &[String], count: u32) -> Result<Vec<f64>> {
    let plain = kernel_growth(&[], count)?;
    Ok(vec![
        (kernel_growth(wrap, count)? - plain).max(0.0) / f64::from(count),
    ])
}

fn kernel_growth(wrap: &[String], count: u32) -> Result<f64> {
    let before = kernel_kib()?;
    let running = (0..count)
        .map(|_| start(wrap))
        .collect::<Result<Vec<_>>>()?;
    let after = kernel_kib()?;
    drop(running);
    Ok(after - before)
}

/// Starts the command in a sandbox and waits until it runs.
fn start(wrap: &[String]) -> Result<Worker> {
    let words: Vec<_> = wrap
        .iter()
        .map(String::as_str)
        .chain(["/bin/sh", "-c", COMMAND])
        .collect();
    let (program, args) = words.split_first().context("an empty command")?;
    let mut command = os::command(program);
    command.args(args);
    let mut worker = Worker::start("an idle command", command)?;
    worker.hear::<u32>()?;
    Ok(worker)
}
