//! How long a command takes to start and end.

use anyhow::Result;

use super::turns::{line_up, take};
use crate::peers::{Stage, launchers};
use crate::protocol::Spawn;
use crate::report::{BAILIWICK, Better, Report, Row};

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let name = "start of /bin/true";
    let all = vec![
        ("fork+exec", launchers::plain(stage)),
        ("bwrap", launchers::bubblewrap(stage)),
        ("crun", launchers::crun(stage)),
        (BAILIWICK, launchers::bailiwick(stage)),
    ];
    let mut launchers = line_up(name, all, report);
    let row = Row::new("start", name, "ms", Better::Lower).aim("at most 1.5 x bwrap");
    take(
        row,
        &mut launchers,
        stage.pick(100, 10),
        report,
        |launcher| {
            launcher.spawner.measure(&Spawn {
                command: launcher.command.clone(),
                count: 1,
            })
        },
    );
    Ok(())
}
