//! What it takes to have a project at the next commit.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::turns::{line_up, take};
use crate::os;
use crate::peers::Stage;
use crate::report::{BAILIWICK, Better, Report, Row};

/// Files of the project.
const FILES: u32 = 500;
/// What installs its dependencies: nothing worth measuring.
const SETUP: &str = "wc -l file-0 > installed";

/// One who brings a project to its newest commit.
enum Refresher {
    /// `bailiwick image build`: a fetch, a checkout and the set-up, each in a sandbox.
    Bailiwick { program: PathBuf, file: PathBuf },
    /// The same by hand: a bare mirror, a clone of it, the set-up.
    Git { mirror: PathBuf, clone: PathBuf },
}

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let name = "project refresh by one commit";
    let source = stage.path("project");
    make(&source)?;
    let all = vec![
        (BAILIWICK, bailiwick(stage, &source)),
        ("git alone", git_alone(stage, &source)),
    ];
    let mut refreshers = line_up(name, all, report);
    let row = Row::new("image", name, "ms", Better::Lower);
    take(row, &mut refreshers, stage.pick(15, 3), report, |one| {
        commit(&source)?;
        one.refresh(&source).map(|took| vec![took])
    });
    Ok(())
}

impl Refresher {
    /// Milliseconds.
    fn refresh(&self, source: &Path) -> Result<f64> {
        let begun = Instant::now();
        match self {
            Self::Bailiwick { program, file } => {
                let mut build = os::command(program);
                let key = succeed(build.args(["image", "build", "--quiet", "-f"]).arg(file))?;
                let took = begun.elapsed();
                let mut remove = os::command(program);
                succeed(remove.args(["image", "remove", key.trim()]))?;
                Ok(took.as_secs_f64() * 1e3)
            }
            Self::Git { mirror, clone } => {
                git(mirror, &["fetch", "--quiet", "origin", "+main:main"])?;
                let path = clone.to_string_lossy();
                let from = format!("file://{}", mirror.display());
                git(source, &["clone", "--quiet", &from, &path])?;
                succeed(os::command("sh").args(["-c", SETUP]).current_dir(clone))?;
                let took = begun.elapsed();
                fs::remove_dir_all(clone)?;
                Ok(took.as_secs_f64() * 1e3)
            }
        }
    }
}

fn bailiwick(stage: &Stage, source: &Path) -> Result<Refresher> {
    let file = stage.path("project.yaml");
    let text = format!(
        "name: bench\nconfig:\n  type: cloud\n  project: {{repository: 'file://{}', setup: ['{SETUP}']}}\n",
        source.display()
    );
    fs::write(&file, text)?;
    let one = Refresher::Bailiwick {
        program: stage.bailiwick.clone(),
        file,
    };
    one.refresh(source)?;
    Ok(one)
}

fn git_alone(stage: &Stage, source: &Path) -> Result<Refresher> {
    let (mirror, clone) = (stage.path("mirror"), stage.path("clone"));
    let path = mirror.to_string_lossy();
    git(source, &["clone", "--quiet", "--bare", ".", &path])?;
    Ok(Refresher::Git { mirror, clone })
}

fn make(source: &Path) -> Result<()> {
    fs::create_dir(source)?;
    git(source, &["init", "--quiet", "--initial-branch=main"])?;
    for number in 0..FILES {
        let mut text = String::new();
        for line in 0..100 {
            writeln!(text, "line {line} of file {number}")?;
        }
        fs::write(source.join(format!("file-{number}")), text)?;
    }
    commit(source)
}

fn commit(source: &Path) -> Result<()> {
    let path = source.join("file-0");
    let text = fs::read_to_string(&path)? + "one more\n";
    fs::write(path, text)?;
    git(source, &["add", "."])?;
    git(source, &["commit", "--quiet", "-m", "one more"])
}

fn git(directory: &Path, arguments: &[&str]) -> Result<()> {
    let mut git = os::command("git");
    git.args([
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@example.com",
    ])
    .args(arguments)
    .current_dir(directory);
    succeed(&mut git).map(drop)
}

/// What it printed.
fn succeed(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
