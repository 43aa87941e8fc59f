//! The server of the control plane, and the least that answers with rows of a database.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bailiwick_testkit::Postgres;

use super::Stage;
use crate::os;
use crate::protocol::Answering;
use crate::worker::Worker;

/// The key that every server here takes.
pub(crate) const KEY: &str = "bench-0123456789-0123456789-0123456789";
/// What secrets would be sealed with.
const SECRET_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";
/// How long a start may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a server that starts.
const PAUSE: Duration = Duration::from_micros(500);

/// Where a server keeps what it has.
#[derive(Debug)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(Postgres),
}

/// A server; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Place {
    /// An empty database in a file of the run's directory.
    pub(crate) fn sqlite(stage: &Stage, name: &str) -> Result<Self> {
        let directory = stage.path(name);
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::create_dir(&directory)?;
        std::fs::set_permissions(&directory, private)?;
        Ok(Self::Sqlite(directory))
    }

    /// An empty database of a PostgreSQL that was started for it, as durable as it is by default.
    pub(crate) fn postgres() -> Result<Self> {
        ensure!(Postgres::is_installed(), "PostgreSQL is not installed");
        Ok(Self::Postgres(Postgres::durable()))
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite:{}/bailiwick.db", directory.display()),
            Self::Postgres(server) => server.url(),
        }
    }
}

impl Server {
    /// Starts a server and waits until it says where it listens.
    pub(crate) fn start(stage: &Stage, place: &Place) -> Result<Self> {
        Self::listening(command(stage, place, "127.0.0.1:0"))
    }

    /// The same, with a model to ask, and more options.
    pub(crate) fn at_work(
        stage: &Stage,
        place: &Place,
        model: &str,
        options: &[String],
    ) -> Result<Self> {
        let mut command = command(stage, place, "127.0.0.1:0");
        command.args(options).env("ANTHROPIC_BASE_URL", model);
        Self::listening(command)
    }

    /// The same, with more options.
    pub(crate) fn with_options(stage: &Stage, place: &Place, options: &[&str]) -> Result<Self> {
        let mut command = command(stage, place, "127.0.0.1:0");
        command.args(options);
        Self::listening(command)
    }

    fn listening(mut command: Command) -> Result<Self> {
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next().context("the server ended")??;
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.parse()?;
            }
        };
        Ok(Self { process, address })
    }

    /// Ends it as an operator would, so that it leaves nothing of its sandboxes.
    pub(crate) fn end(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let begun = Instant::now();
        while self.process.try_wait()?.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "not ended after {PATIENCE:?}");
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Milliseconds from the start of its process to the first request that finds it ready.
    pub(crate) fn time_to_ready(stage: &Stage, place: &Place) -> Result<f64> {
        let address = free_address()?;
        let mut command = command(stage, place, &address.to_string());
        command.stdout(Stdio::null());
        let begun = Instant::now();
        let server = Self {
            process: command.spawn()?,
            address,
        };
        while !server.is_ready() {
            ensure!(begun.elapsed() < PATIENCE, "not ready after {PATIENCE:?}");
            std::thread::sleep(PAUSE);
        }
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }

    fn is_ready(&self) -> bool {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = os::connect(self.address) else {
            return false;
        };
        let request = format!(
            "GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        );
        let mut answer = [0; 15];
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer == *b"HTTP/1.1 200 OK"
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(stage: &Stage, place: &Place, listen: &str) -> Command {
    let mut command = os::command(stage.bailiwick.with_file_name("bailiwick-server"));
    command
        .args(["up", "--listen", listen, "--database-url", &place.url()])
        .env("BAILIWICK_BOOTSTRAP_KEY", KEY)
        .env("BAILIWICK_SECRET_KEY", SECRET_KEY)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The least that answers, with a table of its own in the same kind of database.
pub(crate) fn rows(stage: &Stage, place: &Place) -> Result<(Worker, Answering)> {
    let mut command = stage.role("rows");
    command.args(["--key", KEY]);
    match place {
        Place::Sqlite(directory) => command.arg("--sqlite").arg(directory.join("rows.db")),
        Place::Postgres(server) => command.args(["--postgres", &server.url()]),
    };
    let mut worker = Worker::start("the bare server", command)?;
    let answering: Answering = worker.hear()?;
    if answering.paths.is_empty() {
        bail!("the bare server has no rows");
    }
    Ok((worker, answering))
}
