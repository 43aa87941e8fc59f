//! Files that are made of the code and checked in.

use std::fs;

use anyhow::{Context, Result};

use crate::shell::Program;
use crate::workspace;

/// Writes what is made of the code and checked in: `docs/openapi.json`. A test fails when it is stale.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<()> {
    let example = [
        "run",
        "--locked",
        "--quiet",
        "--package",
        "bailiwick-server",
        "--example",
        "openapi",
    ];
    let document = Program::new("cargo").args(example).read()?;
    let file = workspace::root().join("docs/openapi.json");
    fs::write(&file, document).with_context(|| format!("cannot write {}", file.display()))
}
