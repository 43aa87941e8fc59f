//! What the cases share: who runs them, the two examples, and changes to them.

use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick_model::{Reason, Verdict};
use bailiwick_testkit::{Bailiwick, LeakCheck, Outcome, User};

/// The example of a Node.js project; its packages are what `images` is about.
pub(crate) const NODE_TEST: &str =
    without_packages(include_str!("../../../../examples/node-test.yaml"));
/// The example of a payments team, also without its packages.
pub(crate) const PAYMENTS_DEV: &str =
    without_packages(include_str!("../../../../examples/payments-dev.yaml"));

/// A program that is refused gives up by itself in this time, if it is told not to try again.
pub(crate) const REFUSED_WITHIN: Duration = Duration::from_secs(20);

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

/// The text up to its packages, which come last.
const fn without_packages(text: &str) -> &str {
    let mut end = 0;
    while !matches!(
        text.as_bytes().split_at(end).1,
        [b'p', b'a', b'c', b'k', b'a', b'g', b'e', b's', b':', ..]
    ) {
        end += 1;
    }
    text.split_at(end - 2).0
}

/// The text with one part replaced, which must be there.
#[track_caller]
pub(crate) fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the example has no {from:?} any more");
    text.replace(from, to)
}

/// The example of a Node.js project, without the registries.
pub(crate) fn without_registries() -> String {
    changed(
        NODE_TEST,
        "allow_package_managers: true",
        "allow_package_managers: false",
    )
}

/// Requires that nothing but denials of this destination happened, and that the summary tells the person what to do.
#[track_caller]
pub(crate) fn was_denied(outcome: &Outcome, destination: &str, reason: Reason, hint: &str) {
    let denied = outcome.flows_to(destination);
    assert!(!denied.is_empty(), "no flow to {destination}: {outcome:#?}");
    assert!(
        denied
            .iter()
            .all(|flow| (flow.verdict, flow.reason) == (Verdict::Deny, reason)),
        "{denied:#?}"
    );
    let line = |words: &[&str]| {
        outcome
            .stderr
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(
        line(&["denied", destination, reason.code()]),
        "{}",
        outcome.stderr
    );
    assert!(line(&[hint]), "no hint {hint:?}: {}", outcome.stderr);
    assert!(
        outcome.duration < REFUSED_WITHIN,
        "refused only after {:?}",
        outcome.duration
    );
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

/// Runs a script on the host, for a control; returns all that it printed.
pub(crate) fn on_host(script: &str) -> String {
    let output = host_command("sh")
        .args(["-c", script])
        .output()
        .expect("a shell");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
