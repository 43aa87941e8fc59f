//! The data files.

use std::collections::HashSet;

use bailiwick_policy::{HostPattern, ListEntry, PackageManager, Preset, session_registries};

fn names(entries: &[ListEntry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| entry.pattern.to_string())
        .collect()
}

#[test]
fn every_entry_has_a_comment_and_stands_once() {
    let presets = Preset::ALL.iter().map(|preset| preset.entries());
    let registries = PackageManager::ALL
        .iter()
        .map(|manager| manager.registries());
    for list in presets.chain(registries).chain([session_registries()]) {
        let distinct: HashSet<&HostPattern> = list.iter().map(|entry| &entry.pattern).collect();
        assert_eq!(distinct.len(), list.len());
        for entry in list {
            assert!(
                !entry.comment.is_empty(),
                "{} has no comment",
                entry.pattern
            );
        }
    }
}

#[test]
fn only_one_entry_opens_a_shared_suffix() {
    let presets = Preset::ALL.iter().flat_map(|preset| preset.entries());
    let shared = presets
        .chain(session_registries())
        .filter(|entry| entry.pattern.warning().is_some());
    let shared: Vec<String> = shared.map(|entry| entry.pattern.to_string()).collect();
    assert_eq!(shared, ["*.githubusercontent.com"]);
}

#[test]
fn the_presets_hold_what_their_version_says() {
    insta::assert_snapshot!(names(Preset::CommonDependencies.entries()).join(" "), @"");
    insta::assert_snapshot!(names(Preset::PackageManagers.entries()).join(" "), @"");
    assert_eq!(
        (
            Preset::CommonDependencies.version(),
            Preset::PackageManagers.version()
        ),
        (1, 1)
    );
}

#[test]
fn a_session_gets_the_published_list_and_every_manager() {
    let session = names(session_registries());
    for published in [
        "github.com",
        "repo1.maven.org",
        "packagist.org",
        "ghcr.io",
        "archive.ubuntu.com",
        "plugins-artifacts.gradle.org",
    ] {
        assert!(
            session.iter().any(|name| name == published),
            "{published} is missing"
        );
    }
    for manager in PackageManager::ALL {
        for name in names(manager.registries()) {
            assert!(session.contains(&name), "{name} of {manager} is missing");
        }
    }
}

#[test]
fn names_of_presets_and_managers_parse() {
    for preset in Preset::ALL {
        assert_eq!(preset.name().parse(), Ok(*preset));
    }
    for manager in PackageManager::ALL {
        assert_eq!(manager.name().parse(), Ok(*manager));
    }
    assert!("everything".parse::<Preset>().is_err());
    assert!("brew".parse::<PackageManager>().is_err());
}
