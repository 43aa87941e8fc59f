//! The hosts that package managers install from: what stands behind `allow_package_managers`.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::list::{ListEntry, host_rules};

/// A package manager that an environment can declare packages of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackageManager {
    /// Debian's and Ubuntu's.
    Apt,
    /// Rust's, with rustup.
    Cargo,
    /// Ruby's, with bundler.
    Gem,
    /// Go's.
    Go,
    /// Node's, with yarn and pnpm.
    Npm,
    /// Python's, with uv and poetry.
    Pip,
}

/// No package manager has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no package manager {0:?}; there are apt, cargo, gem, go, npm and pip")]
pub struct UnknownPackageManager(pub String);

impl PackageManager {
    /// Every package manager, in the order in which packages are installed.
    pub const ALL: &[Self] = &[
        Self::Apt,
        Self::Cargo,
        Self::Gem,
        Self::Go,
        Self::Npm,
        Self::Pip,
    ];

    /// The name in an environment file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Cargo => "cargo",
            Self::Gem => "gem",
            Self::Go => "go",
            Self::Npm => "npm",
            Self::Pip => "pip",
        }
    }

    /// The hosts that its installs need: what a build that declares packages of this manager may reach.
    pub fn registries(self) -> &'static [ListEntry] {
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
        match self {
            Self::Apt => &APT,
            Self::Cargo => &CARGO,
            Self::Gem => &GEM,
            Self::Go => &GO,
            Self::Npm => &NPM,
            Self::Pip => &PIP,
        }
    }
}

/// What `allow_package_managers` opens in a session: the published list and the registries of every manager, each rule once.
pub fn session_registries() -> &'static [ListEntry] {
    static SESSION: LazyLock<Vec<ListEntry>> = LazyLock::new(|| {
        let mut union = host_rules(include_str!("../data/registries/published.txt"));
        for entry in PackageManager::ALL
            .iter()
            .flat_map(|manager| manager.registries())
        {
            if !union.iter().any(|known| known.pattern == entry.pattern) {
                union.push(entry.clone());
            }
        }
        union
    });
    &SESSION
}

impl FromStr for PackageManager {
    type Err = UnknownPackageManager;

    fn from_str(name: &str) -> Result<Self, UnknownPackageManager> {
        Self::ALL
            .iter()
            .copied()
            .find(|manager| manager.name() == name)
            .ok_or_else(|| UnknownPackageManager(name.to_owned()))
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
