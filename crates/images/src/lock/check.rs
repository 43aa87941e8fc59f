//! Everything that a lock may hold, checked before anything of it is used.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_model::limits::{
    LOCK_ARCHITECTURE_BYTES, LOCK_FILE_BYTES, LOCK_LIST, LOCK_PLATFORM_BYTES, LOCK_TEXT_BYTES,
    LOCKED_PACKAGES, PACKAGES,
};
use bailiwick_model::{PackageManager, PackageSpec, PackageSpecProblem};
use url::Url;

use super::{Detail, Lock, LockedPackages, TreeEntry, VERSION};
use crate::store::ResolvedPackage;

/// Why a text is no lock, or something cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum NotALock {
    /// More than [`LOCK_FILE_BYTES`].
    #[error("it has {0} bytes, more than {LOCK_FILE_BYTES}")]
    TooLarge(usize),
    /// Not the JSON of one.
    #[error("it is not what `bailiwick image lock` writes")]
    Json(#[from] serde_json::Error),
    /// Written by another Bailiwick, in another format.
    #[error(
        "it has version {0} and this Bailiwick reads {VERSION}; `bailiwick image lock` writes it anew"
    )]
    Version(u32),
    /// The architecture is no name of one.
    #[error("architecture is {0:?}")]
    Architecture(String),
    /// One manager's part.
    #[error("{manager}: {fault}")]
    Part {
        /// The manager.
        manager: PackageManager,
        /// What is wrong.
        fault: Fault,
    },
    /// A package.
    #[error("{manager}: {name:?} {fault}")]
    Package {
        /// Its manager.
        manager: PackageManager,
        /// Its name.
        name: String,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with a part of a lock. The messages are predicates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Too many entries.
    #[error("has {0} entries, more than {1}")]
    TooMany(usize, usize),
    /// A declared package is none.
    #[error("was made for {0:?}, which {1}")]
    Declared(String, PackageSpecProblem),
    /// A declared package has nothing that was resolved of it.
    #[error("has nothing for {0:?}, which was declared")]
    Unresolved(String),
    /// Name or version.
    #[error(transparent)]
    Spec(#[from] PackageSpecProblem),
    /// Without a hash nobody could tell whether the same comes again.
    #[error("has no hash")]
    NoHash,
    /// Not a hash of this manager's.
    #[error("has the hash {0:?}, which is none of its manager's")]
    Hash(String),
    /// Not a plain URL.
    #[error("has the source {0:?}, which is no http or https URL without user and fragment")]
    Source(String),
    /// npm installs from sources.
    #[error("has no source")]
    NoSource,
    /// What its manager needs is missing, or another manager's.
    #[error("does not say what its manager needs to install it again")]
    Detail,
    /// A platform, a path, a range: something that it cannot be.
    #[error("has {0:?} where that cannot be")]
    Text(String),
    /// Two packages lie in one place.
    #[error("lies at {0:?}, where another one lies")]
    SamePlace(String),
}

impl Lock {
    pub(super) fn check(&self) -> Result<(), NotALock> {
        let is_of_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let architecture = &self.architecture;
        if architecture.is_empty()
            || architecture.len() > LOCK_ARCHITECTURE_BYTES
            || !architecture.bytes().all(is_of_name)
        {
            return Err(NotALock::Architecture(architecture.clone()));
        }
        self.managers
            .iter()
            .try_for_each(|(manager, part)| part.check(*manager))
    }
}

impl LockedPackages {
    fn check(&self, manager: PackageManager) -> Result<(), NotALock> {
        let of_part = |fault| NotALock::Part { manager, fault };
        self.check_size().map_err(of_part)?;
        for package in &self.packages {
            check_package(manager, package).map_err(|fault| NotALock::Package {
                manager,
                name: package.name.clone(),
                fault,
            })?;
        }
        self.check_whole(manager).map_err(of_part)
    }

    fn check_size(&self) -> Result<(), Fault> {
        at_most(self.declared.len(), PACKAGES)?;
        at_most(self.packages.len(), LOCKED_PACKAGES)
    }

    fn check_whole(&self, manager: PackageManager) -> Result<(), Fault> {
        let mut places = BTreeSet::new();
        for package in &self.packages {
            if let Some(Detail::Tree(entry)) = &package.detail
                && !places.insert(&entry.at)
            {
                return Err(Fault::SamePlace(entry.at.clone()));
            }
        }
        for text in &self.declared {
            let spec = PackageSpec::parse(manager, text)
                .map_err(|problem| Fault::Declared(text.clone(), problem))?;
            let mut packages = self.packages.iter();
            if !leaves_alone(manager) && !packages.any(|package| stands_for(package, &spec)) {
                return Err(Fault::Unresolved(text.clone()));
            }
        }
        Ok(())
    }
}

/// Whether the manager leaves alone what the base has already, so that a declared package may have come to nothing.
fn leaves_alone(manager: PackageManager) -> bool {
    match manager {
        PackageManager::Apt | PackageManager::Gem | PackageManager::Pip => true,
        PackageManager::Cargo | PackageManager::Go | PackageManager::Npm => false,
    }
}

/// Whether a declared package came to this one.
fn stands_for(package: &ResolvedPackage, spec: &PackageSpec) -> bool {
    match &package.detail {
        Some(Detail::Program(program)) => program == spec.name(),
        Some(Detail::Tree(entry)) => entry.at.strip_prefix("node_modules/") == Some(spec.name()),
        Some(Detail::Platform(_)) | None => false,
    }
}

fn check_package(manager: PackageManager, package: &ResolvedPackage) -> Result<(), Fault> {
    PackageSpec::exact(manager, &package.name, &package.version)?;
    if let Some(source) = &package.source {
        check_source(source)?;
    }
    let is_bundled = check_detail(manager, package)?;
    match &package.hash {
        Some(hash) if is_hash(manager, hash) => {}
        Some(hash) => return Err(Fault::Hash(hash.clone())),
        None if is_bundled => {}
        None => return Err(Fault::NoHash),
    }
    if manager == PackageManager::Npm && package.source.is_none() && !is_bundled {
        return Err(Fault::NoSource);
    }
    Ok(())
}

/// Whether it came inside the archive of another package.
fn check_detail(manager: PackageManager, package: &ResolvedPackage) -> Result<bool, Fault> {
    match (manager, &package.detail) {
        (PackageManager::Npm, Some(Detail::Tree(entry))) => {
            check_entry(entry)?;
            Ok(entry.in_bundle)
        }
        (PackageManager::Cargo, Some(Detail::Program(program))) if *program == package.name => {
            Ok(false)
        }
        (PackageManager::Go, Some(Detail::Program(program))) => {
            PackageSpec::parse(manager, program)?;
            let below = program.strip_prefix(package.name.as_str());
            let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if is_below && !program.contains('@') {
                Ok(false)
            } else {
                Err(Fault::Text(program.clone()))
            }
        }
        (PackageManager::Gem, Some(Detail::Platform(platform))) => {
            let is_of_platform =
                |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let begins_well = platform.starts_with(|c: char| c.is_ascii_alphanumeric());
            let is_short = platform.len() <= LOCK_PLATFORM_BYTES;
            if begins_well && is_short && platform.bytes().all(is_of_platform) {
                Ok(false)
            } else {
                Err(Fault::Text(platform.clone()))
            }
        }
        (PackageManager::Npm, _) => Err(Fault::Detail),
        (_, None) => Ok(false),
        (_, Some(Detail::Program(_) | Detail::Platform(_) | Detail::Tree(_))) => Err(Fault::Detail),
    }
}

fn check_entry(entry: &TreeEntry) -> Result<(), Fault> {
    let place = || Fault::Text(entry.at.clone());
    text(&entry.at)?;
    let below = entry.at.strip_prefix("node_modules/").ok_or_else(place)?;
    for name in below.split("/node_modules/") {
        npm_name(name).map_err(|_| place())?;
    }
    at_most(entry.peer_dependencies_meta.len(), LOCK_LIST)?;
    entry
        .peer_dependencies_meta
        .keys()
        .try_for_each(|name| npm_name(name))?;
    for map in [
        &entry.dependencies,
        &entry.optional_dependencies,
        &entry.peer_dependencies,
    ] {
        check_dependencies(map)?;
    }
    at_most(entry.bin.len(), LOCK_LIST)?;
    for (name, path) in &entry.bin {
        text(name)?;
        text(path)?;
        if name.contains("..") || path.starts_with('/') || path.split('/').any(|part| part == "..")
        {
            return Err(Fault::Text(format!("{name}: {path}")));
        }
    }
    for list in [
        &entry.bundle_dependencies,
        &entry.os,
        &entry.cpu,
        &entry.libc,
    ] {
        at_most(list.len(), LOCK_LIST)?;
        list.iter().try_for_each(|item| text(item))?;
    }
    Ok(())
}

fn check_dependencies(map: &BTreeMap<String, String>) -> Result<(), Fault> {
    at_most(map.len(), LOCK_LIST)?;
    for (name, range) in map {
        npm_name(name)?;
        // Ranges are spaced, joined with `||`, tags, or aliases (`npm:name@range`); never a file, a repository or an archive.
        text(range)?;
        let is_elsewhere = range.contains('/') && !range.starts_with("npm:@")
            || range.contains(':') && !range.starts_with("npm:")
            || range.contains("://");
        if is_elsewhere {
            return Err(Fault::Text(range.clone()));
        }
    }
    Ok(())
}

fn npm_name(name: &str) -> Result<(), PackageSpecProblem> {
    PackageSpec::exact(PackageManager::Npm, name, "0.0.0").map(|_| ())
}

fn text(text: &str) -> Result<(), Fault> {
    let is_plain = |b: u8| b.is_ascii_graphic() || b == b' ';
    if text.len() <= LOCK_TEXT_BYTES && text.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(Fault::Text(text.chars().take(LOCK_TEXT_BYTES).collect()))
    }
}

fn at_most(count: usize, limit: usize) -> Result<(), Fault> {
    if count <= limit {
        Ok(())
    } else {
        Err(Fault::TooMany(count, limit))
    }
}

fn check_source(source: &str) -> Result<(), Fault> {
    text(source)?;
    let is_plain = Url::parse(source).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    if is_plain && !source.contains(' ') {
        Ok(())
    } else {
        Err(Fault::Source(source.to_owned()))
    }
}

fn is_hash(manager: PackageManager, hash: &str) -> bool {
    let is_base64 = |text: &str, length: usize| {
        let digits = text.trim_end_matches('=');
        text.len() == length
            && text.len() - digits.len() <= 2
            && digits
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    };
    match manager {
        PackageManager::Apt | PackageManager::Cargo | PackageManager::Gem | PackageManager::Pip => {
            hash.strip_prefix("sha256:").is_some_and(|digits| {
                digits.len() == 64
                    && digits
                        .bytes()
                        .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
        }
        // The hash of a list of hashes of a module's files: golang.org/x/mod/sumdb/dirhash.
        PackageManager::Go => hash
            .strip_prefix("h1:")
            .is_some_and(|text| is_base64(text, 44)),
        // Subresource Integrity; what was published long ago has SHA-1 only.
        PackageManager::Npm => [
            ("sha512-", 88),
            ("sha384-", 64),
            ("sha256-", 44),
            ("sha1-", 28),
        ]
        .iter()
        .any(|(prefix, length)| {
            hash.strip_prefix(prefix)
                .is_some_and(|text| is_base64(text, *length))
        }),
    }
}
