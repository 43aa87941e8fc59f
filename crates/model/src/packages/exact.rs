//! One package at one version, as a lock has it.

use super::semver::is_full;
use super::{PackageSpec, PackageSpecProblem};
use crate::PackageManager;

impl PackageSpec {
    /// The spec that asks for exactly this version of this package: `pytest==8.3.4`, `@types/node@20.1.0`, `rails:7.1.0`.
    ///
    /// Of apt a name may have an architecture (`libc6:i386`); no name has extras.
    ///
    /// # Errors
    ///
    /// What [`PackageSpec::parse`] finds, and [`PackageSpecProblem::Inexact`] where the two are not a name and one version.
    pub fn exact(
        manager: PackageManager,
        name: &str,
        version: &str,
    ) -> Result<Self, PackageSpecProblem> {
        let separator = match manager {
            PackageManager::Apt => "=",
            PackageManager::Cargo | PackageManager::Go | PackageManager::Npm => "@",
            PackageManager::Gem => ":",
            PackageManager::Pip => "==",
        };
        let spec = Self::parse(manager, &format!("{name}{separator}{version}"))?;
        // Of text that was put together, each part must be read as what it was.
        let read_version = spec.version().unwrap_or_default();
        let read_version = match manager {
            PackageManager::Pip => read_version.strip_prefix("==").unwrap_or_default(),
            PackageManager::Apt
            | PackageManager::Cargo
            | PackageManager::Gem
            | PackageManager::Go
            | PackageManager::Npm => read_version,
        };
        let name_is_whole = spec.name() == name
            || manager == PackageManager::Apt
                && name
                    .split_once(':')
                    .is_some_and(|(name, _)| name == spec.name());
        if name_is_whole && read_version == version && is_one(manager, version) {
            Ok(spec)
        } else {
            Err(PackageSpecProblem::Inexact(version.to_owned()))
        }
    }
}

/// Whether a version, which its manager takes, is one and not many.
fn is_one(manager: PackageManager, version: &str) -> bool {
    match manager {
        PackageManager::Cargo | PackageManager::Npm => is_full(version),
        // A tag, which names one commit for ever: branches and `latest` are others tomorrow.
        PackageManager::Go => version.strip_prefix('v').is_some_and(is_full),
        PackageManager::Apt | PackageManager::Gem | PackageManager::Pip => {
            version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains(['*', ','])
        }
    }
}
