//! How long a flow outlives the policy that allowed it.

use anyhow::Result;

use crate::peers::destination::Destination;
use crate::peers::{Stage, sandboxed};
use crate::protocol::Cut;
use crate::report::{BAILIWICK, Better, Report, Row};

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let count = stage.pick(200, 20);
    let destination = Destination::start(stage)?;
    let work = sandboxed::work_directory(stage)?;
    let mut held = sandboxed::held(stage, count, Some(&work), &destination)?;
    let name = format!("tightened policy to cut flow, {count} sandboxes with one each");
    let mut row = Row::new("cut", name, "ms", Better::Lower).aim("under 10 ms");
    let mut samples = Vec::new();
    for _ in 0..stage.pick(10, 3) {
        samples.extend(held.measure(&Cut)?);
    }
    row.add(BAILIWICK, &samples);
    report.rows.push(row);
    Ok(())
}
