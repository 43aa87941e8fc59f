//! A real PostgreSQL with an empty database of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::port::FreePort;
use crate::User;
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
    /// Makes a database and starts a server on it; takes about two seconds.
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
        succeed(
            command(programs.join("initdb"), user)
                .args([
                    "--username=postgres",
                    "--auth=trust",
                    "--no-sync",
                    "--no-instructions",
                    "--pgdata",
                ])
                .arg(&data)
                .current_dir(directory.path()),
        );
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
            Duration::from_secs(60),
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
