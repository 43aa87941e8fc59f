//! The hosts that package managers install from: what stands behind `allow_package_managers`.

use std::sync::LazyLock;

use bailiwick_model::PackageManager;

use crate::list::{ListEntry, host_rules};

/// The hosts that installs of a manager need: what a build that declares its packages may reach.
pub fn registries(manager: PackageManager) -> &'static [ListEntry] {
    static APT: LazyLock<Vec<ListEntry>> =
        LazyLock::new(|| host_rules(include_str!("../data/registries/apt.txt")));
    static CARGO: LazyLock<Vec<ListEntry>> =
        LazyLock::new(|| host_rules(include_str!("../data/registries/cargo.txt")));
    static GEM: LazyLock<Vec<ListEntry>> =
        LazyLock::new(|| host_rules(include_str!("../data/registries/gem.txt")));
    static GO: LazyLock<Vec<ListEntry>> =
        LazyLock::new(|| host_rules(include_str!("../data/registries/go.txt")));
    static NPM: LazyLock<Vec<ListEntry>> =
        LazyLock::new(|| host_rules(include_str!("../data/registries/npm.txt")));
    static PIP: LazyLock<Vec<ListEntry>> =
        LazyLock::new(|| host_rules(include_str!("../data/registries/pip.txt")));
    match manager {
        PackageManager::Apt => &APT,
        PackageManager::Cargo => &CARGO,
        PackageManager::Gem => &GEM,
        PackageManager::Go => &GO,
        PackageManager::Npm => &NPM,
        PackageManager::Pip => &PIP,
    }
}

/// What `allow_package_managers` opens in a session: the published list and the registries of every manager, each rule once.
pub fn session_registries() -> &'static [ListEntry] {
    static SESSION: LazyLock<Vec<ListEntry>> = LazyLock::new(|| {
        let mut union = host_rules(include_str!("../data/registries/published.txt"));
        for entry in PackageManager::ALL
            .iter()
            .flat_map(|manager| registries(*manager))
        {
            if !union.iter().any(|known| known.pattern == entry.pattern) {
                union.push(entry.clone());
            }
        }
        union
    });
    &SESSION
}
