//! What the cases share.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use bailiwick_testkit::{Bailiwick, LeakCheck, Run, User};

/// `bailiwick` for each user who can run it here, and a check that none leaves anything behind.
pub(crate) fn everyone() -> (LeakCheck, Vec<Bailiwick>) {
    if !User::current().is_root() {
        eprintln!("skipped as root: this test runs as an ordinary user");
    }
    let mut leaks = LeakCheck::begin();
    let all = Bailiwick::each(env!("CARGO_BIN_EXE_bailiwick"));
    all.iter()
        .for_each(|one| leaks.watch_directory(&one.sandboxes()));
    (leaks, all)
}

/// `bailiwick` for root, if root runs the test; anybody else is told.
pub(crate) fn root() -> Option<(LeakCheck, Bailiwick)> {
    let (leaks, mut all) = everyone();
    if User::current().is_root() {
        Some((leaks, all.remove(0)))
    } else {
        None
    }
}

/// `bailiwick run` with these options.
pub(crate) fn run<'a>(bailiwick: &'a Bailiwick, options: &[&str]) -> Run<'a> {
    options
        .iter()
        .fold(bailiwick.run(), |run, option| run.option(*option))
}

/// A program of this machine, beside the product.
#[expect(
    clippy::disallowed_methods,
    reason = "controls and the stage are the test's own"
)]
pub(crate) fn host_command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A program of this machine that must succeed; what it printed.
#[track_caller]
pub(crate) fn on_host(program: &str, arguments: &[&str]) -> String {
    let output = host_command(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Whether these files exist in the work directory.
pub(crate) fn in_workspace(bailiwick: &Bailiwick) -> Vec<String> {
    let entries = std::fs::read_dir(bailiwick.workspace()).expect("the work directory");
    let mut names: Vec<_> = entries
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()).display().to_string())
        .collect();
    names.sort();
    names
}
