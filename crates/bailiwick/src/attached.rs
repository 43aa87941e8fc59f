//! A program inside, attached to the caller as if it ran here: streams, terminal, signals, time limit, exit code.

use std::time::Duration;

use bailiwick_local::{Handle, Program, ProgramError, RemoteProgram};
use bailiwick_sandbox::{Audience, ExitStatus, TerminalStreams};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::output;
use crate::stdio::Terminal;

/// How long a program that ran out of time has between SIGTERM and its end.
const GRACE: Duration = Duration::from_secs(5);

/// A program that can be waited for and signalled, wherever its holder is.
pub(crate) trait Attach {
    /// Sends a signal.
    async fn signal(&self, signal: i32, audience: Audience);
    /// Waits for the end; `None` if the sandbox ended first.
    async fn ended(&mut self) -> Option<ExitStatus>;
}

/// A program of this process's own sandbox.
pub(crate) struct OwnProgram<'a> {
    pub(crate) handle: &'a Handle,
    pub(crate) program: Program,
}

impl Attach for OwnProgram<'_> {
    async fn signal(&self, signal: i32, audience: Audience) {
        self.handle
            .signal(self.program.number, signal, audience)
            .await;
    }

    async fn ended(&mut self) -> Option<ExitStatus> {
        (&mut self.program.ended).await.ok()
    }
}

impl Attach for RemoteProgram {
    async fn signal(&self, signal: i32, audience: Audience) {
        Self::signal(self, signal, audience);
    }

    async fn ended(&mut self) -> Option<ExitStatus> {
        Self::ended(self).await
    }
}

/// Stays with the program until it ends.
///
/// # Errors
///
/// The terminal or the signal handlers failed.
pub(crate) async fn attend(
    mut program: impl Attach,
    mut signals: Signals,
    master: Option<std::os::fd::OwnedFd>,
    streams: TerminalStreams,
    timeout: Option<Duration>,
) -> anyhow::Result<Exit> {
    let terminal = master
        .map(|master| Terminal::join(master, streams))
        .transpose()?;
    let mut deadline = timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout)));
    let mut timed_out = false;
    let mut carried = false;
    let status = loop {
        tokio::select! {
            status = program.ended() => break status,
            (number, audience) = signals.next() => program.signal(number, audience).await,
            () = elapsed(deadline.as_mut()) => {
                if timed_out { break None }
                timed_out = true;
                program.signal(TERM, Audience::Group).await;
                deadline = Some(Box::pin(tokio::time::sleep(GRACE)));
            }
            () = carry(terminal.as_ref()), if !carried => carried = true,
        }
    };
    if let Some(terminal) = &terminal {
        terminal.drain()?;
    }
    Ok(match status {
        _ if timed_out => Exit::TimedOut,
        Some(ExitStatus::Exited(code)) => {
            Exit::Command(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
        }
        Some(ExitStatus::Signaled(number)) => Exit::Signal(u8::try_from(number).unwrap_or(u8::MAX)),
        // The sandbox was ended around it.
        None => Exit::Signal(9),
    })
}

/// Says why a command was not started, as a shell would, and with its code.
pub(crate) fn not_started(name: &str, error: &ProgramError) -> Exit {
    let name = output::printable(name);
    output::print_to_stderr(&format!(
        "bailiwick: cannot run {name} inside the sandbox: {error}\n"
    ));
    match error {
        ProgramError::NotStarted(errno) if *errno == rustix::io::Errno::NOENT.raw_os_error() => {
            Exit::NotFound
        }
        ProgramError::NotStarted(_) => Exit::CannotExecute,
        ProgramError::Gone => Exit::Failed,
    }
}

const TERM: i32 = rustix::process::Signal::TERM.as_raw();

async fn elapsed(deadline: Option<&mut std::pin::Pin<Box<tokio::time::Sleep>>>) {
    match deadline {
        Some(deadline) => deadline.await,
        None => std::future::pending().await,
    }
}

/// A terminal that fails has gone away; its program hears of that by itself.
async fn carry(terminal: Option<&Terminal>) {
    match terminal {
        Some(terminal) => drop(terminal.carry().await),
        None => std::future::pending().await,
    }
}

/// The signals that are handed on. From a terminal, those that keys send go to the whole foreground group, so inside too.
pub(crate) struct Signals {
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    terminate: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Takes them from here on; until then they have their default action.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> (i32, Audience) {
        tokio::select! {
            _ = self.interrupt.recv() => (SignalKind::interrupt().as_raw_value(), Audience::Group),
            _ = self.quit.recv() => (SignalKind::quit().as_raw_value(), Audience::Group),
            _ = self.hangup.recv() => (SignalKind::hangup().as_raw_value(), Audience::Group),
            _ = self.terminate.recv() => (SignalKind::terminate().as_raw_value(), Audience::Leader),
            _ = self.user1.recv() => (SignalKind::user_defined1().as_raw_value(), Audience::Leader),
            _ = self.user2.recv() => (SignalKind::user_defined2().as_raw_value(), Audience::Leader),
        }
    }
}
