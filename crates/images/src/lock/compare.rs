//! Two sets of resolved packages, compared: a lock with what was installed, before with after.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::store::ResolvedPackage;

/// One way in which what was installed is not what the lock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The lock has it, and it was not installed.
    Missing(String, String),
    /// It was installed, and the lock does not have it.
    Surplus(String, String),
    /// Another file came under the name and version.
    Hash(String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name, version) => {
                write!(f, "{name} {version} is in the lock and was not installed")
            }
            Self::Surplus(name, version) => {
                write!(f, "{name} {version} was installed and is not in the lock")
            }
            Self::Hash(name, version) => {
                write!(f, "{name} {version} has another hash than in the lock")
            }
        }
    }
}

/// What of `installed` is not as in the lock. What was there before has no hash, and needs none.
pub(crate) fn differences(
    locked: &[ResolvedPackage],
    installed: &[ResolvedPackage],
) -> Vec<Difference> {
    let (locked, installed) = (by_version(locked), by_version(installed));
    let missing = locked.keys().filter(|key| !installed.contains_key(*key));
    let mut found: Vec<_> = missing
        .map(|(name, version)| Difference::Missing((*name).to_owned(), (*version).to_owned()))
        .collect();
    for ((name, version), hashes) in &installed {
        let (name_text, version_text) = ((*name).to_owned(), (*version).to_owned());
        match locked.get(&(*name, *version)) {
            None => found.push(Difference::Surplus(name_text, version_text)),
            Some(wanted) if hashes.is_subset(wanted) => {}
            Some(_) => found.push(Difference::Hash(name_text, version_text)),
        }
    }
    found
}

/// The hashes of each name and version.
fn by_version(packages: &[ResolvedPackage]) -> BTreeMap<(&str, &str), BTreeSet<&str>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for package in packages {
        let key = (package.name.as_str(), package.version.as_str());
        found
            .entry(key)
            .or_default()
            .extend(package.hash.as_deref());
    }
    found
}

/// A change of one package between two sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The package.
    pub name: String,
    /// Its versions before; none, if it is new.
    pub before: Vec<String>,
    /// Its versions now; none, if it is gone.
    pub after: Vec<String>,
}

impl fmt::Display for Change {
    /// `flask 3.0.0 -> 3.1.0`, `flask 3.1.0 (new)`, `flask 3.0.0 (gone)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.before.join(", "), self.after.join(", "));
        let name = &self.name;
        match (self.before.is_empty(), self.after.is_empty()) {
            (true, _) => write!(f, "{name} {after} (new)"),
            (_, true) => write!(f, "{name} {before} (gone)"),
            (false, false) => write!(f, "{name} {before} -> {after}"),
        }
    }
}

/// The packages whose versions are others, by name.
pub fn changes(before: &[ResolvedPackage], after: &[ResolvedPackage]) -> Vec<Change> {
    let (old, new) = (by_name(before), by_name(after));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let versions = |of: &BTreeMap<&str, BTreeSet<&str>>, name: &str| {
        let versions = of.get(name).into_iter().flatten();
        versions
            .map(|version| (*version).to_owned())
            .collect::<Vec<_>>()
    };
    names
        .into_iter()
        .map(|name| Change {
            name: (*name).to_owned(),
            before: versions(&old, name),
            after: versions(&new, name),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

fn by_name(packages: &[ResolvedPackage]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for package in packages {
        let versions: &mut BTreeSet<_> = found.entry(package.name.as_str()).or_default();
        versions.insert(package.version.as_str());
    }
    found
}
