//! The official SDKs, as their registries have them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FlockOperation;

use crate::User;
use crate::process::{command, succeed};
use crate::server::https::python;

/// One version of one SDK, installed once for all tests of a build directory.
#[derive(Debug)]
pub struct Sdk {
    directory: PathBuf,
    language: Language,
}

#[derive(Debug, Clone, Copy)]
enum Language {
    Python,
    Node,
}

impl Sdk {
    /// `anthropic` of this version.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn python(version: &str) -> Self {
        Self::installed(Language::Python, version)
    }

    /// `@anthropic-ai/sdk` of this version.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub fn node(version: &str) -> Self {
        Self::installed(Language::Node, version)
    }

    /// Runs a script with these arguments and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails, with what it complained.
    pub fn run(&self, script: &str, arguments: &[&str]) -> String {
        succeed(self.command(script).args(arguments))
    }

    /// The command that runs a script, to be started beside the test.
    pub fn command(&self, script: &str) -> Command {
        match self.language {
            Language::Python => {
                let mut python = command(python(), User::current());
                python
                    .env("PYTHONPATH", &self.directory)
                    .args(["-c", script]);
                python
            }
            Language::Node => {
                // A module is found from where the script lies.
                let file = self
                    .directory
                    .join(format!("{}.mjs", rustix::thread::gettid()));
                fs::write(&file, script).expect("a script");
                let mut node = command("node", User::current());
                node.arg(file);
                node
            }
        }
    }

    fn installed(language: Language, version: &str) -> Self {
        let directory = build_directory().join("sdks").join(match language {
            Language::Python => format!("python-{version}"),
            Language::Node => format!("node-{version}"),
        });
        fs::create_dir_all(&directory).expect("a directory");
        // Tests are processes that begin at once: one installs, the others wait.
        let lock = File::create(directory.with_extension("lock")).expect("a lock");
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("the lock");
        let done = directory.join("installed");
        if !done.exists() {
            install(language, version, &directory);
            fs::write(done, "").expect("a mark");
        }
        Self {
            directory,
            language,
        }
    }
}

fn install(language: Language, version: &str, directory: &Path) {
    let mut installer = match language {
        Language::Python => {
            let mut pip = command(python(), User::current());
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--target",
            ]);
            pip.arg(directory).arg(format!("anthropic=={version}"));
            pip
        }
        Language::Node => {
            let mut npm = command("npm", User::current());
            npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
            npm.arg(directory)
                .arg(format!("@anthropic-ai/sdk@{version}"));
            npm
        }
    };
    succeed(&mut installer);
}

/// Where this very build lies: the test is `DIR/debug/deps/NAME`.
fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program
        .ancestors()
        .nth(3)
        .expect("a build directory")
        .to_owned()
}
