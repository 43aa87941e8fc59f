//! What cargo and git know about this workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shell::Program;

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// `cargo metadata --no-deps`, the part that is needed here.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// The workspace's own crates.
    pub(crate) packages: Vec<Package>,
    /// Where cargo builds.
    pub(crate) target_directory: PathBuf,
}

/// One crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// The name in its manifest, such as `bailiwick-policy`.
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// What it asks for, of the workspace and of others.
    pub(crate) dependencies: Vec<Dependency>,
    /// Its features.
    pub(crate) features: std::collections::BTreeMap<String, Vec<String>>,
}

/// One dependency as the manifest states it.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Where a crate of this workspace lies; absent for crates from elsewhere.
    pub(crate) path: Option<PathBuf>,
    /// `dev`, `build`, or absent for an ordinary dependency.
    pub(crate) kind: Option<String>,
}

impl Package {
    /// The name of its folder under `crates/`, by which this project speaks of it.
    pub(crate) fn folder(&self) -> &str {
        self.manifest_path
            .parent()
            .and_then(folder_name)
            .unwrap_or(&self.name)
    }
}

impl Dependency {
    /// The folder of the crate, if it belongs to this workspace.
    pub(crate) fn folder(&self) -> Option<&str> {
        folder_name(self.path.as_deref()?)
    }
}

fn folder_name(dir: &Path) -> Option<&str> {
    dir.file_name()?.to_str()
}

/// Asks cargo.
pub(crate) fn metadata() -> Result<Metadata> {
    let json = Program::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps"])
        .read()?;
    serde_json::from_str(&json).context("cargo metadata did not answer as it is documented")
}

/// The `system-tests` feature of every crate that has it, as `--features` wants them.
pub(crate) fn system_test_features(metadata: &Metadata) -> String {
    let has = |package: &&Package| package.features.contains_key("system-tests");
    let names = metadata
        .packages
        .iter()
        .filter(has)
        .map(|package| format!("{}/system-tests", package.name));
    names.collect::<Vec<_>>().join(",")
}

/// Every file of the project that git tracks or would track, relative to the root, in order.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let list = Program::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .read()?;
    let mut files: Vec<_> = list
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect();
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}
