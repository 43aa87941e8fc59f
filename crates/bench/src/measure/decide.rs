//! How long a decision takes.

use anyhow::Result;

use crate::peers::Stage;
use crate::report::Report;

pub(super) fn measure(_: &Stage, _: &mut Report) -> Result<()> {
    anyhow::bail!("not written yet")
}
