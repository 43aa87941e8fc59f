//! How a run ends.

use std::time::Duration;

use bailiwick_testkit::{Bailiwick, Outcome};

use crate::support::{everyone, in_workspace, run};

/// What a command has to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

#[test]
fn the_exit_code_is_the_commands() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for code in [0, 1, 2, 3, 42, 125, 255] {
            bailiwick.run().script(&format!("exit {code}")).exits(code);
        }
    }
}

#[test]
fn a_command_ended_by_a_signal_exits_with_128_and_its_number() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for (signal, code) in [("TERM", 143), ("KILL", 137), ("SEGV", 139), ("HUP", 129)] {
            bailiwick
                .run()
                .script(&format!("kill -{signal} $$"))
                .exits(code);
        }
    }
}

#[test]
fn a_command_that_does_not_exist_is_127_and_one_that_cannot_be_executed_126() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        bailiwick.write("notes.txt", "text");
        bailiwick.write("wrong", "\x7fELF nothing more");
        bailiwick.run().script("chmod 755 wrong").success();
        for (command, code) in [
            ("no-such-program", 127),
            ("/no/such/program", 127),
            ("./no-such-program", 127),
            ("./notes.txt", 126),
            ("/tmp", 126),
            ("./wrong", 126),
        ] {
            let outcome = bailiwick.run().command([command]).exits(code);
            assert!(
                outcome.stderr.contains(&format!(
                    "bailiwick: cannot run {command} inside the sandbox"
                )),
                "{}",
                outcome.stderr
            );
        }
    }
}

#[test]
fn bad_input_is_2_and_nothing_is_started() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let touch = ["touch", "started"];
        let wrong = "name: x\nconfig:\n  type: cloud\n  networking: {type: limited, allowed_host: [a.example.com]}\n";
        let outcome = bailiwick.run().environment(wrong).command(touch).exits(2);
        assert!(
            outcome.stderr.contains("allowed_hosts"),
            "it names what was meant: {}",
            outcome.stderr
        );
        run(bailiwick, &["-f", "missing.yaml"])
            .command(touch)
            .exits(2);
        run(bailiwick, &["-w", "/no/such/directory"])
            .command(touch)
            .exits(2);
        run(bailiwick, &["--memory", "many"])
            .command(touch)
            .exits(2);
        run(bailiwick, &["--resolve", "a.example.com=127.0.0.1"])
            .command(touch)
            .exits(2);
        run(bailiwick, &["--no-such-option"])
            .command(touch)
            .exits(2);
        run(bailiwick, &[]).command([] as [&str; 0]).exits(2);
        assert_eq!(in_workspace(bailiwick), [] as [&str; 0]);
    }
}

#[test]
fn a_denied_destination_makes_policy_check_exit_with_3() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        bailiwick.write("environment.yaml", "name: x\nconfig:\n  type: cloud\n  networking: {type: limited, allowed_hosts: [a.example.com]}\n");
        let check =
            |name: &str| bailiwick.execute(["policy", "check", "-f", "environment.yaml", name]);
        check("a.example.com").exits(0);
        check("b.example.com").exits(3);
    }
}

/// Ends a script when its time is over, with more time if a busy machine did not bring it as far as to say that it is ready; that time, and the
/// outcome.
fn timed_out(bailiwick: &Bailiwick, script: &str) -> (Duration, Outcome) {
    for seconds in [1, 5, 25] {
        let outcome = run(bailiwick, &["--timeout", &format!("{seconds}s")])
            .script(script)
            .exits(124);
        if outcome.stdout.starts_with("ready\n") {
            return (Duration::from_secs(seconds), outcome);
        }
    }
    panic!("it was never ready");
}

#[test]
fn a_command_that_takes_too_long_is_ended_and_exits_with_124() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let script = "trap 'echo asked; exit 0' TERM; echo ready; sleep 60 & wait";
        let (time, outcome) = timed_out(bailiwick, script);
        assert_eq!(outcome.stdout, "ready\nasked\n", "it is asked first");
        assert!(outcome.duration < time + GRACE, "{:?}", outcome.duration);
        run(bailiwick, &["--timeout", "30s"])
            .script("exit 5")
            .exits(5);
    }
}

#[test]
fn a_command_that_does_not_listen_is_ended_all_the_same() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let script = "trap '' TERM; echo ready; sleep 100 & sleep 100";
        let (time, outcome) = timed_out(bailiwick, script);
        let most = time + GRACE + Duration::from_secs(20);
        assert!(outcome.duration < most, "{:?}", outcome.duration);
    }
}

#[test]
fn a_failure_of_bailiwick_is_125() {
    let (_leaks, all) = everyone();
    for bailiwick in all.iter().filter(|bailiwick| !bailiwick.user().is_root()) {
        let outcome = bailiwick
            .run()
            .host_variable("XDG_STATE_HOME", "/proc/self")
            .command(["true"])
            .exits(125);
        assert!(
            outcome.stderr.contains("/proc/self"),
            "it says what: {}",
            outcome.stderr
        );
    }
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = bailiwick
            .run()
            .script("sleep 300 & setsid sleep 300 & echo over");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "over\n"));
        assert!(outcome.duration < Duration::from_secs(100));
    }
}
