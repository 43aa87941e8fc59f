//! Repositories of a test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::User;
use crate::process::{command, succeed};

/// A repository with a work tree, on the branch `main`, in a directory that everybody may read. It goes when this is dropped.
#[derive(Debug)]
pub struct GitRepository {
    root: TempDir,
    name: String,
}

impl GitRepository {
    /// An empty one, in a directory of this name.
    pub fn new(name: &str) -> Self {
        let root = tempfile::Builder::new()
            .prefix("bailiwick-git-")
            .tempdir()
            .expect("a temporary directory");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let this = Self {
            root,
            name: name.to_owned(),
        };
        fs::create_dir(this.path()).expect("a directory");
        this.git(["init", "--quiet", "--initial-branch=main"]);
        this
    }

    /// The work tree.
    pub fn path(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    /// What it lies in, alone.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Its `file:` URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Writes a file of the work tree. Directories above it are made.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, contents).expect("a file");
        self
    }

    /// Commits all of the work tree; returns the commit's hash.
    pub fn commit(&self, message: &str) -> String {
        self.git(["add", "--all", "."]);
        self.git(["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Runs git in the work tree, which must succeed; returns what it printed, without the end of its last line.
    pub fn git<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> String {
        let printed = succeed(self.command().args(arguments));
        printed.trim_end().to_owned()
    }

    /// git in the work tree, with nobody's configuration, ready to be changed further.
    pub fn command(&self) -> Command {
        let mut git = command("git", User::current());
        git.current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "Test")
                .env(format!("GIT_{who}_EMAIL"), "test@example.com");
        }
        git
    }
}
