//! One sandbox of the fake.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_model::SandboxId;
use tokio::io::duplex;
use tokio::sync::{mpsc, watch};

use super::{Files, State, name, program};
use crate::{
    BoxFuture, ByteStream, CaptureLimits, CapturedFile, Checkpoint, Command, Error, Event,
    Execution, FileEntry, FileKind, PathProblem, Sandbox, SandboxSpec, StandardStreams, StopReason,
    Verb,
};

const SIGKILL: u8 = 9;
/// As much as a connection holds.
const CONNECTION_BYTES: usize = 64 * 1024;

pub(super) struct FakeSandbox<P> {
    spec: SandboxSpec<P>,
    files: Arc<Mutex<Files>>,
    policies: Mutex<Vec<P>>,
    events: Mutex<mpsc::Sender<Event>>,
    stop: watch::Sender<Option<u8>>,
    state: Arc<State<P>>,
}

impl<P: Clone> FakeSandbox<P> {
    pub(super) fn new(
        spec: SandboxSpec<P>,
        files: Files,
        events: mpsc::Sender<Event>,
        state: Arc<State<P>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            policies: Mutex::new(vec![spec.network.policy.clone()]),
            spec,
            files: Arc::new(Mutex::new(files)),
            events: Mutex::new(events),
            stop: watch::Sender::new(None),
            state,
        })
    }

    pub(super) fn spec(&self) -> &SandboxSpec<P> {
        &self.spec
    }

    pub(super) fn policies(&self) -> Vec<P> {
        lock(&self.policies).clone()
    }

    pub(super) fn hand_over(&self, events: mpsc::Sender<Event>) {
        *lock(&self.events) = events;
    }

    /// Nobody needs to read the events: a closed channel is no error.
    pub(super) async fn emit(&self, event: Event) {
        let events = lock(&self.events).clone();
        let _ = events.send(event).await;
    }

    /// Ends everything inside. Only the first call does something.
    pub(super) async fn end(&self, reason: StopReason) {
        let was_running = self.state.inner().running.remove(&self.spec.id).is_some();
        if was_running {
            self.stop.send_replace(Some(SIGKILL));
            self.emit(Event::Stopped(reason)).await;
            // The channel closes with its last sender, so that readers see the end.
            *lock(&self.events) = mpsc::channel(1).0;
        }
    }

    fn stopped(&self) -> bool {
        self.stop.borrow().is_some()
    }

    async fn alive(&self) -> Result<(), Error> {
        tokio::time::sleep(self.state.delay).await;
        if self.stopped() {
            Err(Error::Gone(self.spec.id.clone()))
        } else {
            Ok(())
        }
    }

    fn require(&self, verb: Verb) -> Result<(), Error> {
        if self.state.unsupported.contains(name(verb)) {
            Err(Error::Unsupported(verb))
        } else {
            Ok(())
        }
    }

    fn start(&self, mut command: Command) -> Result<Execution, Error> {
        command.validate()?;
        match command.streams {
            StandardStreams::Pipes => {}
            StandardStreams::Terminal(_) => self.require(Verb::Terminal)?,
        }
        let scripted = self
            .state
            .programs
            .iter()
            .rev()
            .find(|(argv, _)| *argv == command.argv);
        let Some((_, script)) = scripted else {
            let program = &command.argv[0];
            let file = lock(&self.files)
                .get(Path::new(program))
                .map(|(mode, _)| *mode);
            return Err(match file {
                Some(_) => Error::CommandNotExecutable(program.clone()),
                None => Error::CommandNotFound(program.clone()),
            });
        };
        for (name, value) in &self.spec.env {
            command
                .env
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        command
            .directory
            .get_or_insert_with(|| self.spec.directory.clone());
        Ok(program::start(
            script,
            command,
            Arc::clone(&self.files),
            self.stop.subscribe(),
        ))
    }

    fn list(&self, path: &Path, limit: usize) -> Result<Vec<FileEntry>, Error> {
        absolute(path)?;
        let files = lock(&self.files);
        if files.contains_key(path) {
            return Err(wrong(path, PathProblem::NotADirectory));
        }
        let mut entries: Vec<FileEntry> = Vec::new();
        for (file, (mode, contents)) in &*files {
            let Ok(rest) = file.strip_prefix(path) else {
                continue;
            };
            let mut parts = rest.components();
            let Some(first) = parts.next() else { continue };
            let name = first.as_os_str().to_owned();
            let kind = if parts.next().is_some() {
                FileKind::Directory
            } else {
                FileKind::File
            };
            let (bytes, mode) = if kind == FileKind::File {
                (contents.len() as u64, *mode)
            } else {
                (0, 0o755)
            };
            if entries.last().is_none_or(|entry| entry.name != name) {
                entries.push(FileEntry {
                    name,
                    kind,
                    bytes,
                    mode,
                    modified_ns: 0,
                });
            }
        }
        if entries.is_empty() && path != Path::new("/") {
            return Err(wrong(path, PathProblem::NotFound));
        }
        if entries.len() > limit {
            Err(wrong(path, PathProblem::TooLarge))
        } else {
            Ok(entries)
        }
    }

    fn collect(&self, roots: &[&Path], limits: CaptureLimits) -> Result<Vec<CapturedFile>, Error> {
        let files = lock(&self.files);
        let mut captured = Vec::new();
        let mut bytes = 0;
        for root in roots {
            absolute(root)?;
            if limits.time.is_zero() {
                return Err(wrong(root, PathProblem::TooSlow));
            }
            for (path, (mode, contents)) in files.iter().filter(|(path, _)| path.starts_with(root))
            {
                bytes += contents.len() as u64;
                if captured.len() == limits.files || bytes > limits.bytes {
                    return Err(wrong(root, PathProblem::TooLarge));
                }
                captured.push(CapturedFile {
                    path: path.clone(),
                    executable: mode & 0o111 != 0,
                    contents: contents.clone(),
                });
            }
        }
        Ok(captured)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wrong(path: impl Into<PathBuf>, problem: PathProblem) -> Error {
    Error::Path {
        path: path.into(),
        problem,
    }
}

fn absolute(path: &Path) -> Result<(), Error> {
    if path.is_absolute() {
        Ok(())
    } else {
        Err(wrong(path, PathProblem::NotAbsolute))
    }
}

impl<P: Clone + Send + Sync + 'static> Sandbox for FakeSandbox<P> {
    type Policy = P;

    fn id(&self) -> &SandboxId {
        &self.spec.id
    }

    fn exec(&self, command: Command) -> BoxFuture<'_, Result<Execution, Error>> {
        Box::pin(async {
            self.alive().await?;
            self.start(command)
        })
    }

    fn connect(&self, port: NonZeroU16) -> BoxFuture<'_, Result<ByteStream, Error>> {
        Box::pin(async move {
            self.require(Verb::Connect)?;
            self.alive().await?;
            let listeners = &self.state.listeners;
            let found = listeners.iter().find(|(at, _)| *at == port);
            let (_, accept) = found.ok_or(Error::NotListening(port))?;
            let (ours, theirs) = duplex(CONNECTION_BYTES);
            accept(theirs);
            let ours: ByteStream = Box::pin(ours);
            Ok(ours)
        })
    }

    fn read_file<'a>(
        &'a self,
        path: &'a Path,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        Box::pin(async move {
            self.alive().await?;
            absolute(path)?;
            let files = lock(&self.files);
            match files.get(path) {
                Some((_, contents)) if contents.len() as u64 > limit_bytes => {
                    Err(wrong(path, PathProblem::TooLarge))
                }
                Some((_, contents)) => Ok(contents.clone()),
                None if files.keys().any(|file| file.starts_with(path)) => {
                    Err(wrong(path, PathProblem::NotAFile))
                }
                None => Err(wrong(path, PathProblem::NotFound)),
            }
        })
    }

    fn write_file<'a>(
        &'a self,
        path: &'a Path,
        contents: Vec<u8>,
        mode: u32,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.alive().await?;
            absolute(path)?;
            let mut files = lock(&self.files);
            if path
                .ancestors()
                .skip(1)
                .any(|above| files.contains_key(above))
            {
                return Err(wrong(path, PathProblem::NotADirectory));
            }
            if files
                .keys()
                .any(|file| file != path && file.starts_with(path))
            {
                return Err(wrong(path, PathProblem::NotAFile));
            }
            files.insert(path.to_owned(), (mode & 0o777, contents));
            Ok(())
        })
    }

    fn list_files<'a>(
        &'a self,
        path: &'a Path,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileEntry>, Error>> {
        Box::pin(async move {
            self.alive().await?;
            self.list(path, limit)
        })
    }

    fn capture<'a>(
        &'a self,
        roots: &'a [&'a Path],
        limits: CaptureLimits,
    ) -> BoxFuture<'a, Result<Vec<CapturedFile>, Error>> {
        Box::pin(async move {
            self.alive().await?;
            self.collect(roots, limits)
        })
    }

    fn apply_policy(&self, policy: P) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.require(Verb::ApplyPolicy)?;
            self.alive().await?;
            lock(&self.policies).push(policy);
            Ok(())
        })
    }

    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if self.stopped() {
                return Err(Error::Gone(self.spec.id.clone()));
            }
            self.emit(Event::Mark(mark)).await;
            Ok(())
        })
    }

    fn gone(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // The sender is this sandbox's own.
            let _ = self.stop.subscribe().wait_for(Option::is_some).await;
        })
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Checkpoint, Error>> {
        Box::pin(async {
            self.require(Verb::Checkpoint)?;
            self.alive().await?;
            let name = {
                let mut inner = self.state.inner();
                if let Some(error) = inner.checkpoint_failures.pop_front() {
                    return Err(error);
                }
                inner.taken += 1;
                let name: Box<str> = format!("{}-{}", self.spec.id, inner.taken).into();
                inner
                    .checkpoints
                    .insert(name.clone(), lock(&self.files).clone());
                name
            };
            self.end(StopReason::Checkpointed).await;
            Ok(Checkpoint(name))
        })
    }

    fn stop(&self, _grace: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            tokio::time::sleep(self.state.delay).await;
            self.end(StopReason::Requested).await;
            Ok(())
        })
    }
}
