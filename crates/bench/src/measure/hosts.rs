//! What it costs that a server's sandboxes are in processes of their own.

use anyhow::{Context, Result};

use super::turns::{Contestant, take};
use crate::memory::{family, program, pss_kib};
use crate::peers::{Stage, sandboxed};
use crate::protocol::Ported;
use crate::report::{Better, Report, Row};
use crate::worker::Worker;

const HOSTS: usize = 2;
/// The program that sandboxes run, whose memory is not counted.
const COMMAND_PROGRAM: &str = "sleep";

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let with = |hosts| sandboxed::port(stage, hosts);
    let mut both = [
        Contestant {
            name: "in its own process",
            with: with(0)?,
        },
        Contestant {
            name: "in hosts",
            with: with(HOSTS)?,
        },
    ];
    let rows = [
        ("start and /bin/true, through the port", Ported::Start, "ms"),
        ("/bin/true in a running sandbox", Ported::Exec, "ms"),
    ];
    for (name, order, unit) in rows {
        let row = Row::new("hosts", name, unit, Better::Lower);
        let rounds = stage.pick(200, 10);
        take(row, &mut both, rounds, report, |worker| {
            worker.measure(&order)
        });
    }
    let count = stage.pick(200, 20);
    let name = format!("each of {count}, processes");
    let row = Row::new("hosts", name, "KiB", Better::Lower);
    take(row, &mut both, 1, report, |worker| memory(worker, count));
    Ok(())
}

/// Of the server, its hosts and the inits, for each sandbox.
fn memory(worker: &mut Worker, count: u32) -> Result<Vec<f64>> {
    worker.measure(&Ported::Hold(count))?;
    let members = family(worker.pid())?.into_iter();
    let mut sum = 0.0;
    for member in members.filter(|pid| program(*pid) != COMMAND_PROGRAM) {
        sum += pss_kib(member).context("a process ended")?;
    }
    Ok(vec![sum / f64::from(count)])
}
