//! A scripted program that runs.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;

use super::Files;
use crate::{
    BoxFuture, Command, Error, Execution, ExecutionControl, ExitStatus, Signal, StandardStreams,
    Streams, TerminalSize,
};

/// As much as a pipe of Linux holds.
const PIPE_BYTES: usize = 64 * 1024;

/// What a scripted program does: it ends with an exit code.
pub(super) type Program =
    Arc<dyn Fn(Invocation) -> Pin<Box<dyn Future<Output = u8> + Send>> + Send + Sync>;

/// What a scripted program is given.
pub struct Invocation {
    /// As it was started, with the sandbox's variables and directory filled in.
    pub command: Command,
    /// What it reads.
    pub stdin: DuplexStream,
    /// Where it prints; also the screen, where it has a terminal.
    pub stdout: DuplexStream,
    /// Where it complains.
    pub stderr: DuplexStream,
    pub(super) files: Arc<Mutex<Files>>,
}

impl Invocation {
    /// Writes a file inside.
    pub fn write_file(&self, path: impl Into<std::path::PathBuf>, contents: &[u8]) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.into(), (0o644, contents.to_vec()));
    }
}

/// Starts `program`; it ends by itself, by a signal, or by its timeout. `stop` carries the signal that ends everything.
pub(super) fn start(
    program: &Program,
    command: Command,
    files: Arc<Mutex<Files>>,
    mut stop: watch::Receiver<Option<u8>>,
) -> Execution {
    let (stdin, their_stdin) = duplex(PIPE_BYTES);
    let (stdout, their_stdout) = duplex(PIPE_BYTES);
    let (stderr, their_stderr) = duplex(PIPE_BYTES);
    let (timeout, terminal) = (command.timeout, command.streams);
    let run = program(Invocation {
        command,
        stdin: their_stdin,
        stdout: their_stdout,
        stderr: their_stderr,
        files,
    });
    let (signals, mut signaled) = watch::channel(None);
    let (ended, status) = watch::channel(None);
    tokio::spawn(async move {
        let deadline = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            code = run => ExitStatus::Exited(code),
            number = arrived(&mut signaled) => ExitStatus::Signaled(number),
            number = arrived(&mut stop) => ExitStatus::Signaled(number),
            () = deadline => ExitStatus::TimedOut,
        };
        ended.send_replace(Some(end));
    });
    let streams = match terminal {
        StandardStreams::Pipes => Streams::Pipes {
            stdin: Box::pin(stdin),
            stdout: Box::pin(stdout),
            stderr: Box::pin(stderr),
        },
        StandardStreams::Terminal(_) => Streams::Terminal {
            input: Box::pin(stdin),
            output: Box::pin(stdout),
        },
    };
    Execution {
        streams,
        control: Box::new(Control { signals, status }),
    }
}

/// The signal, once there is one; never, when nobody can send one any more.
async fn arrived(signals: &mut watch::Receiver<Option<u8>>) -> u8 {
    match signals
        .wait_for(Option::is_some)
        .await
        .map(|signal| *signal)
    {
        Ok(Some(number)) => number,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

struct Control {
    signals: watch::Sender<Option<u8>>,
    status: watch::Receiver<Option<ExitStatus>>,
}

impl ExecutionControl for Control {
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), Error>> {
        self.signals.send_replace(Some(signal.number()));
        Box::pin(async { Ok(()) })
    }

    fn resize(&self, _size: TerminalSize) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn wait(&self) -> BoxFuture<'_, Result<ExitStatus, Error>> {
        Box::pin(async {
            let mut status = self.status.clone();
            let end = status.wait_for(Option::is_some).await.map(|end| *end);
            match end {
                Ok(Some(end)) => Ok(end),
                Ok(None) | Err(_) => Err(Error::Backend("the program's task is gone".into())),
            }
        })
    }
}
