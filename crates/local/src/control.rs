//! The control socket of a running sandbox: how `exec` and `kill`, other processes of the same user, reach its holder.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use bailiwick_sandbox::channel::{Channel, Message};
use bailiwick_sandbox::readiness::register;
use bailiwick_sandbox::{Audience, ExitStatus, TerminalStreams};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::keeper::{Handle, ProgramError};

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
enum Question {
    /// Start a program; carries the streams that are no terminal. The connection is the program's from then on.
    Exec {
        argv: Vec<Vec<u8>>,
        variables: Vec<(Vec<u8>, Vec<u8>)>,
        terminal: TerminalStreams,
    },
    /// Send the program of this connection a signal.
    Signal { signal: i32, audience: Audience },
    /// End the sandbox.
    Stop,
}

/// What the holder answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The program runs; carries the master of its terminal, if it has one.
    Started,
    /// It cannot be executed (errno(3)).
    NotStarted { errno: i32 },
    /// It ended.
    Ended { status: ExitStatus },
    /// The sandbox is being ended.
    Stopping,
}

/// A client's connection to a holder.
#[derive(Debug)]
pub struct Control(Channel);

/// A program that was started through a control socket.
#[derive(Debug)]
pub struct RemoteProgram {
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
    connection: AsyncFd<Channel>,
}

impl Control {
    /// Connects to the holder of a sandbox.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        Channel::connect(socket).map(Self)
    }

    /// Ends the sandbox; returns when nothing of it is left.
    ///
    /// # Errors
    ///
    /// The holder went away before it answered.
    pub fn stop(&self) -> io::Result<()> {
        self.0.send(&Question::Stop, &[])?;
        // The holder closes the connection when it is done.
        while self.0.receive::<Answer>()?.is_some() {}
        Ok(())
    }

    /// Starts a program. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`ProgramError`].
    pub fn exec(
        self,
        argv: &[OsString],
        variables: &[(OsString, OsString)],
        terminal: TerminalStreams,
        streams: &[BorrowedFd<'_>],
    ) -> Result<RemoteProgram, ProgramError> {
        let bytes = |text: &OsString| text.as_bytes().to_owned();
        let argv = argv.iter().map(bytes).collect();
        let variables = variables
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect();
        let question = Question::Exec {
            argv,
            variables,
            terminal,
        };
        self.0
            .send(&question, streams)
            .map_err(|_| ProgramError::Gone)?;
        match self.0.receive::<Answer>() {
            Ok(Some(Message {
                body: Answer::Started,
                descriptors,
            })) => {
                let connection =
                    register(self.0, Interest::READABLE).map_err(|_| ProgramError::Gone)?;
                Ok(RemoteProgram {
                    terminal: descriptors.into_iter().next(),
                    connection,
                })
            }
            Ok(Some(Message {
                body: Answer::NotStarted { errno },
                ..
            })) => Err(ProgramError::NotStarted(errno)),
            Ok(
                Some(Message {
                    body: Answer::Ended { .. } | Answer::Stopping,
                    ..
                })
                | None,
            )
            | Err(_) => Err(ProgramError::Gone),
        }
    }
}

impl RemoteProgram {
    /// Sends it a signal; one that has ended is no error.
    pub fn signal(&self, signal: i32, audience: Audience) {
        let _ = self
            .connection
            .get_ref()
            .send(&Question::Signal { signal, audience }, &[]);
    }

    /// Waits for its end; `None` if the sandbox ended first.
    pub async fn ended(&self) -> Option<ExitStatus> {
        let mut ready = self.connection.readable().await.ok()?;
        ready.clear_ready();
        match self.connection.get_ref().receive::<Answer>() {
            Ok(Some(Message {
                body: Answer::Ended { status },
                ..
            })) => Some(status),
            Ok(
                Some(Message {
                    body: Answer::Started | Answer::NotStarted { .. } | Answer::Stopping,
                    ..
                })
                | None,
            )
            | Err(_) => None,
        }
    }
}

/// Listens at `path` for as long as the task runs. The directory it lies in is the user's alone.
pub(crate) fn serve(path: &Path, handle: Handle) -> io::Result<JoinHandle<()>> {
    let listener = register(Channel::listen(path)?, Interest::READABLE)?;
    Ok(tokio::spawn(async move {
        loop {
            let Ok(mut ready) = listener.readable().await else {
                return;
            };
            match rustix::net::accept_with(listener.get_ref(), rustix::net::SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    tokio::spawn(converse(Channel::from_socket(socket), handle.clone()));
                }
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                // Out of descriptors: somebody else's connection must end first.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    }))
}

/// One client, until it or its program ends.
async fn converse(channel: Channel, handle: Handle) -> Option<()> {
    let channel = register(channel, Interest::READABLE).ok()?;
    let (question, streams) = next_question(&channel).await?;
    let (argv, variables, terminal) = match question {
        Question::Exec {
            argv,
            variables,
            terminal,
        } => (argv, variables, terminal),
        Question::Stop => {
            handle.stop();
            channel.get_ref().send(&Answer::Stopping, &[]).ok()?;
            handle.gone().await;
            return None;
        }
        Question::Signal { .. } => return None,
    };
    let string = OsString::from_vec;
    let variables: Vec<_> = variables
        .into_iter()
        .map(|(name, value)| (string(name), string(value)))
        .collect();
    let command = handle.command(argv.into_iter().map(string).collect(), &variables);
    let mut program = match handle.start(command, terminal, streams).await {
        Ok(program) => program,
        Err(ProgramError::NotStarted(errno)) => {
            return channel
                .get_ref()
                .send(&Answer::NotStarted { errno }, &[])
                .ok();
        }
        Err(ProgramError::Gone) => return None,
    };
    let master: Vec<_> = program.terminal.iter().map(AsFd::as_fd).collect();
    channel.get_ref().send(&Answer::Started, &master).ok()?;
    loop {
        tokio::select! {
            status = &mut program.ended => return channel.get_ref().send(&Answer::Ended { status: status.ok()? }, &[]).ok(),
            question = next_question(&channel) => match question {
                Some((Question::Signal { signal, audience }, _)) => handle.signal(program.number, signal, audience).await,
                Some((Question::Exec { .. } | Question::Stop, _)) => return None,
                // The client is gone; as when a terminal is closed, its program hears of it.
                None => {
                    handle.signal(program.number, HANGUP, Audience::Group).await;
                    return None;
                }
            },
        }
    }
}

/// SIGHUP.
const HANGUP: i32 = rustix::process::Signal::HUP.as_raw();

async fn next_question(channel: &AsyncFd<Channel>) -> Option<(Question, Vec<OwnedFd>)> {
    let mut ready = channel.readable().await.ok()?;
    ready.clear_ready();
    let message = channel.get_ref().receive::<Question>().ok()??;
    Some((message.body, message.descriptors))
}
