//! What a manager needs to know of a package, besides name, version and hash, to install just that again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a manager needs to know besides to install just this package again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// It is what was asked for, not only part of it: the crate (cargo), the package in the module (Go).
    Program(String),
    /// For which platform it was packed (gem).
    Platform(String),
    /// Its place in the tree of packages, and what is around it (npm).
    Tree(Box<TreeEntry>),
}

/// An entry of `packages` in a lock file of npm, as far as an installation reads it (package-lock.json(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TreeEntry {
    /// Where it lies: `node_modules/a/node_modules/b`.
    pub at: String,
    /// It came inside the archive of the package above it, which has the hash.
    #[serde(skip_serializing_if = "is_false")]
    pub in_bundle: bool,
    /// Only optional packages need it.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
    /// It is there as a peer.
    #[serde(skip_serializing_if = "is_false")]
    pub peer: bool,
    /// A script of its own runs after it is there.
    #[serde(skip_serializing_if = "is_false")]
    pub has_install_script: bool,
    /// Its programs, with their paths in the package.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bin: BTreeMap<String, String>,
    /// What it depends on, with the ranges.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, String>,
    /// What of that may be missing; only what is there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub optional_dependencies: BTreeMap<String, String>,
    /// What it wants beside it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peer_dependencies: BTreeMap<String, String>,
    /// Which of these may be missing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peer_dependencies_meta: BTreeMap<String, PeerMeta>,
    /// What came inside its archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bundle_dependencies: Vec<String>,
    /// The operating systems that it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub os: Vec<String>,
    /// The processors that it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpu: Vec<String>,
    /// The C libraries that it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub libc: Vec<String>,
}

/// What is said of a peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeerMeta {
    /// It may be missing.
    pub optional: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}
