//! A real PostgreSQL with an empty database of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::port::FreePort;
use crate::User;
use crate::once::made_once;
use crate::process::{Child, command, eventually, succeed};

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A PostgreSQL server on 127.0.0.1; user `postgres`, no password, database `postgres`.
#[derive(Debug)]
pub struct Postgres {
    // Ends before its files go.
    process: Child,
    _directory: TempDir,
    port: FreePort,
    programs: PathBuf,
}

impl Postgres {
    /// Makes a database and starts a server on it.
    pub fn start() -> Self {
        let programs = newest_version();
        // The server refuses to run as root, and needs a user that has a name.
        let user = if User::current().is_root() {
            User::named("postgres").expect("the package made it")
        } else {
            User::current()
        };
        let directory = TempDir::new().expect("a temporary directory");
        user.own(directory.path());
        let data = directory.path().join("data");
        copy(&empty_database(&programs, user), &data);
        let port = FreePort::find();
        let mut server = command(programs.join("postgres"), user);
        server
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(directory.path())
            .args(["-h", "127.0.0.1", "-p", &port.number().to_string()]);
        server
            .args(["-c", "fsync=off", "-c", "log_connections=on"])
            // In its own files: what lies in memory outlives a server that is killed.
            .args(["-c", "dynamic_shared_memory_type=mmap"])
            .current_dir(directory.path());
        let process = Child::start_helper(&mut server);
        let ready = || {
            process
                .complained()
                .contains("ready to accept connections")
                .then_some(())
        };
        eventually(
            "PostgreSQL accepts connections",
            Duration::from_secs(30),
            ready,
        );
        Self {
            process,
            _directory: directory,
            port,
            programs,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The client, as a path that is the same inside a sandbox on the host's base.
    pub fn psql(&self) -> PathBuf {
        self.programs.join("psql")
    }

    /// How many connections have reached it.
    pub fn connections(&self) -> usize {
        self.process
            .complained()
            .lines()
            .filter(|line| line.contains("connection received"))
            .count()
    }
}

/// So that it gives back what it has of the system's memory, which outlives it.
impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.ask_to_end(Signal::QUIT);
    }
}

/// The files of a database that nothing was done with: to make them takes a second, to copy them next to nothing.
fn empty_database(programs: &Path, user: User) -> PathBuf {
    let version = programs.parent().and_then(Path::file_name);
    let version = version
        .expect("`newest_version` found it by its number")
        .to_string_lossy();
    let name = format!("postgres/{version}-{}", user.uid);
    let made = made_once(&name, |made| {
        // The user may not reach the build directory.
        let directory = TempDir::new().expect("a temporary directory");
        user.own(directory.path());
        let data = directory.path().join("data");
        succeed(
            command(programs.join("initdb"), user)
                .args([
                    "--username=postgres",
                    "--auth=trust",
                    "--wal-segsize=1",
                    "--no-sync",
                    "--no-instructions",
                    "--pgdata",
                ])
                .arg(&data)
                .current_dir(directory.path()),
        );
        copy(&data, &made.join("data"));
    });
    made.join("data")
}

/// With owners and modes.
fn copy(from: &Path, to: &Path) {
    succeed(
        command("cp", User::current())
            .args(["--archive", "--reflink=auto"])
            .arg(from)
            .arg(to),
    );
}

fn newest_version() -> PathBuf {
    let versions = fs::read_dir(VERSIONS)
        .unwrap_or_else(|e| panic!("{VERSIONS}: {e}; Debian's package postgresql is needed"));
    let programs = versions.map(|version| version.expect("an entry").path().join("bin"));
    let number = |path: &Path| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    programs
        .filter(|path| path.join("postgres").exists())
        .max_by_key(|path| number(path))
        .expect("a server")
}
