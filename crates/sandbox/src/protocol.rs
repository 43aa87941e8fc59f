//! What a holder and the init of its sandbox say to each other.

use serde::{Deserialize, Serialize};

use crate::plan::{Command, Place};

/// Which standard streams of a program are the terminal that the init makes for it; the others come as descriptors, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TerminalStreams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// How large the terminal is from the start. One that gets its size later tells its program of a change that there was none of.
    pub size: Option<TerminalSize>,
}

impl TerminalStreams {
    /// Whether a terminal is needed at all.
    pub fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }

    pub(crate) fn as_array(self) -> [bool; 3] {
        [self.stdin, self.stdout, self.stderr]
    }
}

/// To whom a signal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The program that was started.
    Leader,
    /// Its process group, as when a terminal sends it.
    Group,
    /// Every process of its session: what it started, unless that made a session of its own (setsid(2)).
    Session,
}

/// What is asked of a path inside. The init does it, with the rights of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    /// Open a regular file or directory for reading. Links are followed, inside; what lies in `/proc` is refused.
    Open,
    /// Open an entry of the directory whose descriptor comes along: one name, and no link.
    OpenEntry,
    /// A handle (O_PATH) of an entry of the directory whose descriptor comes along, whatever it is: one name, and a link itself.
    LookAtEntry,
    /// Write what the descriptor that comes along holds, and make the directories above. The file appears whole or not at all.
    Write {
        /// Its permission bits; nothing beyond 0o777.
        mode: u32,
    },
}

/// How much an archive of files may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveLimits {
    /// Its bytes.
    pub bytes: u64,
    /// Bytes that stay free on its file system.
    pub free_bytes: u64,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What a holder asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Go on with the launch: the id maps are written. Carries the opened [`crate::mounts::Sources`] if the launcher opened them.
    Proceed { sources_attached: bool },
    /// Start a program. Carries the descriptors of the streams that are no terminal.
    Start {
        number: u32,
        command: Command,
        terminal: TerminalStreams,
    },
    /// Send a signal to a program.
    Signal {
        number: u32,
        signal: i32,
        audience: Audience,
    },
    /// Make a TCP socket in the sandbox's network namespace.
    Socket { ipv6: bool },
    /// Do something with a path. Carries the descriptor that the action names.
    File {
        number: u32,
        path: Vec<u8>,
        action: FileAction,
    },
    /// Stop every program and write the files of the places into the file that comes along. Answered as [`Request::File`]; after a failure
    /// the programs go on.
    Keep {
        number: u32,
        places: Vec<Place>,
        limits: ArchiveLimits,
    },
    /// Make the files that the archive which comes along holds. Answered as [`Request::File`].
    BringBack { number: u32, places: Vec<Place> },
    /// Ask everything inside to end (SIGTERM), start nothing more, and end when nothing is left.
    Terminate,
}

/// What an init tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The network is in force. Carries its sockets, in the order of [`crate::network::NetworkSockets`].
    Network,
    /// The sandbox is built and confined.
    Ready,
    /// The launch failed; the init ends.
    Failed(LaunchFailure),
    /// A program runs. Carries the master of its terminal, if it has one.
    Started { number: u32 },
    /// A program could not be started.
    NotStarted { number: u32, errno: i32 },
    /// A program ended.
    Ended { number: u32, status: ExitStatus },
    /// The socket that was asked for.
    Socket,
    /// It could not be made.
    NoSocket { errno: i32 },
    /// A file was opened or written. Carries what was opened.
    File { number: u32 },
    /// It was not.
    NoFile { number: u32, errno: i32 },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It returned this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

impl ExitStatus {
    /// The code that a shell gives it: 128 and the signal's number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
        }
    }
}

/// The step of a launch that failed inside, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {cause}")]
pub struct LaunchFailure {
    /// What was being done.
    pub step: LaunchStep,
    /// The failing call and the kernel's answer.
    pub cause: String,
    /// The kernel's answer as a number (errno(3)), where it was one.
    pub errno: Option<i32>,
}

/// The steps of a launch inside, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchStep {
    /// Loopback, routes, rules and sockets of the network namespace.
    Network,
    /// Becoming root inside, to own what is made.
    Identity,
    /// Mounts and pivot_root.
    Mounts,
    /// Host name.
    HostName,
    /// Limits of each process.
    ProcessLimits,
    /// Landlock.
    Landlock,
    /// Capabilities, user and group.
    Privileges,
    /// The system call filter.
    Seccomp,
}

impl std::fmt::Display for LaunchStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Network => "setting up the network namespace",
            Self::Identity => "becoming root inside",
            Self::Mounts => "building the file system",
            Self::HostName => "setting the host name",
            Self::ProcessLimits => "setting the process limits",
            Self::Landlock => "entering the Landlock domain",
            Self::Privileges => "dropping privileges",
            Self::Seccomp => "loading the system call filter",
        })
    }
}
