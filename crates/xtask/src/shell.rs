//! The one place of this crate that starts programs and reads the process environment.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// A program to start in the root of the workspace.
#[derive(Debug)]
pub(crate) struct Program(Command);

impl Program {
    /// Names the program; it is looked up in `PATH`.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the product's rule: a chore is not the product"
        )]
        let mut command = Command::new(name);
        command.current_dir(workspace::root());
        Self(command)
    }

    /// Appends arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets one variable of the program's environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs with this process's terminal, after printing the command line; anything but success is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.line();
        eprintln!("\n$ {line}");
        let status = self
            .0
            .status()
            .with_context(|| format!("cannot start `{line}`"))?;
        ensure!(status.success(), "`{line}` ended with {status}");
        Ok(())
    }

    /// Runs quietly and returns what it wrote to standard output; anything but success is an error.
    pub(crate) fn read(mut self) -> Result<String> {
        let line = self.line();
        let output = self
            .0
            .output()
            .with_context(|| format!("cannot start `{line}`"))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`{line}` ended with {}\n{stderr}",
            output.status
        );
        String::from_utf8(output.stdout).with_context(|| format!("`{line}` did not print UTF-8"))
    }

    /// Whether the program starts and succeeds; its output is dropped.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.output().is_ok_and(|output| output.status.success())
    }

    /// The command line as a person would type it; the program's own variables in front.
    fn line(&self) -> String {
        let variables = self.0.get_envs().filter_map(|(name, value)| {
            Some(format!("{}={}", name.to_string_lossy(), quoted(value?)))
        });
        let words = std::iter::once(self.0.get_program())
            .chain(self.0.get_args())
            .map(quoted);
        variables.chain(words).collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{word}'")
    }
}

/// A variable of this process's environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the product's rule: a chore is not the product"
    )]
    std::env::var_os(name)
}

/// Where `PATH` has the program, if anywhere.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Whether this process is root.
pub(crate) fn is_root() -> Result<bool> {
    Ok(Program::new("id").args(["-u"]).read()?.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_prints_as_typed() {
        let program = Program::new("cargo")
            .args(["test", "--", "a b"])
            .env("X", "1");
        assert_eq!(program.line(), "X=1 cargo test -- 'a b'");
    }

    #[test]
    fn failure_is_an_error_that_names_the_command() {
        let error = Program::new("false").read().unwrap_err().to_string();
        assert!(error.starts_with("`false` ended with"), "{error}");
        assert!(Program::new("true").read().is_ok());
        assert!(Program::new("no-such-program-here").run().is_err());
    }

    #[test]
    fn programs_are_found_in_path_only() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }
}
