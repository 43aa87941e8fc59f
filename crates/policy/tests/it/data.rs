//! The data files.

use std::collections::HashSet;

use bailiwick_model::PackageManager;
use bailiwick_policy::{HostPattern, ListEntry, Preset, registries, session_registries};

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
        .map(|manager| registries(*manager));
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
    insta::assert_snapshot!(names(Preset::CommonDependencies.entries()).join(" "), @"alpinelinux.org archlinux.org bitbucket.org centos.org crates.io debian.org docker.com docker.io *.docker.io fedoraproject.org files.pythonhosted.org gcr.io ghcr.io github.com *.github.com githubusercontent.com *.githubusercontent.com gitlab.com golang.org goproxy.io gradle.org hex.pm maven.org mcr.microsoft.com nodejs.org npmjs.com npmjs.org nuget.org packagecloud.io packages.microsoft.com packagist.org pkg.go.dev production.cloudflare.docker.com pub.dev pypa.io pypi.org pypi.python.org raw.githubusercontent.com objects.githubusercontent.com quay.io registry-1.docker.io registry.npmjs.org ruby-lang.org rubygems.org rustup.rs ubuntu.com yarnpkg.com");
    insta::assert_snapshot!(names(Preset::PackageManagers.entries()).join(" "), @"crates.io files.pythonhosted.org gcr.io ghcr.io golang.org goproxy.io gradle.org hex.pm maven.org mcr.microsoft.com npmjs.com npmjs.org nuget.org packagist.org pkg.go.dev registry-1.docker.io registry.npmjs.org rubygems.org rustup.rs pub.dev pypi.org pypi.python.org pythonhosted.org quay.io docker.io *.docker.io production.cloudflare.docker.com yarnpkg.com");
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
        for name in names(registries(*manager)) {
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
