//! The rules of this project that no compiler knows.
//!
//! Each rule is a function from files, or from what cargo says, to findings. What a rule allows is written down where
//! people look for it: arrows in ARCHITECTURE.md, licences and banned crates in deny.toml.

mod arrows;
mod documents;
mod licences;
mod rust_source;
mod source_rules;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Checks every rule and prints each finding with its place.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Relative to the workspace's root.
    file: PathBuf,
    /// From 1; 0 where the finding is about the whole file.
    line: usize,
    /// What is wrong and what to do.
    message: String,
}

impl Finding {
    fn new(file: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.message),
        }
    }
}

pub(crate) fn run(_: &Args) -> Result<()> {
    let root = workspace::root();
    let files = workspace::files()?;
    let mut findings = arrows::check(
        &read(&root.join("ARCHITECTURE.md"))?,
        &workspace::metadata()?,
    )?;
    for file in &files {
        // Pictures and the like are nobody's prose.
        let Ok(text) = fs::read_to_string(root.join(file)) else {
            continue;
        };
        findings.extend(words::check(file, &text));
        if file.extension().is_some_and(|extension| extension == "rs") {
            findings.extend(source_rules::check(file, &text));
        }
        if file.extension().is_some_and(|extension| extension == "md") {
            findings.extend(documents::check(root, file, &text));
        }
    }
    findings.extend(licences::check(&read(&root.join("deny.toml"))?)?);
    report(&findings, files.len())
}

fn report(findings: &[Finding], files: usize) -> Result<()> {
    for finding in findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            eprintln!("tidy: {files} files, nothing to say");
            Ok(())
        }
        count => bail!("tidy: {count} findings"),
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
