//! Limits on what a command uses up.

use std::time::Duration;

use bailiwick_testkit::Bailiwick;

use crate::support::{everyone, root, run};

/// How `run` ends when it cannot keep what was asked for.
const REFUSED: i32 = 125;

fn python(bailiwick: &Bailiwick, options: &[&str], program: &str) -> bailiwick_testkit::Outcome {
    run(bailiwick, options).command(["/usr/bin/python3", "-c", program])
}

#[test]
fn a_command_that_takes_too_much_memory_is_killed_and_the_summary_says_so() {
    let Some((_leaks, bailiwick)) = root() else {
        return;
    };
    let take = "x = bytearray(300 << 20); print(len(x))";
    let outcome = python(&bailiwick, &["--memory", "64MiB"], take).exits(137);
    assert!(
        outcome.stderr.contains("the memory limit was reached"),
        "{}",
        outcome.stderr
    );
    let enough = python(&bailiwick, &["--memory", "1GiB"], take).success();
    assert!(!enough.stderr.contains("memory limit"), "{}", enough.stderr);
}

#[test]
fn files_in_private_directories_count_as_memory() {
    let Some((_leaks, bailiwick)) = root() else {
        return;
    };
    let outcome = run(&bailiwick, &["--memory", "64MiB"])
        .script("head -c 300M /dev/zero > /tmp/x && echo written");
    assert_eq!(outcome.stdout, "", "{outcome:#?}");
}

#[test]
fn a_fork_bomb_stops_at_the_limit_and_ends_with_the_sandbox() {
    let Some((_leaks, bailiwick)) = root() else {
        return;
    };
    let count = "
import os, time
made = 0
try:
    while made < 200:
        if os.fork() == 0:
            time.sleep(60); os._exit(0)
        made += 1
except BlockingIOError:
    pass
print(made)";
    let made: u32 = python(&bailiwick, &["--pids", "32"], count)
        .success()
        .stdout
        .trim()
        .parse()
        .expect("a number");
    assert!((20..32).contains(&made), "{made}");
    let bomb = run(&bailiwick, &["--pids", "64", "--timeout", "2s"]).command([
        "bash",
        "-c",
        ":(){ :|:& };:; sleep 60",
    ]);
    assert!(
        bomb.duration < Duration::from_secs(40),
        "{:?}",
        bomb.duration
    );
}

#[test]
fn threads_count_as_processes_do() {
    let Some((_leaks, bailiwick)) = root() else {
        return;
    };
    let count = "
import threading, time
made = 0
try:
    while made < 200:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        made += 1
except RuntimeError:
    pass
print(made, flush=True)
import os; os._exit(0)";
    let made: u32 = python(&bailiwick, &["--pids", "32"], count)
        .success()
        .stdout
        .trim()
        .parse()
        .expect("a number");
    assert!((20..32).contains(&made), "{made}");
}

#[test]
fn what_is_written_outside_the_work_directory_stops_at_the_limit() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let fill = "cd \"$1\" && head -c 50M /dev/zero > fill; wc -c < fill";
        for directory in ["/tmp", "/var/tmp", "/home/agent", "/run", "/dev/shm"] {
            let outcome = run(bailiwick, &["--disk", "10MiB"])
                .command(["sh", "-c", fill, "sh", directory])
                .success();
            assert!(
                outcome.stderr.contains("No space left on device"),
                "{directory}: {outcome:#?}"
            );
            let written: u64 = outcome.stdout.trim().parse().expect("a number");
            assert!(
                (5 << 20..=10 << 20).contains(&written),
                "{directory}: {written}"
            );
        }
        let all_together = "for d in /tmp /var/tmp /home/agent /run /dev/shm; do head -c 5M /dev/zero > $d/fill; done; cat /tmp/fill /var/tmp/fill /home/agent/fill /run/fill /dev/shm/fill | wc -c";
        let written: u64 = run(bailiwick, &["--disk", "10MiB"])
            .script(all_together)
            .success()
            .stdout
            .trim()
            .parse()
            .expect("a number");
        assert!(written <= 10 << 20, "the limit is one for all: {written}");
        let outcome = run(bailiwick, &["--disk", "10MiB"])
            .command(["sh", "-c", fill, "sh", "/workspace"])
            .success();
        assert_eq!(
            outcome.stdout.trim(),
            (50_u64 << 20).to_string(),
            "the work directory is the caller's"
        );
    }
}

#[test]
fn root_inside_meets_the_same_limit_in_the_system() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let fill = "head -c 50M /dev/zero > /usr/fill; head -c 50M /dev/zero > /etc/fill; head -c 50M /dev/zero > /root/fill; wc -c < /usr/fill";
        let outcome = run(bailiwick, &["--root", "--disk", "10MiB"])
            .script(fill)
            .success();
        assert!(
            outcome.stderr.contains("No space left on device"),
            "{outcome:#?}"
        );
        assert!(outcome.stdout.trim().parse::<u64>().expect("a number") <= 10 << 20);
    }
}

#[test]
fn files_without_content_stop_at_a_limit_too() {
    let (_leaks, all) = everyone();
    let count = "
import os
print({int(os.statvfs(path).f_files <= 1_000_000) for path in ('/tmp', '/var/tmp', '/run', '/dev/shm', '/home/agent')})";
    for bailiwick in &all {
        assert_eq!(python(bailiwick, &[], count).success().stdout, "{1}\n");
    }
    // Once is enough: it takes ten seconds, and a minute where others are at work.
    if let Some(bailiwick) = all.last() {
        let fill = "
import os, errno
made = 0
try:
    for d in range(1200):
        os.mkdir(f'/tmp/{d}')
        for n in range(1000):
            os.mknod(f'/tmp/{d}/{n}'); made += 1
except OSError as error:
    print(made, errno.errorcode[error.errno])";
        let patient = bailiwick.run().patience(Duration::from_secs(240));
        let outcome = patient.command(["/usr/bin/python3", "-c", fill]).success();
        let (made, error) = outcome.stdout.trim().split_once(' ').expect("it stopped");
        assert!(
            made.parse::<u32>().expect("a number") <= 1_000_000 && error == "ENOSPC",
            "{}",
            outcome.stdout
        );
    }
}

#[test]
fn alone_half_a_processor_does_half_the_work() {
    let Some((_leaks, bailiwick)) = root() else {
        return;
    };
    let burn = "
import time
end = time.monotonic() + 2
while time.monotonic() < end: pass
print(time.process_time())";
    let used = |options: &[&str]| {
        python(&bailiwick, options, burn)
            .success()
            .stdout
            .trim()
            .parse::<f64>()
            .expect("a number")
    };
    let half = used(&["--cpus", "0.5"]);
    assert!(
        (0.3..1.3).contains(&half),
        "{half} s of processor time in 2 s"
    );
}

#[test]
fn a_limit_that_cannot_be_kept_is_refused_and_one_that_needs_no_control_group_is_kept() {
    let (_leaks, all) = everyone();
    for bailiwick in all.iter().filter(|bailiwick| !bailiwick.user().is_root()) {
        for (limit, what) in [
            (["--memory", "64MiB"], "memory"),
            (["--pids", "20"], "pids"),
            (["--cpus", "1"], "cpu"),
        ] {
            let outcome = run(bailiwick, &limit).command(["touch", "started"]);
            if outcome.code == 0 {
                // The test runs in a control group that was delegated to the user.
                continue;
            }
            assert_eq!(outcome.code, REFUSED);
            assert!(
                outcome.stderr.contains(what)
                    && outcome.stderr.contains("systemd-run --user --scope"),
                "{}",
                outcome.stderr
            );
            assert!(!bailiwick.workspace().join("started").exists());
        }
        let files = "
import os
opened = []
try:
    while True: opened.append(os.open('/dev/null', os.O_RDONLY))
except OSError as error: print(len(opened) < 70000, error.strerror)";
        assert_eq!(
            python(bailiwick, &[], files).success().stdout,
            "True Too many open files\n"
        );
    }
}
