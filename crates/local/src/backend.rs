//! The runtime port on one machine.
//!
//! A launch copies this process, which must have one thread for that: use the runtime from a current-thread tokio runtime, in a process
//! that starts no thread of its own (tokio's `fs`, `spawn_blocking` and `net::lookup_host` do). Nothing here starts one: files are
//! read in pieces, between which other tasks go on.
//!
//! A sandbox ends with the process that started it, so there is nothing to adopt.

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_egress::Egress;
use bailiwick_model::{SandboxId, limits};
use bailiwick_policy::InForce;
use bailiwick_runtime::{
    BoxFuture, Checkpoint, Error, Event, Running, Runtime, SandboxSpec, SandboxSummary, Verb,
};
use bailiwick_sandbox::plan::Place;
use tokio::sync::{mpsc, watch};

use crate::boot::{self, Description};
use crate::checkpoint::{self, CheckpointError, Checkpoints, Held};
use crate::keeper::ArchiveWork;
use crate::prepare::Surroundings;
use crate::publish::Published;
use crate::state::{StateDirectory, StateError};

mod error;
pub(crate) mod execution;
pub(crate) mod files;
mod memory;
pub(crate) mod sandbox;
mod spec;
mod terminal;

use sandbox::{Attended, LocalSandbox};

/// Events that may wait for their reader.
pub(crate) const EVENTS_WAITING: usize = 1024;

/// What a [`LocalRuntime`] is made of.
#[derive(Clone)]
pub struct LocalOptions {
    /// Where it keeps what must be found again.
    pub state: StateDirectory,
    /// What serves the networks of its sandboxes.
    pub egress: Arc<Egress>,
    /// Where layers are: `DIGITS/tree` for the layer `sha256:DIGITS`.
    pub layers: PathBuf,
    /// Where mirrors of repositories are: their keeper may mount them read-only, although they are Bailiwick's own state.
    pub repositories: PathBuf,
    /// What [`crate::snapshot`] made of this host, which layers and drafts on its userland need.
    pub snapshot: Option<PathBuf>,
    /// What of the caller's surroundings matters: toolchains of the home directory, trusted certificates, TERM.
    pub surroundings: Surroundings,
    /// Where checkpoints are, if not where those of the whole state directory are.
    pub checkpoints: Option<PathBuf>,
    /// Certificates to trust inside besides the host's, PEM.
    pub certificates: Option<String>,
    /// The time, in seconds since 1970.
    pub now: fn() -> i64,
}

/// The sandboxes of this machine, as the runtime port has them.
#[derive(Clone)]
pub struct LocalRuntime {
    options: LocalOptions,
}

/// A sandbox that runs.
pub(crate) struct Begun {
    pub(crate) sandbox: Arc<LocalSandbox>,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl LocalRuntime {
    /// Also removes what sandboxes left behind whose holder died.
    ///
    /// # Errors
    ///
    /// The state directory cannot be read or cleaned up.
    pub fn new(options: LocalOptions) -> Result<Self, StateError> {
        options.state.clean_up()?;
        Ok(Self { options })
    }

    fn checkpoints(&self) -> Checkpoints {
        Checkpoints::at(self.options.checkpoints.clone(), &self.options.state)
    }

    pub(crate) async fn begin(
        &self,
        spec: SandboxSpec<InForce>,
        restore: Option<&Checkpoint>,
    ) -> Result<Begun, Error> {
        spec.validate()?;
        let known = self.options.state.running().map_err(error::backend)?;
        if known.iter().any(|record| record.id == spec.id) {
            return Err(Error::Exists(spec.id));
        }
        let prepared = spec::prepare(&spec, &self.options)?;
        let checkpoints = self.checkpoints();
        let kept = match restore {
            Some(checkpoint) => Some((checkpoint, checkpoints.hold(checkpoint)?)),
            None => None,
        };
        let places = prepared.plan.places();
        let owner_of_pipes = prepared.owner_of_pipes();
        let description = Description {
            command: "-".to_owned(),
            started_at: (self.options.now)(),
        };
        let started = |error| error::start(&spec.id, error);
        let launching = prepared
            .launch(&self.options.state, description)
            .map_err(started)?;
        let (policy, in_force) = watch::channel(spec.network.policy.clone());
        let (flows, received) = mpsc::channel(limits::FLOWS_WAITING);
        let running = launching
            .serve(&self.options.egress, in_force, flows)
            .map_err(started)?;
        let running = match kept {
            Some((checkpoint, kept)) => restored(running, checkpoint, kept, &places).await?,
            None => running,
        };
        let (running, published) = publish(running, &spec.network.published_ports).await?;

        let (events, receiver) = mpsc::channel(EVENTS_WAITING);
        // The channel is empty and its reader is here.
        let _ = events.send(Event::Started).await;
        let sandbox = LocalSandbox::attend(Attended {
            running,
            published,
            flows: received,
            events,
            policy,
            has_authority: spec.network.policy.projections.may_have_credentials(),
            owner_of_pipes,
            limits: spec.limits,
            places,
            checkpoints,
        });
        Ok(Begun {
            sandbox,
            events: receiver,
        })
    }
}

impl From<Begun> for Running<InForce> {
    fn from(begun: Begun) -> Self {
        Self {
            sandbox: begun.sandbox,
            events: begun.events,
        }
    }
}

/// The optional verbs of one machine.
pub(crate) fn supports(verb: Verb) -> bool {
    match verb {
        Verb::ApplyPolicy | Verb::Connect | Verb::Terminal | Verb::Checkpoint => true,
        Verb::Adopt => false,
    }
}

/// The sandboxes of a state directory that run, by id.
pub(crate) fn list(state: &StateDirectory) -> Result<Vec<SandboxSummary>, Error> {
    let mut records = state.running().map_err(error::backend)?;
    records.sort_by(|a, b| a.id.cmp(&b.id));
    let summaries = records.into_iter().map(|record| SandboxSummary {
        id: record.id,
        environment: record.environment,
    });
    Ok(summaries.collect())
}

/// The sandbox with the files that were kept. After a failure nothing of the sandbox is left, and the files are kept still.
async fn restored(
    running: boot::Running,
    checkpoint: &Checkpoint,
    kept: Held,
    places: &[Place],
) -> Result<boot::Running, Error> {
    let made = bring_back(&running, checkpoint, &kept, places).await;
    match made.and_then(|()| Ok(kept.use_up()?)) {
        Ok(()) => Ok(running),
        Err(error) => {
            running.stop().await;
            Err(error)
        }
    }
}

async fn bring_back(
    running: &boot::Running,
    checkpoint: &Checkpoint,
    kept: &Held,
    places: &[Place],
) -> Result<(), Error> {
    let (work, places) = (ArchiveWork::BringBack, places.to_vec());
    let made = running.handle().archive(work, places, kept.archive()?);
    made.await
        .map_err(|error| match checkpoint::not_made(&error) {
            Some(CheckpointError::Damaged) => Error::CheckpointDamaged(checkpoint.clone()),
            Some(error) => error.into(),
            None => Error::Gone(running.id().clone()),
        })
}

/// After a failure nothing of the sandbox is left.
async fn publish(
    running: boot::Running,
    ports: &[u16],
) -> Result<(boot::Running, Published), Error> {
    match Published::offer(ports, running.handle()).await {
        Ok(published) => Ok((running, published)),
        Err((port, error)) => {
            running.stop().await;
            Err(error::port(port, &error))
        }
    }
}

impl Runtime for LocalRuntime {
    type Policy = InForce;

    fn supports(&self, verb: Verb) -> bool {
        supports(verb)
    }

    fn start(&self, spec: SandboxSpec<InForce>) -> BoxFuture<'_, Result<Running<InForce>, Error>> {
        Box::pin(async { self.begin(spec, None).await.map(Running::from) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<SandboxSummary>, Error>> {
        Box::pin(async { list(&self.options.state) })
    }

    fn adopt<'a>(&'a self, _id: &'a SandboxId) -> BoxFuture<'a, Result<Running<InForce>, Error>> {
        Box::pin(async { Err(Error::Unsupported(Verb::Adopt)) })
    }

    fn restore<'a>(
        &'a self,
        spec: SandboxSpec<InForce>,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<Running<InForce>, Error>> {
        Box::pin(async { self.begin(spec, Some(checkpoint)).await.map(Running::from) })
    }

    fn discard<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { self.checkpoints().discard(checkpoint) })
    }

    fn checkpoint_bytes<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async { self.checkpoints().bytes(checkpoint) })
    }
}
