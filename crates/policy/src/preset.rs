//! Named lists of hosts that an environment can allow at once.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::list::{ListEntry, host_rules};

/// A named, versioned list of host rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Preset {
    /// What builds commonly fetch from.
    CommonDependencies,
    /// Registries of language package managers and containers.
    PackageManagers,
}

/// No preset has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset {0:?}; there are `common_dependencies` and `package_managers`")]
pub struct UnknownPreset(pub String);

impl Preset {
    /// Every preset.
    pub const ALL: &[Self] = &[Self::CommonDependencies, Self::PackageManagers];

    /// The name by which an environment file asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommonDependencies => "common_dependencies",
            Self::PackageManagers => "package_managers",
        }
    }

    /// Raised whenever the entries change.
    pub fn version(self) -> u32 {
        match self {
            Self::CommonDependencies | Self::PackageManagers => 1,
        }
    }

    /// The list, in the order of its data file.
    pub fn entries(self) -> &'static [ListEntry] {
        static COMMON_DEPENDENCIES: LazyLock<Vec<ListEntry>> =
            LazyLock::new(|| host_rules(include_str!("../data/presets/common_dependencies.txt")));
        static PACKAGE_MANAGERS: LazyLock<Vec<ListEntry>> =
            LazyLock::new(|| host_rules(include_str!("../data/presets/package_managers.txt")));
        match self {
            Self::CommonDependencies => &COMMON_DEPENDENCIES,
            Self::PackageManagers => &PACKAGE_MANAGERS,
        }
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        Self::ALL
            .iter()
            .copied()
            .find(|preset| preset.name() == name)
            .ok_or_else(|| UnknownPreset(name.to_owned()))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
