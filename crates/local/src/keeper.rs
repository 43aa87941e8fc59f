//! The task that holds a sandbox: the only one that talks to its init.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use crate::boot::Guards;
use crate::uncovered::MountTable;
use bailiwick_sandbox::plan::{Command, Place};
use bailiwick_sandbox::readiness::register;
use bailiwick_sandbox::{
    ArchiveLimits, Audience, Event, ExitStatus, FileAction, Sandbox, TerminalSize, TerminalStreams,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

/// How many requests may wait.
const WAITING: usize = 64;

/// What a program gets that says nothing else.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The environment.
    pub variables: Vec<OsString>,
    /// The directory.
    pub directory: PathBuf,
}

/// A way to what runs in a sandbox; many may have it.
#[derive(Debug, Clone)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    defaults: Arc<Defaults>,
}

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    /// Its number in this sandbox.
    pub number: u32,
    /// The master of its terminal, if it was given one.
    pub terminal: Option<OwnedFd>,
    /// Tells how it ended; closes without a word if the sandbox ended first.
    pub ended: oneshot::Receiver<ExitStatus>,
}

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be executed: the answer of execve(2).
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    NotStarted(i32),
    /// The sandbox is gone.
    #[error("the sandbox is gone")]
    Gone,
}

/// How a sandbox ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ending {
    /// Processes that the kernel killed because the memory limit was reached.
    pub out_of_memory_kills: u64,
    /// The sandbox was ended because this host replaced something that was read-only inside, which uncovered it.
    pub uncovered: Option<Uncovered>,
}

/// What was uncovered, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uncovered {
    /// Its path inside.
    pub path: PathBuf,
    /// Where on this host the new files are; what was there before is back in their places.
    pub moved_aside: Vec<PathBuf>,
    /// Why something could not be put back.
    pub not_restored: Vec<String>,
}

type Started = Result<Program, ProgramError>;
/// What was opened, if something was; else errno(3).
type FileResult = Result<Option<OwnedFd>, i32>;

/// Why nothing was done with a path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The kernel's answer inside.
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    Refused(i32),
    /// The sandbox is gone.
    #[error("the sandbox is gone")]
    Gone,
}

/// What is done with an archive of files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ArchiveWork {
    /// It is written, within these limits.
    Keep(ArchiveLimits),
    /// Its files are made.
    BringBack,
}

/// What is asked of a keeper.
#[derive(Debug)]
pub(crate) struct Asks(mpsc::Receiver<Ask>);

#[derive(Debug)]
enum Ask {
    Start {
        command: Command,
        terminal: TerminalStreams,
        streams: Vec<OwnedFd>,
        answer: oneshot::Sender<Started>,
    },
    StartInTerminal {
        command: Command,
        size: TerminalSize,
        answer: oneshot::Sender<Started>,
    },
    Signal {
        number: u32,
        signal: i32,
        audience: Audience,
    },
    File {
        path: Vec<u8>,
        action: FileAction,
        descriptor: Option<Arc<OwnedFd>>,
        answer: oneshot::Sender<FileResult>,
    },
    Archive {
        work: ArchiveWork,
        places: Vec<Place>,
        archive: OwnedFd,
        answer: oneshot::Sender<FileResult>,
    },
    OutOfMemoryKills(oneshot::Sender<u64>),
    Terminate,
    Socket {
        ipv6: bool,
        answer: oneshot::Sender<io::Result<OwnedFd>>,
    },
    Stop,
}

impl Handle {
    /// A way to a keeper, and the end of it that the keeper has.
    pub(crate) fn new(defaults: Defaults) -> (Self, Asks) {
        let (sender, asks) = mpsc::channel(WAITING);
        let handle = Self {
            asks: sender,
            defaults: defaults.into(),
        };
        (handle, Asks(asks))
    }

    /// Starts a program. `streams` are the standard streams that are not the terminal, in order.
    ///
    /// # Errors
    ///
    /// See [`ProgramError`].
    pub async fn start(
        &self,
        command: Command,
        terminal: TerminalStreams,
        streams: Vec<OwnedFd>,
    ) -> Started {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Start {
            command,
            terminal,
            streams,
            answer,
        };
        self.asks.send(ask).await.map_err(|_| ProgramError::Gone)?;
        answered.await.unwrap_or(Err(ProgramError::Gone))
    }

    /// Starts a program in a terminal of its own.
    pub(crate) async fn start_in_terminal(&self, command: Command, size: TerminalSize) -> Started {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::StartInTerminal {
            command,
            size,
            answer,
        };
        self.asks.send(ask).await.map_err(|_| ProgramError::Gone)?;
        answered.await.unwrap_or(Err(ProgramError::Gone))
    }

    /// Lets the init do something with a path; `descriptor` is the one that the action names.
    pub(crate) async fn file(
        &self,
        path: Vec<u8>,
        action: FileAction,
        descriptor: Option<Arc<OwnedFd>>,
    ) -> Result<Option<OwnedFd>, FileError> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::File {
            path,
            action,
            descriptor,
            answer,
        };
        self.asks.send(ask).await.map_err(|_| FileError::Gone)?;
        let result = answered.await.map_err(|_| FileError::Gone)?;
        result.map_err(FileError::Refused)
    }

    /// Lets the init write or read an archive of the files of the places.
    pub(crate) async fn archive(
        &self,
        work: ArchiveWork,
        places: Vec<Place>,
        archive: OwnedFd,
    ) -> Result<(), FileError> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Archive {
            work,
            places,
            archive,
            answer,
        };
        self.asks.send(ask).await.map_err(|_| FileError::Gone)?;
        let result = answered.await.map_err(|_| FileError::Gone)?;
        result.map(drop).map_err(FileError::Refused)
    }

    /// How many processes the kernel has killed for the memory limit; `None` if the sandbox is gone.
    pub(crate) async fn out_of_memory_kills(&self) -> Option<u64> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::OutOfMemoryKills(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Asks everything inside to end (SIGTERM). The sandbox ends when nothing is left.
    pub(crate) async fn terminate(&self) {
        // Without a keeper there is nothing inside.
        let _ = self.asks.send(Ask::Terminate).await;
    }

    /// A command with the sandbox's own environment and directory.
    pub fn command(&self, argv: Vec<OsString>, variables: &[(OsString, OsString)]) -> Command {
        let mut env = self.defaults.variables.clone();
        for (name, value) in variables {
            let assignment = [name.as_os_str(), value.as_os_str()].join(std::ffi::OsStr::new("="));
            let prefix_length = name.len() + 1;
            env.retain(|known| {
                known.as_encoded_bytes().get(..prefix_length)
                    != assignment.as_encoded_bytes().get(..prefix_length)
            });
            env.push(assignment);
        }
        Command {
            argv,
            env,
            directory: self.defaults.directory.clone(),
        }
    }

    /// Sends a signal to a program; one that has ended is no error.
    pub async fn signal(&self, number: u32, signal: i32, audience: Audience) {
        // Without a keeper there is no program either.
        let _ = self
            .asks
            .send(Ask::Signal {
                number,
                signal,
                audience,
            })
            .await;
    }

    /// A TCP socket in the sandbox's network namespace, not connected and not blocking.
    ///
    /// # Errors
    ///
    /// The sandbox is gone or out of descriptors.
    pub async fn socket(&self, ipv6: bool) -> io::Result<OwnedFd> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (answer, answered) = oneshot::channel();
        self.asks
            .send(Ask::Socket { ipv6, answer })
            .await
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Waits until the sandbox and all that was made for it are gone.
    pub async fn gone(&self) {
        self.asks.closed().await;
    }

    /// Ends the sandbox and everything in it.
    pub fn stop(&self) {
        let asks = self.asks.clone();
        // Full is no reason to forget it.
        tokio::spawn(async move { asks.send(Ask::Stop).await });
    }
}

/// The task's state.
pub(crate) struct Keeper {
    sandbox: AsyncFd<Sandbox>,
    asks: mpsc::Receiver<Ask>,
    next_number: u32,
    starting: HashMap<u32, oneshot::Sender<Started>>,
    running: HashMap<u32, oneshot::Sender<ExitStatus>>,
    sockets: VecDeque<oneshot::Sender<io::Result<OwnedFd>>>,
    files: HashMap<u32, oneshot::Sender<FileResult>>,
    /// After the sandbox, whose end means that no process is left.
    guards: Guards,
    /// What must stay mounted.
    mounts: Option<MountTable>,
}

impl Keeper {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new(
        sandbox: Sandbox,
        asks: Asks,
        guards: Guards,
        mounts: MountTable,
    ) -> io::Result<Self> {
        Ok(Self {
            sandbox: register(sandbox, Interest::READABLE)?,
            asks: asks.0,
            next_number: 0,
            starting: HashMap::new(),
            running: HashMap::new(),
            sockets: VecDeque::new(),
            files: HashMap::new(),
            guards,
            mounts: Some(mounts),
        })
    }

    /// Until it is told to stop, every handle is gone, or the init is.
    pub(crate) async fn run(mut self) -> Ending {
        let uncovered = self.attend().await;
        self.end(uncovered).await
    }

    /// Says what was uncovered, if that is why it ends. The mount table is closed then: open, it would keep the mounts, and
    /// each removal of what they cover would have to take one of them away.
    async fn attend(&mut self) -> Option<PathBuf> {
        let replaced = uncovered_by_host(self.mounts.take());
        tokio::pin!(replaced);
        loop {
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(Ask::Stop) | None => return None,
                    Some(ask) => if self.pass_on(ask).is_err() { return None },
                },
                path = &mut replaced => return Some(path),
                ready = self.sandbox.readable() => {
                    let Ok(mut ready) = ready else { return None };
                    ready.clear_ready();
                    if !self.take_events() { return None }
                }
            }
        }
    }

    fn pass_on(&mut self, ask: Ask) -> io::Result<()> {
        let sandbox = self.sandbox.get_ref();
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        match ask {
            Ask::Start {
                command,
                terminal,
                streams,
                answer,
            } => {
                self.starting.insert(number, answer);
                let streams: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
                sandbox.start(number, command, terminal, &streams)
            }
            Ask::Signal {
                number,
                signal,
                audience,
            } => sandbox.signal(number, signal, audience),
            Ask::StartInTerminal {
                command,
                size,
                answer,
            } => {
                self.starting.insert(number, answer);
                sandbox.start_in_terminal(number, command, size)
            }
            Ask::File {
                path,
                action,
                descriptor,
                answer,
            } => {
                self.files.insert(number, answer);
                let descriptor = descriptor.as_deref().map(AsFd::as_fd);
                sandbox.request_file(number, &path, action, descriptor)
            }
            Ask::Archive {
                work,
                places,
                archive,
                answer,
            } => {
                self.files.insert(number, answer);
                let archive = archive.as_fd();
                match work {
                    ArchiveWork::Keep(limits) => {
                        sandbox.request_keep(number, places, limits, archive)
                    }
                    ArchiveWork::BringBack => sandbox.request_bring_back(number, places, archive),
                }
            }
            Ask::OutOfMemoryKills(answer) => {
                let _ = answer.send(sandbox.out_of_memory_kills());
                Ok(())
            }
            Ask::Terminate => sandbox.terminate(),
            Ask::Socket { ipv6, answer } => {
                self.sockets.push_back(answer);
                sandbox.request_socket(ipv6)
            }
            Ask::Stop => Ok(()),
        }
    }

    /// Takes every event that is there; says whether the sandbox is.
    fn take_events(&mut self) -> bool {
        while is_readable(self.sandbox.get_ref()) {
            match self.sandbox.get_ref().receive() {
                Ok(Event::Gone) | Err(_) => return false,
                Ok(event) => self.take(event),
            }
        }
        true
    }

    /// Whoever asked may be gone; then nobody is told.
    fn take(&mut self, event: Event) {
        match event {
            Event::Started { number, terminal } => {
                let (tell, ended) = oneshot::channel();
                self.running.insert(number, tell);
                if let Some(answer) = self.starting.remove(&number) {
                    let _ = answer.send(Ok(Program {
                        number,
                        terminal,
                        ended,
                    }));
                }
            }
            Event::NotStarted { number, errno } => {
                if let Some(answer) = self.starting.remove(&number) {
                    let _ = answer.send(Err(ProgramError::NotStarted(errno)));
                }
            }
            Event::Ended { number, status } => {
                if let Some(tell) = self.running.remove(&number) {
                    let _ = tell.send(status);
                }
            }
            Event::Socket(socket) => {
                if let Some(answer) = self.sockets.pop_front() {
                    let _ = answer.send(socket.map_err(io::Error::from_raw_os_error));
                }
            }
            Event::File { number, result } => {
                if let Some(answer) = self.files.remove(&number) {
                    let _ = answer.send(result);
                }
            }
            Event::Gone => {}
        }
    }

    async fn end(self, uncovered: Option<PathBuf>) -> Ending {
        let sandbox = self.sandbox.into_inner();
        sandbox.kill();
        if let Ok(gone) = register(sandbox.pidfd(), Interest::READABLE) {
            let _ = gone.readable().await;
        }
        let mut ending = Ending {
            out_of_memory_kills: sandbox.out_of_memory_kills(),
            uncovered: uncovered.map(|path| Uncovered {
                path,
                ..Uncovered::default()
            }),
        };
        drop(sandbox);
        if let Some(uncovered) = &mut ending.uncovered {
            self.guards.restore(uncovered);
        }
        drop(self.guards);
        ending
    }
}

/// The path inside that was uncovered. A table that cannot be read any more ends the sandbox as well.
async fn uncovered_by_host(mounts: Option<MountTable>) -> PathBuf {
    match mounts {
        Some(mounts) => mounts.lost().await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

fn is_readable(sandbox: &Sandbox) -> bool {
    use rustix::event::{PollFd, PollFlags};
    let mut polled = [PollFd::new(sandbox, PollFlags::IN)];
    let now = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(1..))
}
