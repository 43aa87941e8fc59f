//! The program as people and scripts use it: arguments in; exit code, standard output and standard error out.

mod completions;
mod environment;
mod help;
mod input;
mod lock;
mod policy;
mod programs;
mod up;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a run of the program left behind.
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        write!(f, "exit code {code}")?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n--- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Runs the program at the root of the repository, with an empty environment.
fn bailiwick(arguments: &[&str]) -> Outcome {
    bailiwick_with(arguments, &[])
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test starts the program itself"
)]
fn bailiwick_with(arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    Outcome {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// A directory with one file in it.
struct Written {
    directory: TempDir,
    path: PathBuf,
}

impl Written {
    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The outcome, with the name of the directory taken out of it.
    fn anonymous(&self, outcome: &Outcome) -> String {
        outcome
            .to_string()
            .replace(self.directory.path().to_str().unwrap(), "DIR")
    }
}

fn written(name: &str, text: impl AsRef<[u8]>) -> Written {
    let directory = tempfile::tempdir().unwrap();
    let path = Path::join(directory.path(), name);
    std::fs::write(&path, text).unwrap();
    Written { directory, path }
}
