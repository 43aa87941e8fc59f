//! Pipes and files as standard streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use bailiwick_testkit::{User, eventually};

use crate::support::{everyone, host_command, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes without a pattern, of every value.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Feeds a command and returns what comes out.
fn pipe(command: &mut Command, input: Vec<u8>) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("bailiwick");
    let mut stdin = child.stdin.take().expect("a pipe");
    let feeder = thread::spawn(move || stdin.write_all(&input));
    let mut output = Vec::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_end(&mut output)
        .expect("it can be read");
    assert!(child.wait().expect("it ends").success());
    feeder
        .join()
        .expect("a thread")
        .expect("everything is taken");
    output
}

#[test]
fn ten_megabytes_come_through_byte_for_byte() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let input = noise(10 << 20);
        let output = pipe(&mut bailiwick.run().prepared(["cat"]), input.clone());
        assert!(output == input, "{} bytes came back", output.len());
    }
}

#[test]
fn the_end_of_the_input_arrives() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        assert_eq!(
            pipe(
                &mut bailiwick.run().prepared(["wc", "-c"]),
                b"12345".to_vec()
            ),
            b"5\n"
        );
        bailiwick.run().command(["cat"]).success();
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let mut command = bailiwick.run().prepared(["yes"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bailiwick");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        assert_eq!(line, "y\n");
        // The reader is gone; SIGPIPE ends what goes on writing, as it does on the host.
        let status = eventually("the end of yes", PATIENCE, || {
            child.try_wait().expect("it can be waited for")
        });
        assert_eq!((status.code(), status.signal()), (Some(141), None));
    }
}

#[test]
fn output_and_complaints_stay_apart() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = run(bailiwick, &["--quiet"])
            .script("echo out; echo complaint >&2")
            .success();
        assert_eq!(
            (outcome.stdout.as_str(), outcome.stderr.as_str()),
            ("out\n", "complaint\n")
        );
    }
}

#[test]
fn a_pipe_can_be_opened_again_by_its_name() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let again = run(bailiwick, &["--quiet"]).prepared([
            "sh",
            "-c",
            "cat /dev/stdin >/dev/stdout; echo complaint >/dev/stderr",
        ]);
        // A shell of the user's own makes the pipes: a pipe of somebody else's cannot be opened by name outside either.
        let mut shell = host_command("sh");
        shell
            .args(["-c", "echo in | \"$@\" 2>&1 | cat", "sh"])
            .arg(again.get_program())
            .args(again.get_args());
        shell
            .envs(
                again
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(bailiwick.workspace());
        if bailiwick.user() != User::current() {
            shell.uid(bailiwick.user().uid).gid(bailiwick.user().gid);
        }
        let output = shell.output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "in\ncomplaint\n");
    }
}

#[test]
fn a_file_is_read_and_appended_to() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let input = bailiwick.write(bailiwick.home().join("input"), "one\ntwo\n");
        let output = bailiwick.write(bailiwick.home().join("output"), "zero\n");
        let mut command = bailiwick.run().prepared(["cat"]);
        let open = std::fs::OpenOptions::new()
            .append(true)
            .open(&output)
            .expect("a file");
        let status = command
            .stdin(std::fs::File::open(input).expect("a file"))
            .stdout(open)
            .status()
            .expect("bailiwick");
        assert!(status.success());
        assert_eq!(
            std::fs::read_to_string(output).expect("a file"),
            "zero\none\ntwo\n"
        );
    }
}

#[test]
fn no_other_descriptor_of_the_caller_goes_inside() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = bailiwick.run().script("ls /proc/self/fd").success();
        // The fourth is of ls itself.
        assert_eq!(
            outcome.stdout.split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3"]
        );
    }
}
