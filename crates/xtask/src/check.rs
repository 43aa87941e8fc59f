//! The gate.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::shell::{self, Program};
use crate::{tidy, workspace};

/// Runs every step and reports all that failed, not only the first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stop at the first step that fails.
    #[arg(long)]
    fail_fast: bool,
}

type Step = (&'static str, fn() -> Result<()>);

/// Cheap steps first: what fails most often should fail soonest.
const STEPS: &[Step] = &[
    ("format", format),
    ("tidy", tidy_rules),
    ("clippy", clippy),
    ("tests", tests),
    ("doc tests", doc_tests),
    ("documentation", documentation),
    ("cargo-deny", deny),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut results = Vec::new();
    for (name, step) in STEPS {
        let start = Instant::now();
        let result = step();
        if let Err(error) = &result {
            eprintln!("\n{name}: {error:#}");
        }
        results.push((*name, start.elapsed(), result.is_ok()));
        if args.fail_fast && result.is_err() {
            break;
        }
    }
    summarise(&results)
}

fn summarise(results: &[(&str, Duration, bool)]) -> Result<()> {
    eprintln!("\ncargo xtask check:");
    for (name, took, passed) in results {
        eprintln!(
            "  {} {name} ({:.1} s)",
            if *passed { "ok    " } else { "FAILED" },
            took.as_secs_f64()
        );
    }
    let failed: Vec<_> = results
        .iter()
        .filter(|(_, _, passed)| !passed)
        .map(|(name, _, _)| *name)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

fn format() -> Result<()> {
    Program::new("cargo")
        .args(["fmt", "--all", "--check"])
        .run()
}

fn tidy_rules() -> Result<()> {
    tidy::run(&tidy::Args {})
}

/// All features, so that the tests that need root are linted where they cannot run.
fn clippy() -> Result<()> {
    let args = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    Program::new("cargo").args(args).run()
}

fn tests() -> Result<()> {
    if has_nextest() {
        return Program::new("cargo")
            .args(["nextest", "run", "--workspace", "--locked"])
            .run();
    }
    eprintln!("\nnote: cargo-nextest is not installed; cargo test runs the same tests, slower.");
    let args = [
        "test",
        "--workspace",
        "--locked",
        "--lib",
        "--bins",
        "--tests",
        "--examples",
    ];
    Program::new("cargo").args(args).run()
}

/// nextest does not know doc tests.
fn doc_tests() -> Result<()> {
    Program::new("cargo")
        .args(["test", "--workspace", "--locked", "--doc", "--quiet"])
        .run()
}

fn documentation() -> Result<()> {
    let args = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
    Program::new("cargo")
        .args(args)
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Advisories are left out: their database is fetched over the network, and a gate must not change with the day.
fn deny() -> Result<()> {
    if shell::find("cargo-deny").is_none() {
        eprintln!(
            "\nnote: cargo-deny is not installed; tidy has checked licences and banned crates against deny.toml."
        );
        return Ok(());
    }
    let manifest = workspace::root().join("Cargo.toml");
    let args = ["check", "licenses", "bans", "sources"];
    Program::new("cargo")
        .args(["deny", "--manifest-path"])
        .args([manifest])
        .args(args)
        .run()
}

/// Whether `cargo nextest` is there.
pub(crate) fn has_nextest() -> bool {
    shell::find("cargo-nextest").is_some()
}
