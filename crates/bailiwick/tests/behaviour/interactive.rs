//! A shell inside, on a terminal.

use std::process::Stdio;

use bailiwick_testkit::{Bailiwick, Terminal};
use rustix::process::Signal;

use crate::support::everyone;

/// Says that it runs, and then waits for a key. That a shell has shown what was typed does not say that the command has begun; the echo of
/// these words is not what they print.
const WAIT: &str = "sh -c 'echo run''ning; exec sleep 321'";

fn bash(bailiwick: &Bailiwick) -> Terminal {
    let mut shell = Terminal::start(bailiwick, &bailiwick.run().prepared(["bash", "--norc"]));
    shell.types("PS1='ready''> '\n");
    shell.shows("ready> ");
    shell
}

#[test]
fn a_shell_has_a_prompt_job_control_and_no_complaint() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let mut shell = bash(bailiwick);
        for complaint in [
            "cannot set terminal process group",
            "no job control",
            "Inappropriate ioctl",
            "cannot",
        ] {
            assert!(!shell.screen().contains(complaint), "{}", shell.screen());
        }
        shell.types("tty; echo \"TERM is $TERM\"\n");
        shell.shows("/dev/pts/0");
        shell.shows("TERM is xterm");
        shell.types(&format!("{WAIT}\n"));
        shell.shows("running");
        shell.types("\x1a");
        shell.shows("Stopped");
        shell.types("bg\n");
        shell.shows(&format!("{WAIT} &"));
        shell.types("kill %1; wait; jobs; echo \"no \"jobs\n");
        shell.shows("no jobs");
        shell.types("exit 5\n");
        assert_eq!(shell.exit_code(), 5);
    }
}

#[test]
fn ctrl_c_interrupts_the_command_and_not_the_shell() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let mut shell = bash(bailiwick);
        shell.types(&format!("{WAIT} || echo \"ended with $?\"\n"));
        shell.shows("running");
        shell.types("\x03");
        shell.types("echo \"still \"here\n");
        shell.shows("still here");
        shell.types("exit\n");
        assert_eq!(shell.exit_code(), 0);
        let mut alone = Terminal::start(
            bailiwick,
            &bailiwick
                .run()
                .prepared(["sh", "-c", "echo begun; exec sleep 100"]),
        );
        alone.shows("begun");
        alone.types("\x03");
        assert_eq!(alone.exit_code(), 130);
    }
}

#[test]
fn the_size_of_the_window_and_its_changes_arrive() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let mut shell = bash(bailiwick);
        shell.types("stty size\n");
        shell.shows("30 100");
        shell.resize(41, 137);
        // Keys and sizes go different ways, so that a key may be there first.
        shell.types("while [ \"$(stty size)\" = '30 100' ]; do sleep 0.05; done; stty size\n");
        shell.shows("41 137");
        shell.types("exit\n");
        assert_eq!(shell.exit_code(), 0);
        let told = "trap 'stty size; exit 0' WINCH; echo begun; while :; do sleep 0.05; done";
        let mut program = Terminal::start(bailiwick, &bailiwick.run().prepared(["sh", "-c", told]));
        program.shows("begun");
        program.resize(22, 88);
        program.shows("22 88");
        assert_eq!(program.exit_code(), 0);
    }
}

#[test]
fn the_end_of_the_input_and_every_key_arrive() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let mut cat = Terminal::start(bailiwick, &bailiwick.run().prepared(["cat"]));
        cat.types("grüße\n");
        cat.shows("grüße\r\ngrüße\r\n");
        cat.types("\x04");
        assert_eq!(cat.exit_code(), 0);
        let raw = "stty raw -echo; echo ready; head -c 4 | od -An -tx1; stty sane";
        let mut keys = Terminal::start(bailiwick, &bailiwick.run().prepared(["sh", "-c", raw]));
        keys.shows("ready");
        keys.types("\x03\x1a\x1c\x04");
        keys.shows("03 1a 1c 04");
        assert_eq!(keys.exit_code(), 0);
    }
}

#[test]
fn the_modes_of_the_terminal_come_back_however_it_ends() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        // As a text editor leaves it when it is killed.
        let spoil = "stty raw -echo; echo begun; exec sleep 100";
        for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
            let mut spoiled =
                Terminal::start(bailiwick, &bailiwick.run().prepared(["sh", "-c", spoil]));
            spoiled.shows("begun");
            rustix::process::kill_process(spoiled.process(), signal).expect("it runs");
            assert_eq!(spoiled.exit_code(), 128 + signal.as_raw());
            assert!(is_cooked(&spoiled), "after {signal:?}");
        }
        let mut ended = Terminal::start(
            bailiwick,
            &bailiwick
                .run()
                .prepared(["sh", "-c", "stty raw -echo; exit 3"]),
        );
        assert_eq!(ended.exit_code(), 3);
        assert!(is_cooked(&ended));
        let mut late = Terminal::start(
            bailiwick,
            &bailiwick
                .run()
                .option("--timeout")
                .option("1s")
                .prepared(["sleep", "100"]),
        );
        assert_eq!(late.exit_code(), 124);
        assert!(is_cooked(&late));
    }
}

/// Whether lines are edited, keys echoed, and Ctrl-C a signal.
fn is_cooked(terminal: &Terminal) -> bool {
    use rustix::termios::{LocalModes, OutputModes};
    let modes = terminal.modes();
    modes
        .local_modes
        .contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
        && modes.output_modes.contains(OutputModes::OPOST)
}

#[test]
fn a_stream_that_is_no_terminal_outside_is_none_inside() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let which = "exec 3>/workspace/streams; for n in 0 1 2; do test -t $n && printf t >&3 || printf - >&3; done";
        let command = || bailiwick.run().prepared(["sh", "-c", which]);
        let read =
            || std::fs::read_to_string(bailiwick.workspace().join("streams")).expect("a file");
        let all_three = Terminal::start(bailiwick, &command()).exit_code();
        assert_eq!((all_three, read().as_str()), (0, "ttt"));
        let to_file = Terminal::start_with(bailiwick, &command(), |program| {
            program.stdout(Stdio::null());
        })
        .exit_code();
        assert_eq!((to_file, read().as_str()), (0, "t-t"));
        let fed = Terminal::start_with(bailiwick, &command(), |program| {
            program.stdout(Stdio::null()).stderr(Stdio::null());
        })
        .exit_code();
        assert_eq!((fed, read().as_str()), (0, "t--"));
        bailiwick.run().script(which).success();
        assert_eq!(read(), "---");
    }
}
