//! Fuzzing, through cargo-fuzz on a nightly toolchain.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, Program};
use crate::workspace;

/// Runs one fuzz target; without a name, lists them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A target of `fuzz/fuzz_targets/`, without `.rs`.
    target: Option<String>,
    /// How long to run.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u32,
    /// Processes to run at once.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    jobs: u8,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let known = targets(&workspace::root().join("fuzz/fuzz_targets"))?;
    let Some(target) = &args.target else {
        println!("{}", known.join("\n"));
        return Ok(());
    };
    ensure!(
        known.contains(target),
        "no fuzz target {target:?}; there are: {}",
        known.join(", ")
    );
    need_tools()?;
    let limits = [
        format!("-max_total_time={}", args.seconds),
        format!("-fork={}", args.jobs),
        "-timeout=10".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
    ];
    Program::new("rustup")
        .args(["run", "nightly", "cargo", "fuzz", "run", target, "--"])
        .args(limits)
        .run()
}

fn targets(dir: &Path) -> Result<Vec<String>> {
    let entries = dir
        .read_dir()
        .with_context(|| format!("no fuzz targets in {}", dir.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry
                .ok()?
                .path()
                .file_name()?
                .to_str()?
                .strip_suffix(".rs")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

/// libFuzzer's instrumentation needs flags that only nightly takes.
fn need_tools() -> Result<()> {
    if !Program::new("rustup")
        .args(["run", "nightly", "rustc", "--version"])
        .succeeds()
    {
        bail!("fuzzing needs a nightly toolchain: rustup toolchain install nightly");
    }
    if shell::find("cargo-fuzz").is_none() {
        bail!("fuzzing needs cargo-fuzz: cargo install --locked cargo-fuzz");
    }
    Ok(())
}
