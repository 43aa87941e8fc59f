//! Starts and times commands, from a small process: forking a large one would be measured too.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::os;
use crate::protocol::Spawn;
use crate::worker;

/// Obeys [`Spawn`] orders; milliseconds each, from before the fork until the command has been waited for.
pub(crate) fn run() -> Result<()> {
    let mut number = 0_u64;
    worker::obey(|order: Spawn| {
        (0..order.count)
            .map(|_| {
                number += 1;
                time(&order.command, number)
            })
            .collect()
    })
}

fn time(command: &[String], number: u64) -> Result<f64> {
    let words: Vec<_> = command
        .iter()
        .map(|word| word.replace("{n}", &number.to_string()))
        .collect();
    let (program, args) = words.split_first().context("an empty command")?;
    let mut child = os::command(program);
    child
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let output = child
        .spawn()
        .with_context(|| format!("cannot start {program}"))?
        .wait_with_output()?;
    let took = start.elapsed();
    if !output.status.success() {
        bail!(
            "{program} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(took.as_secs_f64() * 1e3)
}
