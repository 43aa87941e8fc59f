//! How long a command takes to start and end.

use anyhow::Result;

use super::turns::{line_up, take};
use crate::peers::launchers::Launcher;
use crate::peers::{Stage, launchers, sandboxed};
use crate::protocol::{Launch, Spawn};
use crate::report::{BAILIWICK, Better, Report, Row};
use crate::worker::Worker;

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    command(stage, report);
    launch(stage, report);
    Ok(())
}

/// The whole command, as a person types it.
fn command(stage: &Stage, report: &mut Report) {
    let name = "start of /bin/true, the command";
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
}

/// Somebody who launches.
#[derive(Debug)]
enum Launching {
    Program(Launcher),
    Library(Worker, Launch),
}

/// The launch itself, from a process that is there already; bwrap, which has no such process, as a whole.
fn launch(stage: &Stage, report: &mut Report) {
    let name = "start of /bin/true, the launch itself";
    let library = |order| Ok(Launching::Library(sandboxed::launcher(stage, 0)?, order));
    let all = vec![
        ("fork+exec", launchers::plain(stage).map(Launching::Program)),
        (
            "bwrap",
            launchers::bubblewrap(stage).map(Launching::Program),
        ),
        ("bailiwick, until it runs", library(Launch::UntilStarted)),
        (BAILIWICK, library(Launch::Whole)),
    ];
    let mut launchers = line_up(name, all, report);
    let row = Row::new("start", name, "ms", Better::Lower).aim("at or below bwrap");
    take(
        row,
        &mut launchers,
        stage.pick(100, 10),
        report,
        |launching| match launching {
            Launching::Program(launcher) => launcher.spawner.measure(&Spawn {
                command: launcher.command.clone(),
                count: 1,
            }),
            Launching::Library(worker, order) => worker.measure(order),
        },
    );
}
