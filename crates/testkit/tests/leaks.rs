//! The leak check finds what is left, and only that.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_testkit::{Child, LeakCheck, eventually};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

/// `cargo test` runs the tests of this file in one process, whose descendants they look at.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The processes that were left; what else there is belongs to the machine, where other tests run.
fn processes(check: &LeakCheck) -> Vec<String> {
    let leaks = check.leaks().into_iter();
    leaks.filter(|leak| leak.starts_with("process ")).collect()
}

/// Starts a process of which nobody is the parent any more, and returns its id.
fn orphan() -> Pid {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test leaves a process behind on purpose"
    )]
    let mut shell = std::process::Command::new("sh");
    let mut shell = Child::start(shell.args(["-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]));
    assert_eq!(shell.wait(PATIENCE), 0);
    Pid::from_raw(shell.printed().trim().parse().unwrap()).unwrap()
}

#[test]
fn an_orphan_is_a_leak_until_it_is_gone() {
    let _alone = alone();
    let check = LeakCheck::begin();
    assert_eq!(processes(&check), [""; 0], "control: nothing is left yet");
    let orphan = orphan();
    let name = format!("process {} (sleep)", orphan.as_raw_nonzero());
    eventually("the orphan is seen", PATIENCE, || {
        (processes(&check) == [name.clone()]).then_some(())
    });
    kill_process(orphan, Signal::KILL).unwrap();
}

#[test]
#[should_panic(expected = "the test left behind")]
fn a_leak_fails_the_test() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("entry"), "").unwrap();
    let mut check = LeakCheck::begin();
    check.watch_directory(directory.path());
}

#[test]
fn an_empty_or_missing_directory_is_no_leak() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let mut check = LeakCheck::begin();
    check.watch_directory(directory.path());
    check.watch_directory(&directory.path().join("missing"));
}

#[test]
fn a_child_that_the_test_holds_is_seen_and_ends_with_its_value() {
    let _alone = alone();
    let check = LeakCheck::begin();
    #[expect(
        clippy::disallowed_methods,
        reason = "the test starts a process to watch"
    )]
    let mut sleep = std::process::Command::new("sleep");
    let mut child = Child::start(sleep.arg("1000"));
    assert_eq!(processes(&check).len(), 1);
    child.signal(Signal::TERM);
    assert_eq!(child.wait(PATIENCE), 128 + 15);
}

#[test]
fn an_entry_whose_lock_is_held_is_in_use() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("entry")).unwrap();
    let lock = fs::File::create(directory.path().join("entry/lock")).unwrap();
    let mut check = LeakCheck::begin();
    check.watch_directory(directory.path());
    let entry = format!("entry {}", directory.path().join("entry").display());
    let is_left = || check.leaks().contains(&entry);
    assert!(is_left(), "control: nobody holds it");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(!is_left());
    fs::remove_dir_all(directory.path().join("entry")).unwrap();
}

#[cfg(feature = "system-tests")]
#[test]
fn a_network_namespace_of_a_test_that_runs_is_no_leak_of_another() {
    if !bailiwick_testkit::User::current().is_root() {
        eprintln!("skipped: only root makes network namespaces with names");
        return;
    }
    let _alone = alone();
    #[expect(
        clippy::disallowed_methods,
        reason = "the test makes something of the machine's"
    )]
    let ip = |what: &str, name: &str| {
        let done = std::process::Command::new("ip")
            .args(["netns", what, name])
            .status();
        assert!(done.expect("iproute2").success());
    };
    let check = LeakCheck::begin();
    // Process 1 always runs.
    let [others, own] = [1, std::process::id()].map(|id| format!("bailiwick-test-{id}-leaks"));
    ip("add", &others);
    ip("add", &own);
    let leaks = check.leaks();
    ip("del", &others);
    ip("del", &own);
    let names = |name: &str| leaks.iter().any(|leak| leak.contains(name));
    assert!(!names(&others) && !names("mount"), "{leaks:?}");
    assert!(names(&own), "control: {leaks:?}");
}
