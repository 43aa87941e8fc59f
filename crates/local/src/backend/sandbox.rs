//! One sandbox of the port, and the task that attends to it until nothing of it is left.

use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits::SANDBOX_CONNECT;
use bailiwick_model::{Flow, SandboxId};
use bailiwick_policy::InForce;
use bailiwick_runtime::{
    BoxFuture, ByteStream, CaptureLimits, CapturedFile, Checkpoint, Command, Error, Event,
    Execution, FileEntry, Limits, Sandbox, StopReason,
};
use bailiwick_sandbox::plan::Place;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::execution::Started;
use super::memory::Kills;
use super::{error, execution, files};
use crate::boot::Running;
use crate::checkpoint::{self, CheckpointError, Checkpoints};
use crate::keeper::{ArchiveWork, Handle};
use crate::publish::{Published, as_stream, connect_inside};

/// How often the kernel is asked whether it killed something, where memory is limited.
const MEMORY_LOOK: Duration = Duration::from_secs(1);

/// Marks that wait to be told.
const MARKS_WAITING: usize = 16;

/// How far the life of a sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    Stopping(StopReason),
    /// Nothing of it is left.
    Stopped(StopReason),
}

/// What a sandbox is attended with.
pub(super) struct Attended {
    pub(super) running: Running,
    pub(super) published: Published,
    pub(super) flows: mpsc::Receiver<Flow>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) policy: watch::Sender<InForce>,
    /// It trusts a certificate authority of its own.
    pub(super) has_authority: bool,
    pub(super) owner_of_pipes: Option<(u32, u32)>,
    pub(super) limits: Limits,
    pub(super) places: Vec<Place>,
    pub(super) checkpoints: Checkpoints,
}

/// The handle.
pub(crate) struct LocalSandbox(Arc<Inner>);

/// What the handle shares with the task that attends to the sandbox, and with those that wait for its programs.
pub(crate) struct Inner {
    id: SandboxId,
    pub(super) handle: Handle,
    /// As whose a pipe can be opened again inside.
    pub(super) owner_of_pipes: Option<(u32, u32)>,
    /// Weak, so that the channel closes with the last event.
    events: mpsc::WeakSender<Event>,
    marks: mpsc::Sender<u64>,
    kills: Kills,
    policy: watch::Sender<InForce>,
    has_authority: bool,
    life: watch::Sender<Life>,
    /// What a checkpoint keeps, and up to how many bytes.
    places: Vec<Place>,
    keeps_bytes: u64,
    checkpoints: Checkpoints,
    checkpointing: tokio::sync::Mutex<()>,
}

impl LocalSandbox {
    /// Must be called inside a tokio runtime. The task holds the sandbox, whoever drops the handle.
    pub(super) fn attend(attended: Attended) -> Arc<Self> {
        let Attended {
            running,
            published,
            flows,
            events,
            policy,
            has_authority,
            owner_of_pipes,
            limits,
            places,
            checkpoints,
        } = attended;
        let (marks, marked) = mpsc::channel(MARKS_WAITING);
        let sandbox = Arc::new(Inner {
            id: running.id().clone(),
            handle: running.handle().clone(),
            owner_of_pipes,
            events: events.downgrade(),
            marks,
            kills: Kills::default(),
            policy,
            has_authority,
            life: watch::Sender::new(Life::Running),
            places,
            keeps_bytes: checkpoint::limit_bytes(limits.disk_bytes),
            checkpoints,
            checkpointing: tokio::sync::Mutex::new(()),
        });
        let attending = Arc::clone(&sandbox);
        tokio::spawn(async move {
            let told = tokio::spawn(tell_flows(flows, marked, events.clone()));
            attending.until_the_end(limits).await;
            drop(published);
            let ending = running.stop().await;
            let reason = attending.stopped();
            // Whoever waits for the end need not read the events.
            attending
                .kills
                .tell(ending.out_of_memory_kills, &events)
                .await;
            let _ = told.await;
            let _ = events.send(Event::Stopped(reason)).await;
        });
        Arc::new(Self(sandbox))
    }
}

impl LocalSandbox {
    /// As [`Sandbox::exec`], with the ends of its streams as descriptors.
    pub(crate) async fn start(&self, command: Command) -> Result<Started, Error> {
        self.0.check_alive()?;
        execution::start(&self.0, command).await
    }

    /// As [`Sandbox::connect`], with the connection as a descriptor.
    pub(crate) async fn connect_to(&self, port: NonZeroU16) -> Result<OwnedFd, Error> {
        self.0.check_alive()?;
        let connecting = connect_inside(port.get(), &self.0.handle);
        match timeout(SANDBOX_CONNECT, connecting).await {
            Ok(Ok(connection)) => Ok(connection.into_std().map_err(error::backend)?.into()),
            Ok(Err(_)) | Err(_) => {
                self.0.check_alive()?;
                Err(Error::NotListening(port))
            }
        }
    }

    /// As [`Sandbox::write_file`], with the contents in a file of `bytes` bytes that nobody else writes to.
    pub(crate) async fn write(
        &self,
        path: &Path,
        contents: Arc<OwnedFd>,
        bytes: u64,
        mode: u32,
    ) -> Result<(), Error> {
        self.0.check_alive()?;
        files::Inside(&self.0.handle, &self.0.id)
            .write(path, contents, bytes, mode)
            .await
    }
}

impl Inner {
    /// Until the sandbox is gone or its time is over.
    async fn until_the_end(&self, limits: Limits) {
        let lifetime = async {
            match limits.lifetime {
                Some(lifetime) => tokio::time::sleep(lifetime).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.handle.gone() => {}
            () = lifetime => self.stopping(StopReason::Lifetime),
            () = self.look_for_kills(), if limits.memory_bytes.is_some() => {}
        }
    }

    /// Until the sandbox is gone.
    async fn look_for_kills(&self) {
        while let Some(kills) = self.handle.out_of_memory_kills().await {
            if let Some(events) = self.events.upgrade() {
                self.kills.tell(kills, &events).await;
            }
            tokio::time::sleep(MEMORY_LOOK).await;
        }
    }

    /// Tells of processes that the kernel killed; nobody waits until it is read.
    pub(super) fn tell_kills(self: &Arc<Self>, kills: u64) {
        let sandbox = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(events) = sandbox.events.upgrade() {
                sandbox.kills.tell(kills, &events).await;
            }
        });
    }

    /// The first reason is the one that counts.
    fn stopping(&self, reason: StopReason) {
        self.life.send_if_modified(|life| {
            let first = *life == Life::Running;
            if first {
                *life = Life::Stopping(reason);
            }
            first
        });
    }

    fn stopped(&self) -> StopReason {
        let reason = match self.life() {
            Life::Running => StopReason::Lost,
            Life::Stopping(reason) | Life::Stopped(reason) => reason,
        };
        self.life.send_replace(Life::Stopped(reason));
        reason
    }

    pub(super) fn life(&self) -> Life {
        *self.life.borrow()
    }

    pub(super) fn gone(&self) -> Error {
        Error::Gone(self.id.clone())
    }

    fn check_alive(&self) -> Result<(), Error> {
        match self.life() {
            Life::Running => Ok(()),
            Life::Stopping(_) | Life::Stopped(_) => Err(self.gone()),
        }
    }

    /// Until the archive is whole the sandbox can go on, and nothing else is kept if it does.
    async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let _one_at_a_time = self
            .checkpointing
            .try_lock()
            .map_err(|_| CheckpointError::Twice)?;
        self.check_alive()?;
        let draft = self.checkpoints.draft()?;
        let limits = self.checkpoints.limits(self.keeps_bytes);
        let (keep, places) = (ArchiveWork::Keep(limits), self.places.clone());
        let kept = self.handle.archive(keep, places, draft.archive()?).await;
        kept.map_err(|error| match checkpoint::not_kept(&error, limits) {
            Some(error) => error.into(),
            None => self.gone(),
        })?;
        self.stopping(StopReason::Checkpointed);
        self.handle.stop();
        match self.until_stopped().await {
            StopReason::Checkpointed => Ok(draft.finish()?),
            // Something else ended it first, and whoever did that does not expect it to come back.
            StopReason::Requested | StopReason::Lifetime | StopReason::Lost => Err(self.gone()),
        }
    }

    async fn until_stopped(&self) -> StopReason {
        let mut life = self.life.subscribe();
        let stopped = life.wait_for(|life| matches!(life, Life::Stopped(_))).await;
        // The sender is this sandbox's own, so that it cannot be closed.
        match stopped.map(|life| *life) {
            Ok(Life::Stopped(reason)) => reason,
            Ok(Life::Running | Life::Stopping(_)) | Err(_) => StopReason::Lost,
        }
    }

    async fn end(&self, grace: Duration) {
        self.stopping(StopReason::Requested);
        let softly = async {
            self.handle.terminate().await;
            self.handle.gone().await;
        };
        if timeout(grace, softly).await.is_err() {
            self.handle.stop();
        }
        self.until_stopped().await;
    }
}

/// Flows wait for a slow reader; without one they are dropped. A mark comes behind the flows that were there before it.
async fn tell_flows(
    mut flows: mpsc::Receiver<Flow>,
    mut marks: mpsc::Receiver<u64>,
    events: mpsc::Sender<Event>,
) {
    let tell = async |event| events.send(event).await.is_ok();
    loop {
        let is_told = tokio::select! {
            biased;
            Some(mark) = marks.recv() => {
                for _ in 0..flows.len() {
                    if let Ok(flow) = flows.try_recv() {
                        tell(Event::Flow(Box::new(flow))).await;
                    }
                }
                tell(Event::Mark(mark)).await
            }
            flow = flows.recv() => match flow {
                Some(flow) => tell(Event::Flow(Box::new(flow))).await,
                None => return,
            },
        };
        if !is_told {
            return;
        }
    }
}

impl Sandbox for LocalSandbox {
    type Policy = InForce;

    fn id(&self) -> &SandboxId {
        &self.0.id
    }

    fn exec(&self, command: Command) -> BoxFuture<'_, Result<Execution, Error>> {
        Box::pin(async {
            let Started { ends, control } = self.start(command).await?;
            Ok(Execution {
                streams: ends.into_streams().map_err(error::backend)?,
                control: Box::new(control),
            })
        })
    }

    fn connect(&self, port: NonZeroU16) -> BoxFuture<'_, Result<ByteStream, Error>> {
        Box::pin(async move { as_stream(self.connect_to(port).await?) })
    }

    fn read_file<'a>(
        &'a self,
        path: &'a Path,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        Box::pin(async move {
            self.0.check_alive()?;
            files::Inside(&self.0.handle, &self.0.id)
                .read(path, limit_bytes)
                .await
        })
    }

    fn write_file<'a>(
        &'a self,
        path: &'a Path,
        contents: Vec<u8>,
        mode: u32,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let bytes = contents.len() as u64;
            let contents = files::in_memory(&[&contents]).map_err(error::backend)?;
            self.write(path, contents.into(), bytes, mode).await
        })
    }

    fn look_at<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<FileEntry, Error>> {
        Box::pin(async move {
            self.0.check_alive()?;
            files::Inside(&self.0.handle, &self.0.id)
                .look_at(path)
                .await
        })
    }

    fn list_files<'a>(
        &'a self,
        path: &'a Path,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FileEntry>, Error>> {
        Box::pin(async move {
            self.0.check_alive()?;
            files::Inside(&self.0.handle, &self.0.id)
                .list(path, limit)
                .await
        })
    }

    fn capture<'a>(
        &'a self,
        roots: &'a [&'a Path],
        limits: CaptureLimits,
    ) -> BoxFuture<'a, Result<Vec<CapturedFile>, Error>> {
        Box::pin(async move {
            self.0.check_alive()?;
            files::Inside(&self.0.handle, &self.0.id)
                .capture(roots, limits)
                .await
        })
    }

    fn apply_policy(&self, policy: InForce) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.0.check_alive()?;
            if policy.projections.may_have_credentials() && !self.0.has_authority {
                return Err(error::refused(
                    "a certificate authority that this sandbox trusts",
                    "start a sandbox that may have credentials",
                ));
            }
            self.0.policy.send_replace(policy);
            // One turn for the task that cuts what is denied now, one for the connections that it cuts: on a current-thread
            // runtime both are queued before this goes on.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.0.check_alive()?;
            // Its reader is gone once the last flow was told.
            let sent = self.0.marks.send(mark).await;
            sent.map_err(|_| self.0.gone())
        })
    }

    fn gone(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.0.until_stopped().await;
        })
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Checkpoint, Error>> {
        Box::pin(self.0.checkpoint())
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.0.end(grace).await;
            Ok(())
        })
    }
}
