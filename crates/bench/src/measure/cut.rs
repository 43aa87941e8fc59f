//! How long a flow outlives the policy that allowed it.

use anyhow::Result;

use crate::peers::destination::Destination;
use crate::peers::{Stage, sandboxed};
use crate::protocol::Cut;
use crate::report::{BAILIWICK, Better, Report, Row};
use crate::worker::Worker;

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let count = stage.pick(200, 20);
    let destination = Destination::start(stage)?;
    let work = sandboxed::work_directory(stage)?;
    let mut held = sandboxed::held(stage, count, Some(&work), &destination)?;
    let name = format!("policy to cut flow, one of {count} sandboxes");
    let mut row = Row::new("cut", name, "ms", Better::Lower).aim("under 10 ms");
    row.add(BAILIWICK, &cuts(&mut held, Cut::One, stage.pick(100, 10))?);
    report.rows.push(row);
    // Here the clients' turns at the processor count too: all of them wake at once.
    let mut row = Row::new(
        "cut",
        format!("policy to cut flow, {count} at once"),
        "ms",
        Better::Lower,
    );
    row.add(BAILIWICK, &cuts(&mut held, Cut::All, stage.pick(10, 3))?);
    report.rows.push(row);
    Ok(())
}

fn cuts(held: &mut Worker, order: Cut, rounds: u32) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for _ in 0..rounds {
        samples.extend(held.measure(&order)?);
    }
    Ok(samples)
}
