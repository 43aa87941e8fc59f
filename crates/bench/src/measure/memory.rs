//! What a sandbox holds while nothing happens in it, beside the command itself.

use anyhow::{Context, Result};

use super::turns::{Contestant, take};
use crate::memory::{family, kernel_kib, program, pss_kib};
use crate::os;
use crate::peers::destination::Destination;
use crate::peers::{Background, Stage, launchers, sandboxed};
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
    many(stage, report)
}

/// One process that holds many; a mean, since the kernel says only what it holds in all.
fn many(stage: &Stage, report: &mut Report) -> Result<()> {
    let count = stage.pick(500, 50);
    let destination = Destination::start(stage)?;
    let before = kernel_kib()?;
    let held = sandboxed::held(stage, count, None, &destination)?;
    let kernel = (kernel_kib()? - before).max(0.0);
    let processes = sandbox_processes(held.pid(), "sleep")?;
    let plain = plain_kernel(count)?;
    let name = format!("each of {count} in one process");
    let mut row = Row::new("memory", format!("{name}, processes"), "KiB", Better::Lower);
    row.add(BAILIWICK, &[processes / f64::from(count)]);
    report.rows.push(row);
    let aim = "processes and kernel together under 2048 KiB";
    let mut row = Row::new("memory", format!("{name}, kernel"), "KiB", Better::Lower).aim(aim);
    row.add(BAILIWICK, &[(kernel - plain).max(0.0) / f64::from(count)]);
    report.rows.push(row);
    Ok(())
}

/// KiB of the kernel for as many commands without a sandbox.
fn plain_kernel(count: u32) -> Result<f64> {
    let before = kernel_kib()?;
    let start = |_| {
        Background::start({
            let mut sleep = os::command("sleep");
            sleep.arg("infinity");
            sleep
        })
    };
    let running = (0..count).map(start).collect::<Result<Vec<_>>>()?;
    let after = kernel_kib()?;
    drop(running);
    Ok(after - before)
}

/// KiB of every process but the command.
fn processes(wrap: &[String]) -> Result<Vec<f64>> {
    let running = start(wrap)?;
    Ok(vec![sandbox_processes(running.pid(), COMMAND_PROGRAM)?])
}

/// KiB of a process and all below it, but for those that run `command`.
pub(super) fn sandbox_processes(root: u32, command: &str) -> Result<f64> {
    let own: Vec<_> = family(root)?
        .into_iter()
        .filter(|pid| program(*pid) != command)
        .collect();
    let sizes = own.into_iter().map(pss_kib).collect::<Result<Vec<_>>>()?;
    Ok(sizes.iter().sum())
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
