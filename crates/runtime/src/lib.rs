//! The port that every backend implements: what a sandbox is, its verbs, its events.
//!
//! What uses sandboxes sees [`Runtime`] and [`Sandbox`], never a backend. A backend is one machine (`local`) or a cluster; both pass
//! the same conformance suite (the module `conformance`, feature `testing`), and an in-memory fake (the module `fake`) stands in for both in tests.
//!
//! This crate must never know a rule of the egress policy: [`Runtime::Policy`] is the compiled policy as the backend takes it, and
//! this crate only carries it. (It may not depend on `policy`, and a serialised form would have to be parsed again at the last
//! moment, where it could fail.) A spec cannot be made without one, so there is no sandbox without a policy.
//!
//! The verbs return boxed futures, so that a backend is a value that is chosen at start-up; next to the work of any verb the box is nothing.

use std::num::NonZeroU16;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::SandboxId;
use tokio::sync::mpsc;

pub mod bytes;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
mod event;
mod execution;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
mod files;
mod spec;

pub use error::{Error, PathProblem, SpecProblem, Verb};
pub use event::{Event, StopReason};
pub use execution::{
    ByteSink, ByteSource, ByteStream, Command, Duplex, Execution, ExecutionControl, ExitStatus,
    Signal, StandardStreams, Streams, TerminalSize,
};
pub use files::{CaptureLimits, CapturedFile, FileEntry, FileKind};
pub use spec::{
    Access, Base, Checkpoint, Draft, Identity, Image, InvalidLayerDigest, LayerDigest, Limits,
    Mount, MountSource, Network, Profile, SandboxSpec, SandboxSummary,
};

/// A future of a verb.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What makes and finds sandboxes.
///
/// Dropping a runtime does not stop its sandboxes, as a crash would not: [`Runtime::list`] and [`Runtime::adopt`] find them again.
pub trait Runtime: Send + Sync {
    /// The compiled egress policy, as this backend takes it.
    type Policy: Clone + Send + Sync + 'static;

    /// The optional verbs that this backend has on this machine; the others answer [`Error::Unsupported`].
    fn supports(&self, verb: Verb) -> bool;

    /// Starts a sandbox. When this returns, its policy is in force and no instruction of any command has run.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] for an id that is in use, [`Error::InvalidSpec`], [`Error::Refused`] with the feature that the machine lacks. After
    /// an error nothing is left behind.
    fn start(
        &self,
        spec: SandboxSpec<Self::Policy>,
    ) -> BoxFuture<'_, Result<Running<Self::Policy>, Error>>;

    /// The sandboxes that run, whoever of this installation started them, by id.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] when they cannot be known.
    fn list(&self) -> BoxFuture<'_, Result<Vec<SandboxSummary>, Error>>;

    /// Takes a running sandbox over: after a restart, or from a holder that is gone. The holder before, if any, gets no more events.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when none of that id runs; [`Error::Unsupported`] where sandboxes end with their holder.
    fn adopt<'a>(
        &'a self,
        id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Running<Self::Policy>, Error>>;

    /// Starts a sandbox whose private files are those of `checkpoint`. Policy, limits and the rest are those of `spec`: what was allowed
    /// when the checkpoint was taken does not matter.
    ///
    /// # Errors
    ///
    /// As for [`Runtime::start`]; [`Error::CheckpointNotFound`]; [`Error::CheckpointDamaged`]; [`Error::Unsupported`].
    fn restore<'a>(
        &'a self,
        spec: SandboxSpec<Self::Policy>,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<Running<Self::Policy>, Error>>;

    /// Throws away what a checkpoint kept, which nobody will restore. One that is not there, or that is being restored, is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`]; [`Error::Unsupported`].
    fn discard<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), Error>>;

    /// How many bytes a checkpoint takes where it is kept.
    ///
    /// # Errors
    ///
    /// [`Error::CheckpointNotFound`]; [`Error::Backend`]; [`Error::Unsupported`].
    fn checkpoint_bytes<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<u64, Error>>;
}

/// A sandbox that was started, adopted or restored.
pub struct Running<P> {
    /// The handle. Dropping it does not stop the sandbox.
    pub sandbox: Arc<dyn Sandbox<Policy = P>>,
    /// What happens in it; [`Event::Stopped`] is the last one. The channel is bounded: flows wait for a slow reader, they are not lost.
    pub events: mpsc::Receiver<Event>,
}

/// One sandbox. Every verb answers [`Error::Gone`] once it has stopped.
///
/// Paths are absolute paths inside. They are resolved inside, with the identity of the sandbox: a link that somebody made there leads
/// where it would lead them, never out.
pub trait Sandbox: Send + Sync {
    /// As in [`Runtime::Policy`].
    type Policy: Clone + Send + Sync + 'static;

    /// Its id.
    fn id(&self) -> &SandboxId;

    /// Starts a program.
    ///
    /// # Errors
    ///
    /// [`Error::CommandNotFound`] and [`Error::CommandNotExecutable`], which shells report as 127 and 126.
    fn exec(&self, command: Command) -> BoxFuture<'_, Result<Execution, Error>>;

    /// Connects to a program that listens on a TCP port of the sandbox's own loopback. There is no other address to name: what the sandbox
    /// itself may reach is its policy's business, and nobody reaches anything through it.
    ///
    /// # Errors
    ///
    /// [`Error::NotListening`]; [`Error::Unsupported`].
    fn connect(&self, _port: NonZeroU16) -> BoxFuture<'_, Result<ByteStream, Error>> {
        Box::pin(async { Err(Error::Unsupported(Verb::Connect)) })
    }

    /// Reads a whole file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::Path`], with [`PathProblem::TooLarge`] above the limit.
    fn read_file<'a>(
        &'a self,
        path: &'a Path,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>>;

    /// Writes a whole file with permission bits `mode`, and makes the directories above it. It appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Path`].
    fn write_file<'a>(
        &'a self,
        path: &'a Path,
        contents: Vec<u8>,
        mode: u32,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// What a path leads to, over links too.
    ///
    /// This default looks for the name in its directory, where a link is a link; a backend that can ask for one file does better.
    ///
    /// # Errors
    ///
    /// [`Error::Path`], with [`PathProblem::NotAFile`] for what is neither a file nor a directory.
    fn look_at<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<FileEntry, Error>> {
        Box::pin(async move {
            let missing = || Error::Path {
                path: path.to_owned(),
                problem: PathProblem::NotFound,
            };
            let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(missing());
            };
            let entries = self.list_files(above, usize::MAX).await?;
            let found = entries.into_iter().find(|entry| entry.name == name);
            found.ok_or_else(missing)
        })
    }

    /// The entries of a directory by name, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`Error::Path`], with [`PathProblem::TooLarge`] when there are more.
    fn list_files<'a>(
        &'a self,
        path: &'a Path,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileEntry>, Error>>;

    /// The regular files at and below `roots`. Links are not followed; a root that does not exist holds nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Path`] with [`PathProblem::TooLarge`] or [`PathProblem::TooSlow`] when a limit is passed: what is captured is all or nothing.
    fn capture<'a>(
        &'a self,
        roots: &'a [&'a Path],
        limits: CaptureLimits,
    ) -> BoxFuture<'a, Result<Vec<CapturedFile>, Error>>;

    /// Puts another policy in force, and cuts open flows that it denies. When this returns, both have happened.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`].
    fn apply_policy(&self, policy: Self::Policy) -> BoxFuture<'_, Result<(), Error>>;

    /// Has [`Event::Mark`] told with this number, behind every flow that was over when this was called. Returns once it is on its way: a slow
    /// reader comes to it when it comes to it.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`].
    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Error>>;

    /// Waits until nothing of it is left. Unlike [`Event::Stopped`], which is told behind all flows, this waits for no reader.
    fn gone(&self) -> BoxFuture<'_, ()>;

    /// Keeps the private files for [`Runtime::restore`] and stops the sandbox. Programs do not survive it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`]; [`Error::Full`] where there is no room for what would be kept. After an error the sandbox still runs.
    fn checkpoint(&self) -> BoxFuture<'_, Result<Checkpoint, Error>>;

    /// Ends everything inside: SIGTERM, then SIGKILL after `grace`. When this returns, nothing of it is left on the machine. A sandbox
    /// that has stopped already is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] when something could not be removed.
    fn stop(&self, grace: Duration) -> BoxFuture<'_, Result<(), Error>>;
}
