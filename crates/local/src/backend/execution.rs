//! A program of the port: streams, signals, its time, how it ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_runtime::{
    BoxFuture, Command, Error, ExecutionControl, ExitStatus, Signal, SpecProblem, StandardStreams,
    Streams, TerminalSize,
};
use bailiwick_sandbox::{self as kernel, Audience, TerminalStreams, plan};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::watch;

use super::error;
use super::sandbox::{Inner, Life};
use super::terminal::Master;
use crate::keeper::{Program, ProgramError};

/// Arguments and variables together; execve(2) takes no more with the usual stack limit either.
pub(crate) const ARGUMENT_BYTES: usize = 2 * 1024 * 1024;

/// The ends of a program's standard streams that stay outside.
pub(crate) enum Ends {
    /// What it reads, what it prints, what it complains.
    Pipes([OwnedFd; 3]),
    /// The master of its terminal.
    Terminal(OwnedFd),
}

impl Ends {
    /// Must be called inside a tokio runtime.
    pub(crate) fn into_streams(self) -> io::Result<Streams> {
        Ok(match self {
            Self::Pipes([stdin, stdout, stderr]) => Streams::Pipes {
                stdin: Box::pin(Sender::from_owned_fd(stdin)?),
                stdout: Box::pin(Receiver::from_owned_fd(stdout)?),
                stderr: Box::pin(Receiver::from_owned_fd(stderr)?),
            },
            Self::Terminal(master) => {
                let master = Master::new(master)?;
                Streams::Terminal {
                    input: Box::pin(master.clone()),
                    output: Box::pin(master),
                }
            }
        })
    }
}

/// A program that runs.
pub(crate) struct Started {
    pub(crate) ends: Ends,
    pub(crate) control: Control,
}

/// Starts a program.
pub(super) async fn start(sandbox: &Arc<Inner>, command: Command) -> Result<Started, Error> {
    command.validate()?;
    let (timeout, streams) = (command.timeout, command.streams);
    let name = command.argv.first().cloned().unwrap_or_default();
    let command = as_planned(sandbox, command)?;
    let kills_before = sandbox.handle.out_of_memory_kills().await.unwrap_or(0);
    let failed = |error| not_started(sandbox, name.clone(), &error);
    let (program, ends, master) = match streams {
        StandardStreams::Pipes => {
            let (inside, ends) = pipes(sandbox.owner_of_pipes).map_err(error::backend)?;
            let started = sandbox
                .handle
                .start(command, TerminalStreams::default(), inside)
                .await;
            (started.map_err(failed)?, Ends::Pipes(ends), None)
        }
        StandardStreams::Terminal(TerminalSize { rows, columns }) => {
            let size = kernel::TerminalSize { rows, columns };
            let started = sandbox.handle.start_in_terminal(command, size).await;
            let mut program = started.map_err(failed)?;
            let master = program.terminal.take().ok_or_else(|| sandbox.gone())?;
            let end = master.try_clone().map_err(error::backend)?;
            let master = Master::new(master).map_err(error::backend)?;
            (program, Ends::Terminal(end), Some(master))
        }
    };
    let control = Control {
        sandbox: Arc::clone(sandbox),
        number: program.number,
        killed: Arc::default(),
        master,
        end: watch::Sender::new(None).subscribe(),
    };
    let control = control.wait_for(program, timeout, kills_before);
    Ok(Started { ends, control })
}

fn as_planned(sandbox: &Inner, command: Command) -> Result<plan::Command, Error> {
    let invalid = |field: &str, problem| Error::InvalidSpec {
        field: field.into(),
        problem,
    };
    let variables: Vec<_> = command.env.into_iter().collect();
    let mut planned = sandbox.handle.command(command.argv, &variables);
    if let Some(directory) = command.directory {
        // A message to the init carries it as text.
        if directory.to_str().is_none() {
            return Err(invalid("directory", SpecProblem::Byte));
        }
        planned.directory = directory;
    }
    let strings = planned.argv.iter().chain(&planned.env);
    if strings.map(|string| string.len() + 1).sum::<usize>() > ARGUMENT_BYTES {
        return Err(invalid("argv", SpecProblem::TooMuch));
    }
    Ok(planned)
}

fn not_started(sandbox: &Inner, name: std::ffi::OsString, error: &ProgramError) -> Error {
    let ProgramError::NotStarted(errno) = error else {
        return sandbox.gone();
    };
    match Errno::from_raw_os_error(*errno) {
        Errno::NOENT | Errno::NOTDIR => Error::CommandNotFound(name),
        Errno::ACCESS | Errno::PERM | Errno::NOEXEC | Errno::ISDIR | Errno::LOOP => {
            Error::CommandNotExecutable(name)
        }
        Errno::TOOBIG => Error::InvalidSpec {
            field: "argv".into(),
            problem: SpecProblem::TooMuch,
        },
        Errno::SHUTDOWN => sandbox.gone(),
        errno => error::backend(io::Error::from(errno)),
    }
}

/// The ends of three pipes that go inside, in order, and those that stay.
fn pipes(owner: Option<(u32, u32)>) -> io::Result<(Vec<OwnedFd>, [OwnedFd; 3])> {
    let (stdin, to_stdin) = pipe(owner)?;
    let (from_stdout, stdout) = pipe(owner)?;
    let (from_stderr, stderr) = pipe(owner)?;
    Ok((
        vec![stdin, stdout, stderr],
        [to_stdin, from_stdout, from_stderr],
    ))
}

/// Who opens `/dev/stderr` inside must own the pipe.
fn pipe(owner: Option<(u32, u32)>) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::fchown(read.as_fd(), Some(uid), Some(gid))?;
    }
    Ok((read, write))
}

/// How a program ended; `Lost` with its sandbox.
#[derive(Debug, Clone, Copy)]
enum End {
    Status(ExitStatus),
    Lost,
}

/// The way to a program that runs.
pub(crate) struct Control {
    sandbox: Arc<Inner>,
    number: u32,
    /// Somebody outside sent SIGKILL, so that it was not the kernel's.
    killed: Arc<AtomicBool>,
    /// Kept until the program has ended: closing the last of it would hang its terminal up.
    master: Option<Master>,
    end: watch::Receiver<Option<End>>,
}

impl Control {
    /// Leaves a task that waits for the program's end or the end of its time.
    fn wait_for(mut self, program: Program, timeout: Option<Duration>, kills_before: u64) -> Self {
        let (told, end) = watch::channel(None);
        self.end = end;
        let waiter = Waiter {
            sandbox: Arc::clone(&self.sandbox),
            killed: Arc::clone(&self.killed),
            _master: self.master.clone(),
            kills_before,
        };
        tokio::spawn(async move {
            let end = waiter.end(program, timeout).await;
            told.send_replace(Some(end));
        });
        self
    }
}

impl ExecutionControl for Control {
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if signal == Signal::Kill {
                self.killed.store(true, Ordering::Relaxed);
            }
            let signal = i32::from(signal.number());
            self.sandbox
                .handle
                .signal(self.number, signal, Audience::Group)
                .await;
            Ok(())
        })
    }

    fn resize(&self, size: TerminalSize) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match &self.master {
                Some(master) => master.resize(size).map_err(error::backend),
                None => Ok(()),
            }
        })
    }

    fn wait(&self) -> BoxFuture<'_, Result<ExitStatus, Error>> {
        Box::pin(async {
            let mut end = self.end.clone();
            let end = end.wait_for(Option::is_some).await.map(|end| *end);
            match end {
                Ok(Some(End::Status(status))) => Ok(status),
                Ok(Some(End::Lost) | None) | Err(_) => Err(self.sandbox.gone()),
            }
        })
    }
}

/// What waits for a program, whether somebody asks or not.
struct Waiter {
    sandbox: Arc<Inner>,
    killed: Arc<AtomicBool>,
    _master: Option<Master>,
    kills_before: u64,
}

impl Waiter {
    async fn end(self, mut program: Program, timeout: Option<Duration>) -> End {
        let deadline = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let status = tokio::select! {
            biased;
            status = &mut program.ended => status,
            () = deadline => {
                let kill = i32::from(Signal::Kill.number());
                self.sandbox.handle.signal(program.number, kill, Audience::Session).await;
                return match program.ended.await {
                    Ok(_) => End::Status(ExitStatus::TimedOut),
                    Err(_) => self.ended_with_sandbox(),
                };
            }
        };
        match status {
            Ok(kernel::ExitStatus::Exited(code)) => {
                let code = u8::try_from(code & 0xff).unwrap_or(u8::MAX);
                End::Status(ExitStatus::Exited(code))
            }
            Ok(kernel::ExitStatus::Signaled(number)) => {
                End::Status(self.signaled(u8::try_from(number).unwrap_or(u8::MAX)).await)
            }
            Err(_) => self.ended_with_sandbox(),
        }
    }

    /// The kernel's own SIGKILL looks like anybody's; but then the count has risen, and nobody here sent one.
    async fn signaled(&self, number: u8) -> ExitStatus {
        let by_kernel = number == Signal::Kill.number() && !self.killed.load(Ordering::Relaxed);
        if !by_kernel {
            return ExitStatus::Signaled(number);
        }
        match self.sandbox.handle.out_of_memory_kills().await {
            Some(kills) if kills > self.kills_before => {
                self.sandbox.tell_kills(kills);
                ExitStatus::OutOfMemory
            }
            Some(_) | None => ExitStatus::Signaled(number),
        }
    }

    fn ended_with_sandbox(&self) -> End {
        match self.sandbox.life() {
            Life::Running => End::Lost,
            Life::Stopping(reason) | Life::Stopped(reason) => match reason {
                bailiwick_runtime::StopReason::Lost => End::Lost,
                bailiwick_runtime::StopReason::Requested
                | bailiwick_runtime::StopReason::Checkpointed
                | bailiwick_runtime::StopReason::Lifetime => {
                    End::Status(ExitStatus::Signaled(Signal::Kill.number()))
                }
            },
        }
    }
}
