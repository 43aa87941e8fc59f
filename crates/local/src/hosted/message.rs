//! What a server and its sandbox hosts say to each other. Both are the same executable, so that there is one version.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_runtime::{
    CaptureLimits, Checkpoint, Command, Event, ExitStatus, FileEntry, SandboxSpec, Signal,
    TerminalSize, bytes,
};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Reported};
use super::policy::PolicyText;

/// A question, and the number that its answer will have.
#[derive(Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) question: Question,
}

/// A sandbox or an execution has the number of the question that started it.
#[derive(Serialize, Deserialize)]
pub(super) enum Question {
    /// Carries the host's end of the channel of the sandbox's events.
    Start {
        spec: Box<SandboxSpec<PolicyText>>,
        restore: Option<Checkpoint>,
    },
    Ask {
        sandbox: u64,
        ask: Ask,
    },
    Signal {
        execution: u64,
        signal: Signal,
    },
    Resize {
        execution: u64,
        size: TerminalSize,
    },
}

/// What is asked of a sandbox.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    Exec(Command),
    Connect {
        port: NonZeroU16,
    },
    Read {
        path: OnePath,
        limit_bytes: u64,
    },
    /// Carries the contents.
    Write {
        path: OnePath,
        bytes: u64,
        mode: u32,
    },
    LookAt {
        path: OnePath,
    },
    List {
        path: OnePath,
        limit: usize,
    },
    Capture {
        roots: Vec<OnePath>,
        limits: CaptureLimits,
    },
    ApplyPolicy(PolicyText),
    Mark(u64),
    Checkpoint,
    Stop {
        grace: Duration,
    },
}

/// A path inside.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OnePath(#[serde(with = "bytes::os_string")] pub(super) PathBuf);

/// What a host says.
#[derive(Serialize, Deserialize)]
pub(super) enum Told {
    /// It can start sandboxes, or why it cannot. The first message.
    Ready(Result<(), Reported>),
    Answer {
        number: u64,
        result: Result<Answer, Failure>,
    },
    /// A program ended, or was lost with its sandbox; or a sandbox ended, which has no status.
    Ended {
        number: u64,
        status: Option<ExitStatus>,
    },
}

/// An answer that is no failure.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    /// Carries the three ends of its pipes, or the master of its terminal.
    Started {
        terminal: bool,
    },
    /// Carries the connection.
    Connected,
    /// Carries what it held.
    Contents {
        bytes: u64,
    },
    Entries(Vec<FileEntry>),
    /// Carries what they held, one after the other.
    Captured(Vec<Captured>),
    Checkpoint(Checkpoint),
}

/// A file that was captured, without its contents.
#[derive(Serialize, Deserialize)]
pub(super) struct Captured {
    #[serde(with = "bytes::os_string")]
    pub(super) path: PathBuf,
    pub(super) executable: bool,
    pub(super) bytes: u64,
}

/// What a sandbox told, in order: on a channel of its own, so that who does not read it holds up that sandbox alone.
pub(super) type Events = Vec<Event>;
