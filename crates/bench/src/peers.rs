//! What Bailiwick is measured beside, each started from a configuration made for the run.

pub(crate) mod control_plane;
pub(crate) mod destination;
pub(crate) mod interceptors;
pub(crate) mod launchers;
pub(crate) mod model_proxies;
pub(crate) mod proxies;
pub(crate) mod repository;
pub(crate) mod sandboxed;
pub(crate) mod tool_proxies;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::os;

/// What all measurements share.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The program under test.
    pub(crate) bailiwick: PathBuf,
    /// This program.
    pub(crate) bench: PathBuf,
    /// For files of the run; removed at its end.
    pub(crate) dir: tempfile::TempDir,
    /// Few rounds.
    pub(crate) quick: bool,
}

impl Stage {
    /// Makes the directory, open to the users that peers and sandboxes run as.
    pub(crate) fn set(bailiwick: &Path, quick: bool) -> Result<Self> {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let dir = tempfile::Builder::new()
            .prefix("bailiwick-bench-")
            .permissions(permissions)
            .tempdir()?;
        Ok(Self {
            bailiwick: bailiwick.to_owned(),
            bench: std::env::current_exe()?,
            dir,
            quick,
        })
    }

    /// A path in the run's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// This program in another role.
    pub(crate) fn role(&self, role: &str) -> Command {
        let mut command = os::command(&self.bench);
        command.arg(role);
        command
    }

    /// The first number, or the second in a quick run.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// A peer's process; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Background(Child);

impl Background {
    /// Starts a program that runs until it is told to end.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self(child))
    }

    /// Whether it has ended already.
    pub(crate) fn ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
