//! The server's side of one host: its process, the questions that wait for an answer, and what becomes of them when it dies.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_runtime::{Error, ExitStatus};
use bailiwick_sandbox::channel::{EncodeError, Encoded, Message};
use bailiwick_sandbox::readiness::register;
use bailiwick_sandbox::role::RoleProcess;
use tokio::io::Interest;
use tokio::sync::{Semaphore, oneshot, watch};

use super::failure::Failure;
use super::link::Link;
use super::message::{Answer, Ask, Asked, Question, Told};
use super::settings::HostSettings;
use super::{ROLE, started};
use crate::state::StateDirectory;

/// Why a host gives no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    /// Its process could not be started.
    #[error("cannot start a sandbox host: {0}")]
    Start(io::Error),
    /// It is gone, and every sandbox in it.
    #[error("the sandbox host is gone")]
    Gone,
    /// It said something else than what was asked.
    #[error("the sandbox host gave an answer to another question")]
    Confused,
    /// What was to be asked cannot be sent.
    #[error(transparent)]
    Unsendable(#[from] EncodeError),
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        Self::Backend(Box::new(error))
    }
}

/// An answer and what came with it.
pub(super) type Answered = (Answer, Vec<OwnedFd>);
type Waiting = oneshot::Sender<Result<Answered, Failure>>;
/// How a program ended, once it has; `Some(None)` if it was lost, and for a sandbox.
pub(super) type End = watch::Receiver<Option<Option<ExitStatus>>>;

/// What waits for something that the host will say. `None` once the host is gone.
struct Open {
    questions: HashMap<u64, Waiting>,
    ends: HashMap<u64, watch::Sender<Option<Option<ExitStatus>>>>,
}

pub(super) struct Connection {
    link: Link,
    next_number: AtomicU64,
    permits: Semaphore,
    open: Mutex<Option<Open>>,
    /// It takes no more sandboxes.
    ending: watch::Sender<bool>,
    /// Nothing of it is left.
    gone: watch::Sender<bool>,
}

/// A question that the host has not got. Dropping it takes it back.
struct Unsent<'a>(&'a Connection, u64);

impl Unsent<'_> {
    fn was_sent(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(open) = &mut *self.0.open() {
            open.questions.remove(&self.1);
        }
    }
}

impl Connection {
    /// Starts a host and waits until it can start sandboxes.
    pub(super) async fn start(
        settings: &HostSettings,
        state: &StateDirectory,
    ) -> Result<Arc<Self>, Error> {
        let (process, channel) = RoleProcess::start(ROLE).map_err(HostError::Start)?;
        let link = Link::new(channel).map_err(HostError::Start)?;
        let encoded = Encoded::new(settings).map_err(HostError::from)?;
        let ready = async {
            link.send(&encoded, &[]).await?;
            link.receive::<Told>().await
        };
        match tokio::time::timeout(limits::HOST_START, ready).await {
            Ok(Ok(Some(Message {
                body: Told::Ready(ready),
                ..
            }))) => ready?,
            Ok(_) | Err(_) => return Err(HostError::Gone.into()),
        }
        let connection = Arc::new(Self {
            link,
            next_number: AtomicU64::new(1),
            permits: Semaphore::new(limits::HOST_QUESTIONS),
            open: Mutex::new(Some(Open {
                questions: HashMap::new(),
                ends: HashMap::new(),
            })),
            ending: watch::Sender::new(false),
            gone: watch::Sender::new(false),
        });
        let attending = Arc::clone(&connection);
        tokio::spawn(attending.attend(process, state.clone()));
        Ok(connection)
    }

    /// Whether it takes sandboxes.
    pub(super) fn is_alive(&self) -> bool {
        !*self.ending.borrow()
    }

    /// Waits until nothing of it is left.
    pub(super) async fn gone(&self) {
        // The sender is this connection's own.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// Lets the host end, and with it whatever runs there.
    pub(super) fn finish(&self) {
        self.ending.send_replace(true);
        self.link.finish();
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        // Nothing that holds it panics.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of what a question is about to start.
    pub(super) fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Hears of the end of the program or the sandbox that the question of this number starts.
    pub(super) fn end_of(&self, number: u64) -> End {
        let told = watch::Sender::new(None);
        let end = told.subscribe();
        if let Some(open) = &mut *self.open() {
            open.ends.insert(number, told);
        }
        end
    }

    /// Nothing was started under this number.
    pub(super) fn forget(&self, number: u64) {
        if let Some(open) = &mut *self.open() {
            open.ends.remove(&number);
        }
    }

    /// Asks and waits for the answer. A question that was sent is carried out, whether somebody waits or not.
    pub(super) async fn ask(
        &self,
        number: u64,
        question: Question,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Result<Answered, Failure>, HostError> {
        let encoded = Encoded::new(&Asked { number, question })?;
        let _permit = self.permits.acquire().await.map_err(|_| HostError::Gone)?;
        let (answer, answered) = oneshot::channel();
        match &mut *self.open() {
            Some(open) => open.questions.insert(number, answer),
            None => return Err(HostError::Gone),
        };
        let unsent = Unsent(self, number);
        let sent = self.link.send(&encoded, descriptors).await;
        drop(encoded);
        if sent.is_err() {
            // What is to be known of its end is known when that is over.
            self.gone().await;
            return Err(HostError::Gone);
        }
        unsent.was_sent();
        answered.await.map_err(|_| HostError::Gone)
    }

    /// Until the host is gone: a host that cannot be understood is ended.
    async fn attend(self: Arc<Self>, process: RoleProcess, state: StateDirectory) {
        tokio::select! {
            () = self.hear_all() => {}
            () = self.overdue() => {}
        }
        self.ending.send_replace(true);
        // One that has said its last word has ended what it had.
        process.kill();
        if let Ok(ended) = register(process.pidfd().as_fd(), Interest::READABLE) {
            let _ = ended.readable().await;
        }
        drop(process);
        // What its sandboxes left: their processes end with it.
        let cleaned = tokio::task::spawn_blocking(move || state.clean_up()).await;
        if let Ok(Err(error)) = cleaned {
            tracing::warn!(%error, "what a sandbox host left cannot be removed");
        }
        self.open().take();
        self.gone.send_replace(true);
    }

    async fn hear_all(self: &Arc<Self>) {
        while let Ok(Some(message)) = self.link.receive::<Told>().await {
            self.hear(message);
        }
    }

    /// It was told to end, and has had its time.
    async fn overdue(&self) {
        // The sender is this connection's own.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
        tokio::time::sleep(limits::HOST_END).await;
    }

    fn hear(self: &Arc<Self>, message: Message<Told>) {
        match message.body {
            Told::Answer { number, result } => {
                let waiting = self
                    .open()
                    .as_mut()
                    .and_then(|open| open.questions.remove(&number));
                let result = result.map(|answer| (answer, message.descriptors));
                let Some(waiting) = waiting else { return };
                if let Err(Ok((answer, _))) = waiting.send(result) {
                    self.abandon(number, &answer);
                }
            }
            Told::Ended { number, status } => {
                let told = self
                    .open()
                    .as_mut()
                    .and_then(|open| open.ends.remove(&number));
                if let Some(told) = told {
                    told.send_replace(Some(status));
                }
            }
            // It was ready before.
            Told::Ready(_) => {}
        }
    }

    /// Nobody waits for this answer any more. A sandbox that nobody has is stopped.
    fn abandon(self: &Arc<Self>, number: u64, answer: &Answer) {
        if !started(answer) {
            return;
        }
        let connection = Arc::clone(self);
        tokio::spawn(async move {
            let stop = Question::Ask {
                sandbox: number,
                ask: Ask::Stop {
                    grace: Duration::ZERO,
                },
            };
            connection.ask(connection.number(), stop, &[]).await
        });
    }
}
