//! A program in a sandbox: how it is started, spoken to, and how it ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{BoxFuture, Error, bytes};

/// What a program reads from; dropping it closes it.
pub type ByteSink = Pin<Box<dyn AsyncWrite + Send>>;
/// What a program writes to.
pub type ByteSource = Pin<Box<dyn AsyncRead + Send>>;

/// A connection to a program; dropping it closes it.
pub type ByteStream = Pin<Box<dyn Duplex>>;

/// What can be read from and written to.
pub trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; a program without a slash is looked up in the `PATH` inside.
    #[serde(with = "bytes::os_strings")]
    pub argv: Vec<OsString>,
    /// Variables besides those of the sandbox; one of the same name wins.
    #[serde(with = "bytes::variables")]
    pub env: BTreeMap<OsString, OsString>,
    /// Where it starts, as a path inside; the sandbox's own working directory where none is given.
    #[serde(with = "bytes::optional_path")]
    pub directory: Option<PathBuf>,
    /// What its standard streams are.
    pub streams: StandardStreams,
    /// When it is ended with SIGKILL, it and all that it started in its session.
    pub timeout: Option<Duration>,
}

impl Command {
    /// A program with three pipes, the variables and directory of the sandbox, and no timeout.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            directory: None,
            streams: StandardStreams::Pipes,
            timeout: None,
        }
    }
}

/// What the standard streams of a program are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StandardStreams {
    /// Three pipes.
    Pipes,
    /// A terminal of its own, of this size.
    Terminal(TerminalSize),
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// A program that runs. Dropping this does not end it.
pub struct Execution {
    /// Its standard streams. One that is not read fills up, and the program waits.
    pub streams: Streams,
    /// What can be done to it.
    pub control: Box<dyn ExecutionControl>,
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Execution")
    }
}

/// The other ends of a program's standard streams.
pub enum Streams {
    /// Three pipes.
    Pipes {
        /// What it reads.
        stdin: ByteSink,
        /// What it prints.
        stdout: ByteSource,
        /// What it complains.
        stderr: ByteSource,
    },
    /// A terminal.
    Terminal {
        /// Keys.
        input: ByteSink,
        /// The screen.
        output: ByteSource,
    },
}

/// What can be done to a program that runs.
pub trait ExecutionControl: Send + Sync {
    /// Sends a signal to it and to what it started in its process group. One that has ended is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`].
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), Error>>;

    /// Tells it that its terminal has another size. Without a terminal nothing happens.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`].
    fn resize(&self, size: TerminalSize) -> BoxFuture<'_, Result<(), Error>>;

    /// Waits for its end; may be called again, and then answers the same.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] when the sandbox was lost with it. A sandbox that is stopped ends it with a signal instead.
    fn wait(&self) -> BoxFuture<'_, Result<ExitStatus, Error>>;
}

/// The signals that somebody outside may send (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// SIGHUP, 1.
    Hangup,
    /// SIGINT, 2.
    Interrupt,
    /// SIGQUIT, 3.
    Quit,
    /// SIGKILL, 9.
    Kill,
    /// SIGUSR1, 10.
    User1,
    /// SIGUSR2, 12.
    User2,
    /// SIGTERM, 15.
    Terminate,
}

impl Signal {
    /// The number that every Linux architecture but MIPS, SPARC, Alpha and PA-RISC gives it.
    pub fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::Kill => 9,
            Self::User1 => 10,
            Self::User2 => 12,
            Self::Terminate => 15,
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitStatus {
    /// By itself, with this code.
    Exited(u8),
    /// By this signal.
    Signaled(u8),
    /// Its [`Command::timeout`] was over.
    TimedOut,
    /// The kernel killed it for the memory limit.
    OutOfMemory,
}

impl ExitStatus {
    /// As shells report it: 128 and the signal's number, 124 for a timeout (timeout(1)), 137 for memory, which is SIGKILL.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(number) => number.saturating_add(128),
            Self::TimedOut => 124,
            Self::OutOfMemory => 137,
        }
    }
}
