//! The packages that an environment declares, and the grammar that each of them must have.
//!
//! A spec becomes an argument of a package manager that runs as root inside, so what it can mean is settled here: a name
//! of the manager's own registry, and a version. Whatever a manager would take for an option, a file, a place on the
//! network or a pattern is no spec. Nothing here knows which packages exist.

mod apt;
mod cargo;
mod exact;
mod gem;
mod go;
mod manager;
mod npm;
mod pip;
mod problem;
mod semver;
mod spec;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::limits;

pub use manager::{PackageManager, UnknownPackageManager};
pub use problem::PackageSpecProblem;
pub use spec::PackageSpec;

/// The packages of one environment, by manager, in the order in which managers run (Managed Agents: alphabetical).
///
/// The packages of one manager keep the order in which they were declared; none is there twice, and there are at most
/// [`PACKAGES`](limits::PACKAGES) in all. Serialised, every manager has its list, be it empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Packages {
    /// No list is empty.
    lists: BTreeMap<PackageManager, Vec<PackageSpec>>,
}

/// Why a package cannot be added to others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackagesProblem {
    /// The same text is there already.
    #[error("the package {0} of {manager} is listed twice", manager = .0.manager())]
    Duplicate(PackageSpec),
    /// There are as many as there may be.
    #[error("an environment has at most {limit} packages of all managers together", limit = limits::PACKAGES)]
    TooMany,
}

impl Packages {
    /// Puts a package behind the others of its manager.
    ///
    /// # Errors
    ///
    /// It is there already, or there are [`PACKAGES`](limits::PACKAGES); then nothing has changed.
    pub fn add(&mut self, package: PackageSpec) -> Result<(), PackagesProblem> {
        if self.of(package.manager()).contains(&package) {
            return Err(PackagesProblem::Duplicate(package));
        }
        if self.len() >= limits::PACKAGES {
            return Err(PackagesProblem::TooMany);
        }
        self.lists
            .entry(package.manager())
            .or_default()
            .push(package);
        Ok(())
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// How many packages there are, of all managers together.
    pub fn len(&self) -> usize {
        self.lists.values().map(Vec::len).sum()
    }

    /// The packages of one manager, as declared.
    pub fn of(&self, manager: PackageManager) -> &[PackageSpec] {
        self.lists.get(&manager).map_or(&[], Vec::as_slice)
    }

    /// The managers that have packages, in the order in which they run, each with its packages.
    pub fn iter(&self) -> impl Iterator<Item = (PackageManager, &[PackageSpec])> {
        self.lists
            .iter()
            .map(|(manager, list)| (*manager, list.as_slice()))
    }
}

impl Serialize for Packages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lists = PackageManager::ALL
            .iter()
            .map(|manager| (manager, self.of(*manager)));
        serializer.collect_map(lists)
    }
}
