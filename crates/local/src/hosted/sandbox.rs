//! A sandbox in a host, as its server has it.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::SandboxId;
use bailiwick_policy::InForce;
use bailiwick_runtime::{
    BoxFuture, ByteStream, CaptureLimits, CapturedFile, Checkpoint, Command, Error, Execution,
    ExecutionControl, ExitStatus, FileEntry, Sandbox, Signal, SpecProblem, TerminalSize,
};

use super::OwnHost;
use super::connection::{Answered, Connection, End, HostError};
use super::message::{Answer, Ask, Captured, OnePath, Question};
use super::policy::PolicyText;
use crate::backend::execution::{ARGUMENT_BYTES, Ends};
use crate::backend::files::in_memory;
use crate::publish::as_stream;

/// What is read before other tasks have their turn.
const PIECE_BYTES: u64 = 1 << 20;

pub(super) struct HostedSandbox {
    pub(super) id: SandboxId,
    pub(super) number: u64,
    pub(super) connection: Arc<Connection>,
    pub(super) end: End,
    /// The host, if nothing else runs in it.
    pub(super) _own: Option<Arc<OwnHost>>,
}

impl HostedSandbox {
    async fn ask(&self, ask: Ask) -> Result<Answered, Error> {
        self.ask_as(self.connection.number(), ask, &[]).await
    }

    async fn ask_as(
        &self,
        number: u64,
        ask: Ask,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Answered, Error> {
        let sandbox = self.number;
        let question = Question::Ask { sandbox, ask };
        match self.connection.ask(number, question, descriptors).await {
            Ok(answer) => answer.map_err(|failure| failure.about(&self.id)),
            Err(HostError::Gone) => Err(Error::Gone(self.id.clone())),
            Err(error) => Err(error.into()),
        }
    }

    async fn command(&self, command: Command) -> Result<Execution, Error> {
        command.validate()?;
        let variables = command
            .env
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let arguments = command.argv.iter().map(|argument| argument.len());
        if arguments.chain(variables).sum::<usize>() > ARGUMENT_BYTES {
            return Err(Error::InvalidSpec {
                field: "argv".into(),
                problem: SpecProblem::TooMuch,
            });
        }
        let number = self.connection.number();
        let end = self.connection.end_of(number);
        let ends = match self.ask_as(number, Ask::Exec(command), &[]).await {
            Ok(answer) => ends(answer)?,
            Err(error) => {
                self.connection.forget(number);
                return Err(error);
            }
        };
        let streams = ends.into_streams().map_err(|e| Error::Backend(e.into()))?;
        let control = HostedExecution {
            id: self.id.clone(),
            number,
            connection: Arc::clone(&self.connection),
            end,
        };
        Ok(Execution {
            streams,
            control: Box::new(control),
        })
    }

    async fn write(&self, path: &Path, contents: Vec<u8>, mode: u32) -> Result<(), Error> {
        let file = in_memory(&[&contents]).map_err(|e| Error::Backend(e.into()))?;
        let ask = Ask::Write {
            path: OnePath(path.to_owned()),
            bytes: contents.len() as u64,
            mode,
        };
        drop(contents);
        let number = self.connection.number();
        done(self.ask_as(number, ask, &[file.as_fd()]).await?)
    }
}

fn confused<T>() -> Result<T, Error> {
    Err(HostError::Confused.into())
}

fn done((answer, _): Answered) -> Result<(), Error> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Started { .. }
        | Answer::Connected
        | Answer::Contents { .. }
        | Answer::Entries(_)
        | Answer::Captured(_)
        | Answer::Checkpoint(_) => confused(),
    }
}

fn ends((answer, descriptors): Answered) -> Result<Ends, Error> {
    let Answer::Started { terminal } = answer else {
        return confused();
    };
    if terminal {
        let master: Result<[OwnedFd; 1], _> = descriptors.try_into();
        master.map_or_else(|_| confused(), |[master]| Ok(Ends::Terminal(master)))
    } else {
        let pipes = descriptors.try_into();
        pipes.map_or_else(|_| confused(), |pipes| Ok(Ends::Pipes(pipes)))
    }
}

/// Reads what came along with an answer, which says how long it is.
struct Contents(File);

impl Contents {
    fn of(descriptors: Vec<OwnedFd>) -> Result<Self, Error> {
        let mut file = match descriptors.into_iter().next() {
            Some(file) => File::from(file),
            None => return confused(),
        };
        // It is the file that the host wrote, at whose end it stands.
        io::Seek::rewind(&mut file).map_err(|e| Error::Backend(e.into()))?;
        Ok(Self(file))
    }

    async fn next(&mut self, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut contents = Vec::new();
        while (contents.len() as u64) < bytes {
            let room = bytes - contents.len() as u64;
            let mut piece = (&mut self.0).take(room.min(PIECE_BYTES));
            match piece.read_to_end(&mut contents) {
                Ok(0) => return confused(),
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => return Err(Error::Backend(error.into())),
            }
        }
        Ok(contents)
    }
}

async fn captured(
    (answer, descriptors): Answered,
    limits: CaptureLimits,
) -> Result<Vec<CapturedFile>, Error> {
    let Answer::Captured(files) = answer else {
        return confused();
    };
    let bytes = files
        .iter()
        .try_fold(0u64, |sum, file| sum.checked_add(file.bytes));
    if files.len() > limits.files || bytes.is_none_or(|bytes| bytes > limits.bytes) {
        return confused();
    }
    let mut contents = Contents::of(descriptors)?;
    let mut captured = Vec::with_capacity(files.len());
    for Captured {
        path,
        executable,
        bytes,
    } in files
    {
        captured.push(CapturedFile {
            path,
            executable,
            contents: contents.next(bytes).await?,
        });
    }
    Ok(captured)
}

impl Sandbox for HostedSandbox {
    type Policy = InForce;

    fn id(&self) -> &SandboxId {
        &self.id
    }

    fn exec(&self, command: Command) -> BoxFuture<'_, Result<Execution, Error>> {
        Box::pin(self.command(command))
    }

    fn connect(&self, port: NonZeroU16) -> BoxFuture<'_, Result<ByteStream, Error>> {
        Box::pin(async move {
            let (Answer::Connected, descriptors) = self.ask(Ask::Connect { port }).await? else {
                return confused();
            };
            let connection: Result<[OwnedFd; 1], _> = descriptors.try_into();
            connection.map_or_else(|_| confused(), |[connection]| as_stream(connection))
        })
    }

    fn read_file<'a>(
        &'a self,
        path: &'a Path,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        Box::pin(async move {
            let path = OnePath(path.to_owned());
            match self.ask(Ask::Read { path, limit_bytes }).await? {
                (Answer::Contents { bytes }, file) if bytes <= limit_bytes => {
                    Contents::of(file)?.next(bytes).await
                }
                _ => confused(),
            }
        })
    }

    fn write_file<'a>(
        &'a self,
        path: &'a Path,
        contents: Vec<u8>,
        mode: u32,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.write(path, contents, mode))
    }

    fn look_at<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<FileEntry, Error>> {
        Box::pin(async move {
            let path = OnePath(path.to_owned());
            let Answer::Entries(entries) = self.ask(Ask::LookAt { path }).await?.0 else {
                return confused();
            };
            let one: Result<[FileEntry; 1], _> = entries.try_into();
            one.map_or_else(|_| confused(), |[entry]| Ok(entry))
        })
    }

    fn list_files<'a>(
        &'a self,
        path: &'a Path,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileEntry>, Error>> {
        Box::pin(async move {
            let path = OnePath(path.to_owned());
            match self.ask(Ask::List { path, limit }).await? {
                (Answer::Entries(entries), _) if entries.len() <= limit => Ok(entries),
                _ => confused(),
            }
        })
    }

    fn capture<'a>(
        &'a self,
        roots: &'a [&'a Path],
        limits: CaptureLimits,
    ) -> BoxFuture<'a, Result<Vec<CapturedFile>, Error>> {
        Box::pin(async move {
            let roots = roots.iter().map(|root| OnePath(root.to_path_buf()));
            let roots = roots.collect();
            captured(self.ask(Ask::Capture { roots, limits }).await?, limits).await
        })
    }

    fn apply_policy(&self, policy: InForce) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let policy = PolicyText::of(&policy)?;
            done(self.ask(Ask::ApplyPolicy(policy)).await?)
        })
    }

    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { done(self.ask(Ask::Mark(mark)).await?) })
    }

    fn gone(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // Without its host it is gone too.
            let _ = self.end.clone().wait_for(Option::is_some).await;
        })
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Checkpoint, Error>> {
        Box::pin(async {
            match self.ask(Ask::Checkpoint).await? {
                (Answer::Checkpoint(checkpoint), _) => Ok(checkpoint),
                _ => confused(),
            }
        })
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.ask(Ask::Stop { grace }).await {
                Ok(answer) => done(answer),
                // Its host went, and it went along.
                Err(Error::Gone(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

struct HostedExecution {
    id: SandboxId,
    number: u64,
    connection: Arc<Connection>,
    end: End,
}

impl HostedExecution {
    async fn tell(&self, question: Question) -> Result<(), Error> {
        let number = self.connection.number();
        match self.connection.ask(number, question, &[]).await {
            Ok(answer) => done(answer.map_err(|failure| failure.about(&self.id))?),
            // A program that has ended is no error.
            Err(HostError::Gone) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl ExecutionControl for HostedExecution {
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), Error>> {
        let execution = self.number;
        Box::pin(self.tell(Question::Signal { execution, signal }))
    }

    fn resize(&self, size: TerminalSize) -> BoxFuture<'_, Result<(), Error>> {
        let execution = self.number;
        Box::pin(self.tell(Question::Resize { execution, size }))
    }

    fn wait(&self) -> BoxFuture<'_, Result<ExitStatus, Error>> {
        Box::pin(async {
            let mut end = self.end.clone();
            match end.wait_for(Option::is_some).await.map(|end| *end) {
                Ok(Some(Some(status))) => Ok(status),
                Ok(Some(None) | None) | Err(_) => Err(Error::Gone(self.id.clone())),
            }
        })
    }
}
