//! One shell that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_runtime::{ByteSink, Command, Error, ExecutionControl, ExitStatus, Signal, Streams};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::printed::{Output, Printed};
use super::script::{Beginning, Marks, SWEEP, Said, Victims};
use crate::LiveOutput;
use crate::inside::Inside;

const PROGRAM: &str = "/bin/bash";
/// How long what a shell printed last may take to arrive once it has ended; its jobs may hold the pipes open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long a command may take to end after all that it started was killed, and how often that is tried.
const KILL_PAUSE: Duration = Duration::from_millis(200);
const KILLS: usize = 5;

/// A shell; it is killed when this is dropped, and what it printed to is closed.
pub(super) struct Shell {
    inside: Arc<dyn Inside>,
    input: ByteSink,
    control: Option<Box<dyn ExecutionControl>>,
    printed: Printed,
    /// Its process id inside.
    pid: u32,
}

/// A command that was run.
#[derive(Debug)]
pub(super) struct Ran {
    /// What background jobs printed since the command before.
    pub(super) before: Output,
    pub(super) output: Output,
    pub(super) end: End,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Status(u8),
    /// It was interrupted, and the shell goes on.
    Interrupted(Why, How),
    /// It was interrupted, and the shell had to be killed. It was in this directory.
    ShellKilled(Why, Option<PathBuf>),
    /// It ended the shell.
    ShellEnded(ExitStatus),
    /// The shell does not do what it is told: what it needs for that was redefined. It was killed.
    ShellBroken,
}

/// Why a command was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its time was over.
    Timeout,
    /// Somebody outside wants it.
    Cancelled,
}

/// What it took to interrupt a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// SIGINT.
    Signal,
    /// SIGKILL for what it had started.
    Kill,
}

/// What a command is run with.
pub(super) struct Terms<'a> {
    pub(super) limit: Duration,
    pub(super) cancel: &'a CancellationToken,
    pub(super) live: Option<LiveOutput>,
}

/// Why there is no shell.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartProblem {
    /// It ended at once or said nothing.
    #[error("the shell does not answer")]
    Silent,
    /// The sandbox did not start it.
    #[error(transparent)]
    Sandbox(#[from] Error),
}

impl Shell {
    pub(super) async fn start(
        inside: Arc<dyn Inside>,
        beginning: &Beginning<'_>,
    ) -> Result<Self, StartProblem> {
        let arguments = [PROGRAM, "--noprofile", "--norc", "--noediting", "-i"];
        let execution = inside.exec(Command::new(arguments)).await?;
        let Streams::Pipes {
            stdin,
            stdout,
            stderr,
        } = execution.streams
        else {
            return Err(StartProblem::Silent);
        };
        let mut shell = Self {
            inside,
            input: stdin,
            control: Some(execution.control),
            printed: Printed::of(stdout, stderr),
            pid: 0,
        };
        let marks = Marks::new();
        let answer = async {
            // What cannot be sent is not answered either.
            let _ = shell.send(&beginning.lines(&marks)).await;
            shell.end(&marks).await
        };
        let said = match timeout(limits::TOOL_SHELL_ANSWER, answer).await {
            Ok(Ok(Came::Said(said))) => said,
            Ok(Ok(Came::Ended(_))) | Err(_) => return Err(StartProblem::Silent),
            Ok(Err(error)) => return Err(error.into()),
        };
        shell.pid = said.word.parse().map_err(|_| StartProblem::Silent)?;
        shell.printed.take();
        Ok(shell)
    }

    /// Runs a command until it ends, its time is over or somebody interrupts it. After some ends the shell is not usable any more, see
    /// [`End::goes_on`].
    pub(super) async fn run(&mut self, command: &str, terms: Terms<'_>) -> Result<Ran, Error> {
        let before = self.printed.take();
        self.printed.forget();
        self.printed.show(terms.live);
        let end = self.run_to_end(command, terms.limit, terms.cancel).await?;
        if !end.goes_on() {
            // Its background jobs may keep the pipes open: what they print later is nobody's.
            let _ = timeout(LAST_WORDS, self.printed.closed()).await;
        }
        self.printed.show(None);
        Ok(Ran {
            before,
            output: self.printed.take(),
            end,
        })
    }

    async fn run_to_end(
        &mut self,
        command: &str,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<End, Error> {
        let marks = Marks::new();
        let begun = Instant::now();
        let sent = timeout(limits::TOOL_SHELL_ANSWER, self.send(&marks.call(command))).await;
        match sent {
            Ok(Ok(())) => {}
            // It has ended since the last command, or what was left of it does not read: it took nothing of the command.
            Ok(Err(_)) | Err(_) => {
                self.kill(begun).await;
                return Ok(End::ShellBroken);
            }
        }
        let why = tokio::select! {
            biased;
            came = self.end(&marks) => return self.ended(&marks, came?, begun).await,
            () = cancel.cancelled() => Why::Cancelled,
            () = tokio::time::sleep(limit) => Why::Timeout,
        };
        self.interrupt(&marks, why, begun).await
    }

    async fn ended(&mut self, marks: &Marks, came: Came, begun: Instant) -> Result<End, Error> {
        match came {
            Came::Said(said) if marks.began(&said) => Ok(End::Status(said.status)),
            Came::Said(_) => {
                self.kill(begun).await;
                Ok(End::ShellBroken)
            }
            Came::Ended(status) => Ok(End::ShellEnded(status)),
        }
    }

    /// First as a person would, at last as the kernel does.
    async fn interrupt(&mut self, marks: &Marks, why: Why, begun: Instant) -> Result<End, Error> {
        self.signal(Signal::Interrupt).await?;
        if let Ok(came) = timeout(limits::TOOL_INTERRUPT_GRACE, self.end(marks)).await {
            self.sweep(Victims::Orphans, begun).await;
            return Ok(after_interrupt(&came?, why, How::Signal));
        }
        let mut directory = None;
        for _ in 0..KILLS {
            match self.sweep(Victims::Started, begun).await {
                Some(found) => directory = found,
                None => break,
            }
            self.signal(Signal::Interrupt).await?;
            if let Ok(came) = timeout(KILL_PAUSE, self.end(marks)).await {
                return Ok(after_interrupt(&came?, why, How::Kill));
            }
        }
        self.kill(begun).await;
        Ok(End::ShellKilled(why, directory))
    }

    /// Kills the shell and what it ever started. While something forks without end no other process can be started, and only the
    /// kernel's own list of a group is fast enough to catch it; then what is in other groups is looked for again.
    pub(super) async fn kill(&mut self, begun: Instant) {
        let mut reached = self.sweep(Victims::All, begun).await.is_some();
        for _ in 0..KILLS {
            // Gone or not, there is nothing else to be done.
            let _ = self.signal(Signal::Kill).await;
            if reached {
                break;
            }
            reached = self.sweep(Victims::All, begun).await.is_some();
        }
    }

    /// Whether it has ended.
    pub(super) async fn is_gone(&mut self) -> bool {
        match &self.control {
            Some(control) => timeout(Duration::ZERO, control.wait()).await.is_ok(),
            None => true,
        }
    }

    /// Kills processes inside. The answer is `None` if that did not work, since no process could be started.
    async fn sweep(&mut self, victims: Victims, begun: Instant) -> Option<Option<PathBuf>> {
        if self.pid == 0 {
            return None;
        }
        let pid = self.pid.to_string();
        let words = ["--noprofile", "--norc", "-c", SWEEP, "sweep"];
        let mut command = Command::new(
            [PROGRAM]
                .iter()
                .chain(&words)
                .chain(&[pid.as_str(), victims.word()]),
        );
        command.timeout = Some(limits::TOOL_SWEEP_TIME);
        command.env.insert("BASH_ENV".into(), "".into());
        let sweep = async {
            let execution = self.inside.exec(command).await.ok()?;
            let Streams::Pipes {
                mut stdin, stdout, ..
            } = execution.streams
            else {
                return None;
            };
            let mut printed = BufReader::new(stdout.take(limits::TOOL_PATH_BYTES as u64));
            let mut line = String::new();
            printed.read_line(&mut line).await.ok()?;
            // Only now, since starting it may have taken its time.
            let since = format!("{}\n", begun.elapsed().as_millis());
            stdin.write_all(since.as_bytes()).await.ok()?;
            let mut directory = Vec::new();
            printed.read_to_end(&mut directory).await.ok()?;
            match execution.control.wait().await.ok()? {
                ExitStatus::Exited(0) => Some(directory),
                ExitStatus::Exited(_)
                | ExitStatus::Signaled(_)
                | ExitStatus::TimedOut
                | ExitStatus::OutOfMemory => None,
            }
        };
        let printed = timeout(2 * limits::TOOL_SWEEP_TIME, sweep).await.ok()??;
        let directory = String::from_utf8(printed).ok();
        let directory = directory.map(|printed| PathBuf::from(printed.trim_end_matches('\n')));
        Some(directory.filter(|directory| directory.is_absolute()))
    }

    async fn send(&mut self, lines: &str) -> std::io::Result<()> {
        self.input.write_all(lines.as_bytes()).await?;
        self.input.flush().await
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        match &self.control {
            Some(control) => control.signal(signal).await,
            None => Ok(()),
        }
    }

    /// Waits until the shell says that it is done, or ends.
    async fn end(&mut self, marks: &Marks) -> Result<Came, Error> {
        let ended = async {
            match &self.control {
                Some(control) => control.wait().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            said = self.printed.said(|prompts| marks.find(prompts)) => Ok(Came::Said(said)),
            status = ended => status.map(Came::Ended),
        }
    }
}

/// How an interrupt ended a command before the shell had to be killed.
fn after_interrupt(came: &Came, why: Why, how: How) -> End {
    match came {
        Came::Said(_) => End::Interrupted(why, how),
        Came::Ended(_) => End::ShellKilled(why, None),
    }
}

/// What came at the end of a call.
enum Came {
    Said(Said),
    Ended(ExitStatus),
}

impl End {
    /// Whether the shell can take another command.
    pub(super) fn goes_on(&self) -> bool {
        match self {
            Self::Status(_) | Self::Interrupted(..) => true,
            Self::ShellKilled(..) | Self::ShellEnded(_) | Self::ShellBroken => false,
        }
    }
}

impl Drop for Shell {
    /// Also when a call is given up in the middle: what nobody waits for any more must not go on.
    fn drop(&mut self) {
        if let (Some(control), Ok(runtime)) =
            (self.control.take(), tokio::runtime::Handle::try_current())
        {
            // A sandbox that is gone has no shell either.
            runtime.spawn(async move { control.signal(Signal::Kill).await });
        }
    }
}

/// Whether a file holds the whole state of a shell.
pub(super) async fn is_whole(inside: &dyn Inside, file: &Path) -> bool {
    let read = inside.read(file, limits::TOOL_FILE_BYTES).await;
    read.is_ok_and(|state| {
        state
            .trim_ascii_end()
            .ends_with(super::script::WHOLE.as_bytes())
    })
}
