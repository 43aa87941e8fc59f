//! A host: a process with one thread that has a [`LocalRuntime`] and answers its server's questions.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_runtime::{
    CaptureLimits, Error, Event, ExecutionControl, ExitStatus, PathProblem, Sandbox,
};
use bailiwick_sandbox::channel::{BODY_BYTES, Channel, Encoded, Message};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::Answered;
use super::failure::{Failure, Reported};
use super::link::Link;
use super::message::{Answer, Ask, Asked, Captured, OnePath, Question, Told};
use super::settings::HostSettings;
use crate::backend::execution::{Control, Ends, Started};
use crate::backend::files::in_memory;
use crate::backend::sandbox::LocalSandbox;
use crate::backend::{Begun, LocalRuntime};

/// Events in one message.
const EVENTS_TOGETHER: usize = 64;
/// What an entry of a directory takes in a message besides its name.
const ENTRY_BYTES: usize = 48;

/// Until the server's end of the channel closes. Then every sandbox is ended.
pub(super) fn serve(channel: Channel, now: fn() -> i64) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(answer_all(channel, now)) {
        Ok(()) => ExitCode::SUCCESS,
        // The server sees the end of the channel, and says so.
        Err(_) => ExitCode::FAILURE,
    }
}

async fn answer_all(channel: Channel, now: fn() -> i64) -> std::io::Result<()> {
    let link = Link::new(channel)?;
    let Some(settings) = link.receive::<HostSettings>().await? else {
        return Ok(());
    };
    let backend = |error| Error::Backend(Box::new(error));
    let runtime = settings.body.into_options(now).and_then(|options| {
        LocalRuntime::new(options).map_err(|error: crate::StateError| backend(error))
    });
    let (runtime, ready) = match runtime {
        Ok(runtime) => (Some(runtime), Ok(())),
        Err(error) => (None, Err(Reported::of(&error))),
    };
    link.send(&Encoded::new(&Told::Ready(ready))?, &[]).await?;
    let Some(runtime) = runtime else {
        return Ok(());
    };
    let host = Arc::new(Host {
        runtime,
        link,
        sandboxes: Mutex::default(),
        executions: Mutex::default(),
    });
    while let Ok(Some(message)) = host.link.receive::<Asked>().await {
        tokio::spawn(Arc::clone(&host).answer(message));
    }
    host.end_all().await;
    Ok(())
}

struct Host {
    runtime: LocalRuntime,
    link: Link,
    sandboxes: Mutex<HashMap<u64, Arc<LocalSandbox>>>,
    executions: Mutex<HashMap<u64, Arc<Control>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn failed(error: std::io::Error) -> Failure {
    Failure::Backend(Reported::of(&error))
}

fn plain(answer: Answer) -> Answered {
    (answer, Vec::new())
}

impl Host {
    async fn answer(self: Arc<Self>, message: Message<Asked>) {
        let Asked { number, question } = message.body;
        let (result, descriptors) = match self.act(number, question, message.descriptors).await {
            Ok((answer, descriptors)) => (Ok(answer), descriptors),
            Err(failure) => (Err(failure), Vec::new()),
        };
        let encoded = Encoded::new(&Told::Answer { number, result }).or_else(|error| {
            let result = Err(Failure::Backend(Reported::of(&error)));
            Encoded::new(&Told::Answer { number, result })
        });
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        if let Ok(encoded) = encoded {
            // A server that is gone needs no answer.
            let _ = self.link.send(&encoded, &descriptors).await;
        }
    }

    async fn act(
        self: &Arc<Self>,
        number: u64,
        question: Question,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Answered, Failure> {
        let control = |execution| lock(&self.executions).get(&execution).cloned();
        match question {
            Question::Start { spec, restore } => {
                let events = Link::new(Channel::from_socket(only(descriptors)?)).map_err(failed)?;
                let spec = spec.with_policy(|policy| policy.compile())?;
                let begun = self.runtime.begin(spec, restore.as_ref()).await?;
                self.attend(number, begun, events);
                return Ok(plain(Answer::Started { terminal: false }));
            }
            Question::Ask { sandbox, ask } => {
                let sandbox = lock(&self.sandboxes).get(&sandbox).cloned();
                let sandbox = sandbox.ok_or(Failure::Forgotten)?;
                return self.ask(number, &sandbox, ask, descriptors).await;
            }
            // A program that has ended is no error.
            Question::Signal { execution, signal } => {
                if let Some(control) = control(execution) {
                    control.signal(signal).await?;
                }
            }
            Question::Resize { execution, size } => {
                if let Some(control) = control(execution) {
                    control.resize(size).await?;
                }
            }
        }
        Ok(plain(Answer::Done))
    }

    async fn ask(
        self: &Arc<Self>,
        number: u64,
        sandbox: &LocalSandbox,
        ask: Ask,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Answered, Failure> {
        Ok(match ask {
            Ask::Exec(command) => self.watch(number, sandbox.start(command).await?),
            Ask::Connect { port } => (Answer::Connected, vec![sandbox.connect_to(port).await?]),
            Ask::Read { path, limit_bytes } => {
                let contents = sandbox.read_file(&path.0, limit_bytes).await?;
                let file = in_memory(&[&contents]).map_err(failed)?;
                let bytes = contents.len() as u64;
                (Answer::Contents { bytes }, vec![file])
            }
            Ask::Write { path, bytes, mode } => {
                let contents = only(descriptors)?.into();
                sandbox.write(&path.0, contents, bytes, mode).await?;
                plain(Answer::Done)
            }
            Ask::LookAt { path } => plain(Answer::Entries(vec![sandbox.look_at(&path.0).await?])),
            Ask::List { path, limit } => list(sandbox, &path.0, limit).await?,
            Ask::Capture { roots, limits } => capture(sandbox, &roots, limits).await?,
            Ask::ApplyPolicy(policy) => {
                sandbox.apply_policy(policy.compile()?).await?;
                plain(Answer::Done)
            }
            Ask::Mark(mark) => {
                sandbox.mark(mark).await?;
                plain(Answer::Done)
            }
            Ask::Checkpoint => plain(Answer::Checkpoint(sandbox.checkpoint().await?)),
            Ask::Stop { grace } => {
                sandbox.stop(grace).await?;
                plain(Answer::Done)
            }
        })
    }

    /// Keeps a sandbox until it has stopped.
    fn attend(self: &Arc<Self>, number: u64, begun: Begun, told: Link) {
        lock(&self.sandboxes).insert(number, Arc::clone(&begun.sandbox));
        let host = Arc::clone(self);
        // Nobody who does not read the events keeps the server from knowing.
        tokio::spawn(async move {
            begun.sandbox.gone().await;
            host.tell_end(number, None).await;
        });
        let host = Arc::clone(self);
        tokio::spawn(async move {
            pass_on(begun.events, &told).await;
            lock(&host.sandboxes).remove(&number);
        });
    }

    /// Tells the server when the program has ended.
    fn watch(self: &Arc<Self>, execution: u64, started: Started) -> Answered {
        let control = Arc::new(started.control);
        lock(&self.executions).insert(execution, Arc::clone(&control));
        let host = Arc::clone(self);
        tokio::spawn(async move {
            let status = control.wait().await.ok();
            lock(&host.executions).remove(&execution);
            host.tell_end(execution, status).await;
        });
        match started.ends {
            Ends::Pipes(pipes) => (Answer::Started { terminal: false }, pipes.into()),
            Ends::Terminal(master) => (Answer::Started { terminal: true }, vec![master]),
        }
    }

    async fn tell_end(&self, number: u64, status: Option<ExitStatus>) {
        if let Ok(told) = Encoded::new(&Told::Ended { number, status }) {
            // A server that is gone wants to know nothing.
            let _ = self.link.send(&told, &[]).await;
        }
    }

    /// The server is gone.
    async fn end_all(&self) {
        let sandboxes: Vec<_> = lock(&self.sandboxes).values().cloned().collect();
        let mut ending = JoinSet::new();
        for sandbox in sandboxes {
            ending.spawn(async move { sandbox.stop(Duration::ZERO).await });
        }
        let ended = async { while ending.join_next().await.is_some() {} };
        // What takes longer ends with this process.
        let _ = tokio::time::timeout(limits::HOST_SANDBOXES_END, ended).await;
    }
}

fn only(descriptors: Vec<OwnedFd>) -> Result<OwnedFd, Failure> {
    let mut descriptors = descriptors.into_iter();
    let missing = || failed(std::io::ErrorKind::InvalidData.into());
    descriptors.next().ok_or_else(missing)
}

/// More names than fit a message are above any limit.
async fn list(sandbox: &LocalSandbox, path: &Path, limit: usize) -> Result<Answered, Failure> {
    let entries = sandbox.list_files(path, limit).await?;
    let names: usize = entries
        .iter()
        .map(|entry| entry.name.len() + ENTRY_BYTES)
        .sum();
    if names > BODY_BYTES / 4 {
        return Err(Failure::Path {
            path: path.to_owned(),
            problem: PathProblem::TooLarge,
        });
    }
    Ok(plain(Answer::Entries(entries)))
}

async fn capture(
    sandbox: &LocalSandbox,
    roots: &[OnePath],
    limits: CaptureLimits,
) -> Result<Answered, Failure> {
    let roots: Vec<&Path> = roots.iter().map(|root| root.0.as_path()).collect();
    let files = sandbox.capture(&roots, limits).await?;
    let contents: Vec<&[u8]> = files.iter().map(|file| file.contents.as_slice()).collect();
    let contents = in_memory(&contents).map_err(failed)?;
    let captured = files.into_iter().map(|file| Captured {
        path: file.path,
        executable: file.executable,
        bytes: file.contents.len() as u64,
    });
    Ok((Answer::Captured(captured.collect()), vec![contents]))
}

/// The events of a sandbox, until the last one. Nobody has to read them.
async fn pass_on(mut events: mpsc::Receiver<Event>, told: &Link) {
    let mut together = Vec::with_capacity(EVENTS_TOGETHER);
    while events.recv_many(&mut together, EVENTS_TOGETHER).await > 0 {
        if let Ok(encoded) = Encoded::new(&together) {
            let _ = told.send(&encoded, &[]).await;
        }
        together.clear();
    }
}
