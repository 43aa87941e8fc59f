//! A backend in memory: scripted programs, a file system that is a map, failures and slowness on demand.
//!
//! It fails the test that leaves sandboxes running: dropping a [`Fake`] panics then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_model::SandboxId;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::{
    BoxFuture, Checkpoint, Error, Event, Running, Runtime, SandboxSpec, SandboxSummary, StopReason,
    Verb,
};

mod program;
mod sandbox;
mod scripts;
#[cfg(test)]
mod tests;

pub use program::Invocation;
use program::Program;
use sandbox::FakeSandbox;

/// Events that may wait; small, so that tests meet the bound.
const EVENTS_WAITING: usize = 64;

/// What is done with a connection to a port inside.
type Listener = Arc<dyn Fn(DuplexStream) + Send + Sync>;

/// The private files of a sandbox: path, permission bits, contents.
type Files = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// The backend. Its policy is a text, or what a test has in its place; it is recorded.
pub struct Fake<P = String> {
    state: Arc<State<P>>,
}

/// What the fake and its sandboxes share.
struct State<P> {
    programs: Vec<(Vec<OsString>, Program)>,
    listeners: Vec<(NonZeroU16, Listener)>,
    unsupported: BTreeSet<&'static str>,
    delay: Duration,
    inner: Mutex<Inner<P>>,
}

struct Inner<P> {
    running: BTreeMap<SandboxId, Arc<FakeSandbox<P>>>,
    checkpoints: BTreeMap<Box<str>, Files>,
    taken: u64,
    failures: VecDeque<Error>,
    checkpoint_failures: VecDeque<Error>,
}

impl<P> Default for Inner<P> {
    fn default() -> Self {
        Self {
            running: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            taken: 0,
            failures: VecDeque::new(),
            checkpoint_failures: VecDeque::new(),
        }
    }
}

impl<P> State<P> {
    fn inner(&self) -> MutexGuard<'_, Inner<P>> {
        // A test that panicked while it held the lock is failing already.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a [`Fake`] is to behave.
pub struct FakeBuilder<P = String>(State<P>);

impl Default for FakeBuilder {
    fn default() -> Self {
        Self::with_other_policies()
    }
}

impl<P> FakeBuilder<P> {
    /// One whose policies are of another type than texts.
    pub fn with_other_policies() -> Self {
        Self(State {
            programs: Vec::new(),
            listeners: Vec::new(),
            unsupported: BTreeSet::new(),
            delay: Duration::ZERO,
            inner: Mutex::default(),
        })
    }

    /// Runs `program` when exactly `argv` is started. What is not scripted does not exist inside.
    #[must_use]
    pub fn program<F>(
        mut self,
        argv: impl IntoIterator<Item = impl Into<OsString>>,
        program: impl Fn(Invocation) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = u8> + Send + 'static,
    {
        let program: Program = Arc::new(move |invocation| Box::pin(program(invocation)));
        self.0
            .programs
            .push((argv.into_iter().map(Into::into).collect(), program));
        self
    }

    /// Hands connections to a port of any sandbox to `accept`. On other ports nothing listens.
    #[must_use]
    pub fn listener(
        mut self,
        port: NonZeroU16,
        accept: impl Fn(DuplexStream) + Send + Sync + 'static,
    ) -> Self {
        self.0.listeners.push((port, Arc::new(accept)));
        self
    }

    /// The programs that the conformance suite starts.
    #[must_use]
    pub fn conformance_programs(self) -> Self {
        scripts::add(self)
    }

    /// Lacks a verb.
    #[must_use]
    pub fn without(mut self, verb: Verb) -> Self {
        self.0.unsupported.insert(name(verb));
        self
    }

    /// Lets every verb take this long.
    #[must_use]
    pub fn slow(mut self, delay: Duration) -> Self {
        self.0.delay = delay;
        self
    }

    /// The fake.
    pub fn build(self) -> Fake<P> {
        Fake {
            state: Arc::new(self.0),
        }
    }
}

fn name(verb: Verb) -> &'static str {
    match verb {
        Verb::Adopt => "adopt",
        Verb::ApplyPolicy => "apply_policy",
        Verb::Checkpoint => "checkpoint",
        Verb::Connect => "connect",
        Verb::Terminal => "terminal",
    }
}

impl Fake {
    /// A fake with the programs of the conformance suite and every verb.
    pub fn new() -> Self {
        FakeBuilder::default().conformance_programs().build()
    }
}

impl<P: Clone + Send + Sync + 'static> Fake<P> {
    /// Lets the next verb that starts a sandbox fail. May be called several times.
    pub fn fail_next_start(&self, error: Error) {
        self.state.inner().failures.push_back(error);
    }

    /// Lets the next checkpoint fail, after which the sandbox runs on. May be called several times.
    pub fn fail_next_checkpoint(&self, error: Error) {
        self.state.inner().checkpoint_failures.push_back(error);
    }

    /// How many checkpoints are to fail yet.
    pub fn checkpoint_failures_left(&self) -> usize {
        self.state.inner().checkpoint_failures.len()
    }

    /// How many checkpoints are kept.
    pub fn checkpoints(&self) -> usize {
        self.state.inner().checkpoints.len()
    }

    /// Lets a sandbox die as if its machine had.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn lose(&self, id: &SandboxId) -> Result<(), Error> {
        self.find(id)?.end(StopReason::Lost).await;
        Ok(())
    }

    /// Lets an event happen in a sandbox, such as a flow; waits while nobody reads the ones before.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn emit(&self, id: &SandboxId, event: Event) -> Result<(), Error> {
        self.find(id)?.emit(event).await;
        Ok(())
    }

    /// The policies that a running sandbox was given, the last one in force.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn policies(&self, id: &SandboxId) -> Result<Vec<P>, Error> {
        Ok(self.find(id)?.policies())
    }

    fn find(&self, id: &SandboxId) -> Result<Arc<FakeSandbox<P>>, Error> {
        self.state
            .inner()
            .running
            .get(id)
            .cloned()
            .ok_or_else(|| Error::NotFound(id.clone()))
    }

    fn require(&self, verb: Verb) -> Result<(), Error> {
        if self.supports(verb) {
            Ok(())
        } else {
            Err(Error::Unsupported(verb))
        }
    }

    async fn begin(&self, spec: SandboxSpec<P>, files: Files) -> Result<Running<P>, Error> {
        tokio::time::sleep(self.state.delay).await;
        spec.validate()?;
        let (sender, events) = mpsc::channel(EVENTS_WAITING);
        let sandbox = {
            let mut inner = self.state.inner();
            if let Some(error) = inner.failures.pop_front() {
                return Err(error);
            }
            if inner.running.contains_key(&spec.id) {
                return Err(Error::Exists(spec.id));
            }
            let sandbox = FakeSandbox::new(spec, files, sender, Arc::clone(&self.state));
            inner
                .running
                .insert(sandbox.spec().id.clone(), Arc::clone(&sandbox));
            sandbox
        };
        sandbox.emit(Event::Started).await;
        Ok(Running { sandbox, events })
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> fmt::Debug for Fake<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake")
            .field("running", &self.state.inner().running.keys())
            .finish()
    }
}

impl<P> Drop for Fake<P> {
    fn drop(&mut self) {
        let left: Vec<_> = std::mem::take(&mut self.state.inner().running)
            .into_keys()
            .map(|id| id.to_string())
            .collect();
        if !std::thread::panicking() {
            assert!(
                left.is_empty(),
                "sandboxes were left running: {}",
                left.join(", ")
            );
        }
    }
}

impl<P: Clone + Send + Sync + 'static> Runtime for Fake<P> {
    type Policy = P;

    fn supports(&self, verb: Verb) -> bool {
        !self.state.unsupported.contains(name(verb))
    }

    fn start(&self, spec: SandboxSpec<P>) -> BoxFuture<'_, Result<Running<P>, Error>> {
        Box::pin(self.begin(spec, Files::new()))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<SandboxSummary>, Error>> {
        Box::pin(async {
            tokio::time::sleep(self.state.delay).await;
            let inner = self.state.inner();
            let summary = |sandbox: &Arc<FakeSandbox<P>>| SandboxSummary {
                id: sandbox.spec().id.clone(),
                environment: sandbox.spec().environment.clone(),
            };
            Ok(inner.running.values().map(summary).collect())
        })
    }

    fn adopt<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Running<P>, Error>> {
        Box::pin(async {
            tokio::time::sleep(self.state.delay).await;
            self.require(Verb::Adopt)?;
            let sandbox = self.find(id)?;
            let (sender, events) = mpsc::channel(EVENTS_WAITING);
            sandbox.hand_over(sender);
            sandbox.emit(Event::Started).await;
            Ok(Running { sandbox, events })
        })
    }

    fn restore<'a>(
        &'a self,
        spec: SandboxSpec<P>,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<Running<P>, Error>> {
        Box::pin(async {
            self.require(Verb::Checkpoint)?;
            let files = self.state.inner().checkpoints.get(&checkpoint.0).cloned();
            let files = files.ok_or_else(|| Error::CheckpointNotFound(checkpoint.clone()))?;
            let running = self.begin(spec, files).await?;
            self.state.inner().checkpoints.remove(&checkpoint.0);
            Ok(running)
        })
    }

    fn discard<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async {
            self.require(Verb::Checkpoint)?;
            self.state.inner().checkpoints.remove(&checkpoint.0);
            Ok(())
        })
    }

    fn checkpoint_bytes<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async {
            self.require(Verb::Checkpoint)?;
            let inner = self.state.inner();
            let files = inner.checkpoints.get(&checkpoint.0);
            let files = files.ok_or_else(|| Error::CheckpointNotFound(checkpoint.clone()))?;
            Ok(files.values().map(|(_, file)| file.len() as u64).sum())
        })
    }
}
