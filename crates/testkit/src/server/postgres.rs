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
/// How long it may take to start, also after a crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PostgreSQL server on 127.0.0.1; user `postgres`, no password, database `postgres`.
#[derive(Debug)]
pub struct Postgres {
    // Ends before its files go.
    process: Child,
    directory: TempDir,
    port: FreePort,
    programs: PathBuf,
    sync: Sync,
}

/// Whether what was acknowledged outlives the machine.
#[derive(Debug, Clone, Copy)]
enum Sync {
    Off,
    On,
}

/// How a server ends that is given no time to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// It is told to abort everything, as by `pg_ctl stop -m immediate`.
    Immediate,
    /// Its first process is killed; the others notice.
    Killed,
}

impl Postgres {
    /// Makes a database and starts a server on it, which does not wait for disks: for them tests have no time.
    pub fn start() -> Self {
        Self::with(Sync::Off)
    }

    /// As [`Self::start`], with the durability that a server has by default.
    pub fn durable() -> Self {
        Self::with(Sync::On)
    }

    /// Whether this machine has the programs.
    pub fn is_installed() -> bool {
        newest_version().is_some()
    }

    fn with(sync: Sync) -> Self {
        let programs = newest_version()
            .unwrap_or_else(|| panic!("{VERSIONS}: Debian's package postgresql is needed"));
        let user = user();
        let directory = TempDir::new().expect("a temporary directory");
        user.own(directory.path());
        copy(
            &empty_database(&programs, user),
            &directory.path().join("data"),
        );
        let port = FreePort::find();
        let process = run(&programs, directory.path(), &port, sync);
        let server = Self {
            process,
            directory,
            port,
            programs,
            sync,
        };
        assert!(server.is_ready(), "{}", server.process.complained());
        server
    }

    /// Ends the server at once, with whatever goes on in it.
    pub fn crash(&mut self, how: Crash) {
        self.process.signal(match how {
            Crash::Immediate => Signal::QUIT,
            Crash::Killed => Signal::KILL,
        });
        // Its output is open as long as any of its processes is there.
        self.process.wait(PATIENCE);
    }

    /// Starts it again where it was, on what it had.
    pub fn start_again(&mut self) {
        eventually("PostgreSQL is back", PATIENCE, || {
            self.process = run(&self.programs, self.directory.path(), &self.port, self.sync);
            self.is_ready().then_some(())
        });
    }

    /// Stops all of its processes where they are: it neither answers nor goes away.
    pub fn freeze(&self) {
        // First the one that would start others.
        self.process.signal(Signal::STOP);
        self.process.signal_children(Signal::STOP);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.process.signal_children(Signal::CONT);
        self.process.signal(Signal::CONT);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL, as programs take it.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address())
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

    /// Waits until it accepts connections; no if it ended instead.
    fn is_ready(&self) -> bool {
        eventually("PostgreSQL accepts connections", PATIENCE, || {
            let complained = self.process.complained();
            if complained.contains("ready to accept connections") {
                return Some(true);
            }
            self.process.has_ended().then_some(false)
        })
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

/// The server refuses to run as root, and needs a user that has a name.
fn user() -> User {
    if User::current().is_root() {
        User::named("postgres").expect("the package made it")
    } else {
        User::current()
    }
}

fn run(programs: &Path, directory: &Path, port: &FreePort, sync: Sync) -> Child {
    let mut server = command(programs.join("postgres"), user());
    server
        .arg("-D")
        .arg(directory.join("data"))
        .arg("-k")
        .arg(directory)
        .args(["-h", "127.0.0.1", "-p", &port.number().to_string()])
        .args(["-c", "log_connections=on"])
        // In its own files: what lies in memory outlives a server that is killed.
        .args(["-c", "dynamic_shared_memory_type=mmap"])
        .current_dir(directory);
    match sync {
        Sync::Off => server.args(["-c", "fsync=off"]),
        Sync::On => server.args(["-c", "fsync=on"]),
    };
    Child::start_helper(&mut server)
}

fn newest_version() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?;
    let programs = versions.map(|version| version.expect("an entry").path().join("bin"));
    let number = |path: &Path| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    programs
        .filter(|path| path.join("postgres").exists())
        .max_by_key(|path| number(path))
}
