//! What a process has printed is told when it has printed it.

use std::time::Duration;

use bailiwick_testkit::{Child, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

fn shell(script: &str) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "the test watches a process")]
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]);
    shell
}

#[test]
fn what_was_printed_before_something_else_happened_is_told_after_it() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let marker = directory.path().join(round.to_string());
        let script = "echo printed; echo complained >&2; : > \"$0\"; exec sleep 1000";
        let child = Child::start(shell(script).arg(&marker));
        eventually("the marker", PATIENCE, || marker.exists().then_some(()));
        assert_eq!(child.printed(), "printed\n");
        assert_eq!(child.complained(), "complained\n");
    }
}

#[test]
fn a_process_that_never_stops_printing_holds_nobody_up() {
    let child = Child::start(&mut shell("exec yes"));
    child.wait_for("a line", |line| (line == "y").then_some(()));
    let before = child.printed().len();
    eventually("more", PATIENCE, || {
        (child.printed().len() > before).then_some(())
    });
}
