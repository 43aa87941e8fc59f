//! The official conformance suite: what it requires of servers of the last revision with sessions, and of the one without.
//!
//! What is not passed is in a file for each revision, with the reasons, in the suite's own form: it fails where something else is not passed,
//! and where something of it is.

use std::fs;
use std::process::Output;

use bailiwick_testkit::Sdk;

use super::World;

/// The version of the suite: the first ones that ask for the revision without sessions.
const VERSION: &str = "0.2.0-alpha.12";
/// What is not passed of each revision, and how many entries there may be: these only become fewer.
const REVISIONS: [(&str, &str, usize); 2] = [
    ("2025-11-25", include_str!("not_passed_2025.yaml"), 4),
    ("2026-07-28", include_str!("not_passed_2026.yaml"), 14),
];

/// Runs what the suite requires of a revision, in a directory where it may leave what it found.
fn suite(url: &str, revision: &str, not_passed: &str) -> Output {
    let results = tempfile::tempdir().unwrap();
    let baseline = results.path().join("not_passed.yaml");
    fs::write(&baseline, not_passed).unwrap();
    let baseline = baseline.to_str().unwrap();
    let which = ["--requirements", revision, "--expected-failures", baseline];
    let arguments = [&["server", "--url", url][..], &which].concat();
    let mut suite = Sdk::mcp_conformance(VERSION, &arguments);
    suite.current_dir(results.path()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_suite_is_passed_but_for_what_is_said() {
    let world = World::conformance().await;
    for (revision, not_passed, most) in REVISIONS {
        let entries = not_passed
            .lines()
            .filter(|line| line.trim_start().starts_with("- "));
        assert!(entries.count() <= most, "{not_passed}");
        let url = world.url();
        let run = tokio::task::spawn_blocking(move || suite(&url, revision, not_passed));
        let output = run.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        println!("{said}\n{complained}");
        assert!(output.status.success(), "{revision}: {said}\n{complained}");
    }
}
