//! The package managers that there are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A package manager that an environment can declare packages of; they are ordered as they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageManager {
    /// Debian's and Ubuntu's.
    Apt,
    /// Rust's: programs, with `cargo install`.
    Cargo,
    /// Ruby's.
    Gem,
    /// Go's: programs, with `go install`.
    Go,
    /// Node's.
    Npm,
    /// Python's.
    Pip,
}

/// No package manager has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no package manager {0:?}; there are apt, cargo, gem, go, npm and pip")]
pub struct UnknownPackageManager(pub String);

impl PackageManager {
    /// Every package manager, in the order in which packages are installed (Managed Agents: alphabetical).
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

    /// How its packages are written: the forms and examples of them, each of which is a valid spec.
    pub fn spec_forms(self) -> &'static str {
        match self {
            Self::Apt => {
                "NAME, NAME=VERSION, NAME:ARCHITECTURE or NAME/SUITE, such as \"graphviz\" or \"python3-pip=23.0.1+dfsg-1\""
            }
            Self::Cargo => {
                "NAME, NAME@VERSION or NAME@REQUIREMENT, such as \"hyperfine@1.18.0\" or \"hyperfine@^1.18\""
            }
            Self::Gem => {
                "NAME, NAME:VERSION or NAME:REQUIREMENT, such as \"rails:7.1.0\" or \"rails:~>7.1\""
            }
            Self::Go => "PATH or PATH@VERSION, such as \"golang.org/x/tools/cmd/goimports@latest\"",
            Self::Npm => {
                "NAME, NAME@VERSION, NAME@RANGE or NAME@TAG, such as \"express@4.18.0\", \"@types/node@^20\" or \"npm@latest\""
            }
            Self::Pip => {
                "NAME, NAME==VERSION or NAME with specifiers, such as \"pytest==8.3.4\" or \"Flask[async]>=2,<3\""
            }
        }
    }
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
