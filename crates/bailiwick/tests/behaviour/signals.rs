//! Signals to `bailiwick` are signals to the command.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::everyone;

const PATIENCE: Duration = Duration::from_secs(60);

const SIGNALS: [(Signal, &str, i32); 6] = [
    (Signal::TERM, "TERM", 143),
    (Signal::INT, "INT", 130),
    (Signal::HUP, "HUP", 129),
    (Signal::QUIT, "QUIT", 131),
    (Signal::USR1, "USR1", 138),
    (Signal::USR2, "USR2", 140),
];

#[test]
fn a_signal_reaches_the_command_which_decides_what_to_do() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for (signal, name, _) in SIGNALS {
            let script = format!(
                "trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.05; done"
            );
            let mut child = bailiwick.run().start(["sh", "-c", &script]);
            child.wait_for("its trap", |line| (line == "ready").then_some(()));
            child.signal(signal);
            assert_eq!(child.wait(PATIENCE), 7, "{name}: {}", child.complained());
            assert_eq!(child.printed(), format!("ready\ngot {name}\n"));
        }
    }
}

#[test]
fn a_command_without_a_handler_ends_by_the_signal() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for (signal, name, code) in SIGNALS {
            let mut child = bailiwick
                .run()
                .start(["sh", "-c", "echo ready; exec sleep 100"]);
            child.wait_for("its start", |line| (line == "ready").then_some(()));
            child.signal(signal);
            assert_eq!(child.wait(PATIENCE), code, "{name}: {}", child.complained());
        }
    }
}

#[test]
fn a_signal_before_the_command_has_started_is_not_lost() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for pause in [0, 5, 10, 20, 40, 60] {
            let mut child = bailiwick.run().start(["sleep", "100"]);
            std::thread::sleep(Duration::from_millis(pause));
            child.signal(Signal::TERM);
            assert_eq!(child.wait(PATIENCE), 143, "{}", child.complained());
        }
    }
}
