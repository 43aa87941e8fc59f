//! The official conformance suite.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_testkit::Sdk;

use super::World;

/// The version of the suite.
const VERSION: &str = "0.1.16";
/// Scenarios that are not served, with reasons; it may only shrink.
const NOT_APPLICABLE: &str = include_str!("not_applicable.txt");

/// Runs the suite, in a directory where it may leave what it found.
fn suite(arguments: &[&str]) -> String {
    let results = tempfile::tempdir().unwrap();
    let mut suite = Sdk::mcp_conformance(VERSION, arguments);
    let output = suite.current_dir(results.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_of_the_official_suite_passes_but_those_that_are_not_applicable() {
    let world = World::conformance().await;
    let url = world.url();
    let said = tokio::task::spawn_blocking(move || suite(&["server", "--url", &url]));
    let said = said.await.unwrap();
    println!("{said}");
    let mut results = BTreeMap::new();
    for line in said.lines() {
        let passed = line.strip_prefix("✓ ").map(|rest| (rest, true));
        let failed = || line.strip_prefix("✗ ").map(|rest| (rest, false));
        if let Some((rest, has_passed)) = passed.or_else(failed)
            && let Some((scenario, _)) = rest.split_once(": ")
        {
            results.insert(scenario.to_owned(), has_passed);
        }
    }
    let lines = NOT_APPLICABLE.lines().filter(|line| !line.starts_with('#'));
    let expected: BTreeSet<_> = lines
        .filter_map(|line| line.split_once(' '))
        .map(|(name, _)| name.to_owned())
        .collect();
    let failed: BTreeSet<_> = results
        .iter()
        .filter(|(_, has_passed)| !**has_passed)
        .map(|(name, _)| name.clone())
        .collect();
    assert!(results.len() >= 25, "{results:?}");
    assert_eq!(failed, expected);
}
