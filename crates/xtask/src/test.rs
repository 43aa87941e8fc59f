//! Every test, on a machine that this command prepares.

pub(crate) mod machine;
mod users;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::check;
use crate::shell::{self, Program};
use crate::workspace::{self, Metadata};

/// Installs what is missing (Debian packages, by name), makes two users, builds, and runs everything.
///
/// As root this covers both ways to run Bailiwick: tests drop to an ordinary user where they have to. As an
/// ordinary user the tests that need root are not run; the command says so.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not install packages and do not make users; run with what is there.
    #[arg(long)]
    no_install: bool,
    /// Install packages and make users, and run nothing: for the image of a CI machine.
    #[arg(long, conflicts_with = "no_install")]
    prepare_only: bool,
    /// Only list the packages that are missing.
    #[arg(long, conflicts_with = "no_install")]
    list_missing: bool,
    /// Only the tests whose name contains one of these.
    filters: Vec<String>,
}

/// The user without subordinate ids, for tests.
const TEST_USER: &str = "BAILIWICK_TEST_USER";
/// The user with subordinate ids, for tests.
const TEST_SUBID_USER: &str = "BAILIWICK_TEST_SUBID_USER";

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list_missing {
        println!("{}", machine::missing(machine::Use::Test)?.join("\n"));
        return Ok(());
    }
    let is_root = shell::is_root()?;
    if !args.no_install {
        machine::install(machine::Use::Test)?;
        if is_root {
            users::create()?;
        }
    }
    if args.prepare_only {
        return Ok(());
    }
    let metadata = workspace::metadata()?;
    run_tests(args, &metadata, is_root)?;
    if !is_root {
        eprintln!(
            "\nnote: not root, so the tests that need root were not run. Everything: sudo cargo xtask test"
        );
    }
    Ok(())
}

fn run_tests(args: &Args, metadata: &Metadata, is_root: bool) -> Result<()> {
    let features = workspace::system_test_features(metadata);
    let target = target_directory(metadata, is_root)?;
    let mut packages = vec!["--workspace", "--locked"];
    if !features.is_empty() {
        packages.extend(["--features", &features]);
    }
    let with_users = |mut program: Program| {
        program = program.env("CARGO_TARGET_DIR", &target);
        if is_root {
            program = program
                .env(TEST_USER, users::PLAIN)
                .env(TEST_SUBID_USER, users::WITH_SUBIDS);
        }
        program
    };
    let cargo = || with_users(Program::new("cargo"));
    // Programs too that no test of their own crate asks for; beside the tests and with their features, so that
    // nothing is built twice: without them, cargo unifies fewer features and builds all dependencies again.
    cargo()
        .args(["build", "--bins", "--tests"])
        .args(&packages)
        .run()?;
    if check::has_nextest() {
        return cargo()
            .args(["nextest", "run", "--profile", "system"])
            .args(packages)
            .args(&args.filters)
            .run();
    }
    eprintln!("\nnote: cargo-nextest is not installed; cargo test runs the same tests, slower.");
    cargo()
        .args(["test", "--no-fail-fast"])
        .args(packages)
        .args(["--"])
        .args(&args.filters)
        .run()
}

/// Where to build: a directory whose programs the tests' ordinary users can execute.
///
/// A clone under `/root` is closed to them, so it is built elsewhere.
fn target_directory(metadata: &Metadata, is_root: bool) -> Result<PathBuf> {
    let usual = &metadata.target_directory;
    if !is_root || open_to_others(workspace::root())? && open_to_others(usual)? {
        return Ok(usual.clone());
    }
    let elsewhere = PathBuf::from("/var/tmp/bailiwick-target");
    eprintln!(
        "\nnote: ordinary users cannot enter {}; building in {}.",
        usual.display(),
        elsewhere.display()
    );
    Ok(elsewhere)
}

/// Whether every directory on the way to `path` lets everybody through.
fn open_to_others(path: &Path) -> Result<bool> {
    for dir in path.ancestors().filter(|dir| dir.exists()) {
        let mode = dir
            .metadata()
            .with_context(|| format!("cannot look at {}", dir.display()))?
            .permissions()
            .mode();
        if mode & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_directory_on_the_way_closes_what_is_below() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(open_to_others(&inner).unwrap());
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!open_to_others(&inner).unwrap());
    }
}
