//! Locks: what an image's packages were resolved to, in a file that is kept beside the environment's and builds the same set again.
//!
//! A lock is input from a stranger: nothing of it is used before [`Lock::parse`] has checked every name, version, hash and URL of it against
//! the grammar of its manager.

use std::collections::BTreeMap;
use std::fmt;

use bailiwick_model::limits::{LOCK_DIFFERENCES, LOCK_FILE_BYTES};
use bailiwick_model::{PackageManager, Packages};
use serde::{Deserialize, Serialize};

use crate::key::Content;
use crate::sha256;
use crate::store::{Layer, ResolvedPackage};

mod check;
mod compare;
mod detail;

pub use check::{Fault, NotALock};
pub use compare::{Change, changes};
pub use detail::{Detail, TreeEntry};

pub(crate) use compare::{Difference, differences};

/// The version of the format that is written and read.
const VERSION: u32 = 1;
/// Why a lock can be written.
const PLAIN: &str = "strings, numbers, lists and maps by text are JSON";

/// What the packages of an environment were resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// The machine's architecture as the kernel names it: hashes are of files for it.
    architecture: String,
    managers: BTreeMap<PackageManager, LockedPackages>,
}

/// What one manager resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackages {
    /// What the environment asked for, sorted.
    pub declared: Vec<String>,
    /// What that came to, sorted.
    pub packages: Vec<ResolvedPackage>,
}

/// Why an image cannot be built from a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockMismatch {
    /// It is for another kind of machine.
    #[error(
        "the lock is for {lock} and this machine is {machine}: hashes are of files for one of them"
    )]
    Architecture {
        /// The lock's.
        lock: String,
        /// This machine's.
        machine: String,
    },
    /// The environment declares something else.
    #[error("the lock does not fit what the environment declares: {}", list(.0))]
    Declared(Vec<DeclaredDifference>),
}

/// One difference between what an environment declares and what a lock was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclaredDifference {
    /// The environment declares it, and the lock does not know it.
    NotInLock(PackageManager, String),
    /// The lock has it, and the environment does not declare it.
    NotDeclared(PackageManager, String),
}

impl fmt::Display for DeclaredDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInLock(manager, spec) => write!(f, "{manager} {spec} is not in the lock"),
            Self::NotDeclared(manager, spec) => {
                write!(f, "{manager} {spec} is in the lock and not declared")
            }
        }
    }
}

/// The first of many, in one line.
pub(crate) fn list<T: fmt::Display>(items: &[T]) -> String {
    let mut shown: Vec<_> = items
        .iter()
        .take(LOCK_DIFFERENCES)
        .map(T::to_string)
        .collect();
    if items.len() > LOCK_DIFFERENCES {
        shown.push(format!("{} more", items.len() - LOCK_DIFFERENCES));
    }
    shown.join("; ")
}

impl Lock {
    /// What these layers were resolved to; those that hold no packages have no part in it.
    ///
    /// # Errors
    ///
    /// [`NotALock`] with the first package that cannot be locked: its manager told no hash of it, or something that is no version.
    pub fn of_layers(architecture: &str, layers: &[Layer]) -> Result<Self, NotALock> {
        let mut managers = BTreeMap::new();
        for layer in layers {
            let record = &layer.record;
            match &record.inputs.content {
                Content::Packages { manager, specs, .. } => {
                    let packages = LockedPackages::new(specs.clone(), record.resolved.clone());
                    managers.insert(*manager, packages);
                }
                Content::Base { .. } | Content::Project { .. } => {}
            }
        }
        let lock = Self {
            version: VERSION,
            architecture: architecture.to_owned(),
            managers,
        };
        lock.check()?;
        Ok(lock)
    }

    /// Reads the text of a lock file, and checks all of it.
    ///
    /// # Errors
    ///
    /// [`NotALock`], with the place.
    pub fn parse(text: &str) -> Result<Self, NotALock> {
        if text.len() > LOCK_FILE_BYTES {
            return Err(NotALock::TooLarge(text.len()));
        }
        // First the version alone: another format is told as what it is.
        let version: AnyVersion = serde_json::from_str(text)?;
        if version.version != VERSION {
            return Err(NotALock::Version(version.version));
        }
        let mut lock: Self = serde_json::from_str(text)?;
        for packages in lock.managers.values_mut() {
            packages.sort();
        }
        lock.check()?;
        Ok(lock)
    }

    /// The text of the lock file: one that says the same is the same text.
    pub fn to_text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect(PLAIN);
        text + "\n"
    }

    /// What one manager resolved.
    pub fn of(&self, manager: PackageManager) -> Option<&LockedPackages> {
        self.managers.get(&manager)
    }

    /// The managers that have a part in it, each with it.
    pub fn iter(&self) -> impl Iterator<Item = (PackageManager, &LockedPackages)> {
        self.managers.iter().map(|(manager, part)| (*manager, part))
    }

    /// The lock without the parts that were made for other packages than are declared; nothing of one for another architecture.
    #[must_use]
    pub fn fitting(mut self, declared: &Packages, architecture: &str) -> Self {
        if self.architecture != architecture {
            self.managers.clear();
        }
        self.managers
            .retain(|manager, locked| locked.declared == sorted(declared, *manager));
        self
    }

    /// Whether these packages can be built from it on a machine of this architecture.
    ///
    /// # Errors
    ///
    /// [`LockMismatch`]: what differs.
    pub fn fits(&self, declared: &Packages, architecture: &str) -> Result<(), LockMismatch> {
        if self.architecture != architecture {
            return Err(LockMismatch::Architecture {
                lock: self.architecture.clone(),
                machine: architecture.to_owned(),
            });
        }
        let mut found = Vec::new();
        for manager in PackageManager::ALL {
            let wanted = sorted(declared, *manager);
            let locked = self.of(*manager).map_or(&[][..], |part| &part.declared);
            let missing = wanted.iter().filter(|spec| !locked.contains(spec));
            found.extend(missing.map(|s| DeclaredDifference::NotInLock(*manager, s.clone())));
            let surplus = locked.iter().filter(|spec| !wanted.contains(spec));
            found.extend(surplus.map(|s| DeclaredDifference::NotDeclared(*manager, s.clone())));
        }
        if found.is_empty() {
            Ok(())
        } else {
            Err(LockMismatch::Declared(found))
        }
    }
}

impl LockedPackages {
    fn new(declared: Vec<String>, packages: Vec<ResolvedPackage>) -> Self {
        let mut this = Self { declared, packages };
        this.sort();
        this
    }

    fn sort(&mut self) {
        self.declared.sort();
        self.packages.sort();
        self.packages.dedup();
    }

    /// What stands for it in the key of a layer.
    pub(crate) fn digest(&self) -> String {
        let text = serde_json::to_vec(self).expect(PLAIN);
        format!("sha256:{}", sha256::of(&text))
    }
}

/// Any version of the format has one.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

fn sorted(declared: &Packages, manager: PackageManager) -> Vec<String> {
    let specs = declared.of(manager).iter();
    let mut specs: Vec<_> = specs.map(|spec| spec.as_str().to_owned()).collect();
    specs.sort();
    specs
}
