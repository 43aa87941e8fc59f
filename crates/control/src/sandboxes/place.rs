//! The sandbox of one session, from its start to its end.

mod at_rest;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use bailiwick_model::limits::{
    SESSION_SANDBOX_DISK_BYTES, SESSION_SANDBOX_GRACE, SESSION_SANDBOX_STALE, SESSION_SHELL_SAVE,
};
use bailiwick_model::{
    CredentialId, OrganizationId, ResourceId as _, SandboxId, SessionId, SessionResourceId,
};
use bailiwick_policy::{InForce, Placeholder};
use bailiwick_runtime::{Checkpoint, Error, Limits, Mount, Running, Sandbox, SandboxSpec, Verb};
use bailiwick_store::Session;
use bailiwick_tools::{Denials, Options, Toolset};
use bailiwick_wire::RetryStatus;
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::SandboxRuntime;
use super::basis::Basis;
use super::error::SandboxError;
use super::image::SessionImage;
use super::outputs::Outputs;
use super::repositories::Repository;
use super::room::Content;
use super::untold::{CHECKPOINT, Untold, unknown};
use super::uploads::Uploads;
use crate::control::Control;
use crate::error::ControlError;
use crate::flows::FlowsOf;
use crate::flows::journal::{self, Journal};
use crate::fresh;
use at_rest::Kept;

pub(super) use at_rest::Wanted;

/// Where work begins inside.
const DIRECTORY: &str = "/workspace";
/// Where the shell is kept over a checkpoint.
const SHELL_STATE: &str = "/home/agent/.bailiwick-shell";
/// What a model is told of a sandbox that is another one than before.
const STARTED_ANEW: &str = "[the sandbox of this session was lost and has been started anew: files and programs of before are gone]";
/// What the session is told of what was kept of a sandbox and is not what was written any more.
const DAMAGED: &str = "what was kept of the session's sandbox is damaged, so that its files are lost: the sandbox has been started anew";

/// Where the sandbox of a session is.
pub(super) struct Place {
    organization: OrganizationId,
    session: SessionId,
    /// Repositories that are there. It is held while others are cloned, which is not to hold up anything else.
    cloned: Mutex<BTreeSet<SessionResourceId>>,
    /// Its files. They are held while they are copied, which takes as long as there are many, and a policy is not to wait for it.
    uploads: Mutex<Uploads>,
    /// Nothing is copied any more.
    is_over: CancellationToken,
    /// What was handed over. It is held while more is: a program decides how long that takes, and a policy is not to wait for it.
    outputs: Mutex<Outputs>,
    /// One place, for whoever looks after it.
    looking: Arc<Semaphore>,
    /// Each call that wants it has one.
    wanted: Arc<()>,
    /// What was in it when it was last let go, for whoever looks for room.
    content: std::sync::Mutex<Content>,
    /// What is to be told with the next result.
    untold: Untold,
    state: Mutex<State>,
}

struct State {
    live: Option<Live>,
    kept: Option<Kept>,
    /// How often in a row the one that runs could not be kept.
    failed_keeps: u32,
    /// They stay the same as long as the session has its place, so that what was kept finds them again.
    placeholders: BTreeMap<CredentialId, Placeholder>,
    has_ended: bool,
    limits: Limits,
}

/// A sandbox that runs.
struct Live {
    sandbox: Arc<dyn Sandbox<Policy = InForce>>,
    tools: Arc<Toolset>,
    basis: Basis,
    _image: Option<SessionImage>,
    journal: Journal,
    /// It has stopped by itself.
    gone: CancellationToken,
    used: Instant,
    /// When it was last known that what is in force is what holds.
    renewed: Instant,
    /// Each call has one.
    calls: Arc<()>,
}

/// What a sandbox is made of.
pub(super) struct MadeOf {
    pub(super) basis: Basis,
    pub(super) in_force: InForce,
    pub(super) image: Option<SessionImage>,
}

/// A sandbox that has just begun.
struct Begun {
    running: Running<InForce>,
    /// It has nothing of an earlier one.
    is_new: bool,
    /// There is a shell to go on with.
    has_shell: bool,
}

/// A sandbox that is used.
pub(super) struct Use {
    pub(super) tools: Arc<Toolset>,
    gone: CancellationToken,
    sandbox: Arc<dyn Sandbox<Policy = InForce>>,
    repositories: Vec<Repository>,
    _call: Arc<()>,
}

impl Use {
    /// Whoever called a tool was told that the sandbox is gone, which its events may tell later: flows come before.
    pub(super) fn is_gone(&self) {
        self.gone.cancel();
    }
}

/// A sandbox whose outputs are handed over; it is not idle meanwhile.
pub(super) struct Handing {
    sandbox: Arc<dyn Sandbox<Policy = InForce>>,
    _call: Arc<()>,
}

/// A place that nobody else changes.
pub(super) struct Hold<'a> {
    place: &'a Place,
    state: MutexGuard<'a, State>,
}

impl Place {
    pub(super) fn new(organization: OrganizationId, session: SessionId, uploads: Uploads) -> Self {
        let state = State {
            live: None,
            kept: None,
            failed_keeps: 0,
            placeholders: BTreeMap::new(),
            has_ended: false,
            limits: Limits::default(),
        };
        Self {
            organization,
            session,
            cloned: Mutex::default(),
            is_over: uploads.is_over(),
            uploads: Mutex::new(uploads),
            outputs: Mutex::default(),
            looking: Arc::new(Semaphore::new(1)),
            wanted: Arc::default(),
            content: std::sync::Mutex::new(Content::Nothing),
            untold: Untold::default(),
            state: Mutex::new(state),
        }
    }

    /// Whoever looks after it, if nobody does.
    pub(super) fn look(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.looking).try_acquire_owned().ok()
    }

    pub(super) fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    /// Whose the flows of its sandbox are.
    fn whose(&self, basis: &Basis) -> FlowsOf {
        FlowsOf {
            organization: self.organization.clone(),
            session: Some(self.session.clone()),
            environment: basis.environment_id.clone(),
        }
    }

    pub(super) async fn hold(&self) -> Hold<'_> {
        Hold {
            place: self,
            state: self.state.lock().await,
        }
    }

    /// Whoever ends it does not wait for what is being copied.
    pub(super) async fn hold_to_end(&self) -> Hold<'_> {
        self.is_over.cancel();
        self.hold().await
    }

    pub(super) fn untold(&self) -> &Untold {
        &self.untold
    }

    /// Places the files that the session has now. Others may change the sandbox, and end it, meanwhile.
    pub(super) async fn place_files(&self, control: &Control) -> Result<Mount, SandboxError> {
        let mut uploads = self.uploads.lock().await;
        let (organization, session) = (&self.organization, &self.session);
        uploads.follow(control, organization, session).await?;
        Ok(uploads.mount())
    }

    /// Clones repositories that are not there yet. What cannot be cloned is told.
    pub(super) async fn clone_missing(&self, used: &Use) -> Result<(), SandboxError> {
        if used.repositories.is_empty() {
            return Ok(());
        }
        let mut cloned = self.cloned.lock().await;
        for repository in &used.repositories {
            if cloned.contains(&repository.id) {
                continue;
            }
            match repository.clone_into(&*used.sandbox).await? {
                Ok(()) => {
                    cloned.insert(repository.id.clone());
                    self.untold.is_well(repository.id.as_str());
                }
                Err(problem) => {
                    self.untold.notice(repository.told(problem));
                    let id = repository.id.as_str();
                    self.untold.failed(id, repository.failure(problem));
                }
            }
        }
        Ok(())
    }

    /// Hands over what the agent put into its outputs. Others may change the sandbox, and end it, meanwhile.
    pub(super) async fn hand_over(
        &self,
        control: &Control,
        handing: Handing,
    ) -> Result<(), SandboxError> {
        let mut outputs = self.outputs.lock().await;
        let (organization, session) = (&self.organization, &self.session);
        let handed = outputs.follow(control, organization, session, &*handing.sandbox);
        let handed = handed.await;
        if let Err(error) = &handed {
            self.untold.notice(format!("[{error}]"));
        }
        handed
    }

    pub(super) fn try_hold(&self) -> Option<Hold<'_>> {
        let state = self.state.try_lock().ok()?;
        Some(Hold { place: self, state })
    }
}

impl<'a> Hold<'a> {
    pub(super) fn organization(&self) -> &'a OrganizationId {
        &self.place.organization
    }

    /// What the sandbox that runs was made from.
    pub(super) fn basis(&self) -> Option<&Basis> {
        self.state.live.as_ref().map(|live| &live.basis)
    }

    pub(super) fn placeholders(&mut self) -> &mut BTreeMap<CredentialId, Placeholder> {
        &mut self.state.placeholders
    }

    /// A sandbox that has stopped by itself is none.
    pub(super) fn forget_if_gone(&mut self) {
        let is_gone = self
            .state
            .live
            .as_ref()
            .is_some_and(|live| live.gone.is_cancelled());
        if is_gone {
            self.state.live = None;
        }
    }

    /// Ends and forgets what is here of the session, if its sandbox was started elsewhere since then: it has one.
    pub(super) async fn give_way(&mut self, runtime: &SandboxRuntime, session: &Session) {
        let counts = session.sandbox.as_ref();
        let is_other = |id: &SandboxId| Some(id) != counts;
        if let Some(live) = self.state.live.take_if(|live| is_other(live.sandbox.id())) {
            live.stop().await;
        }
        if let Some(kept) = self.state.kept.take_if(|kept| is_other(&kept.sandbox)) {
            discard(runtime, &kept.checkpoint).await;
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.state.live.is_some()
    }

    /// The sandbox that runs.
    pub(super) fn take_up(&mut self) -> Result<Use, SandboxError> {
        let live = self.state.live.as_mut().ok_or(SandboxError::Ended)?;
        live.used = Instant::now();
        let call = Arc::clone(&live.calls);
        Ok(Use {
            tools: Arc::clone(&live.tools),
            gone: live.gone.clone(),
            sandbox: Arc::clone(&live.sandbox),
            repositories: live.basis.repositories.clone(),
            _call: call,
        })
    }

    /// What the next one may use.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.state.limits = limits;
    }

    /// What is in force is what holds now.
    pub(super) fn is_renewed(&mut self) {
        if let Some(live) = &mut self.state.live {
            live.renewed = Instant::now();
        }
    }

    /// Ends a sandbox of which nobody has known for long what holds for it.
    pub(super) async fn lose_if_stale(&mut self) {
        let Some(live) = &self.state.live else {
            return;
        };
        if live.renewed.elapsed() < SESSION_SANDBOX_STALE {
            return;
        }
        live.stop().await;
        self.state.live = None;
    }

    /// The sandbox that runs, for whoever hands over what is in it.
    pub(super) fn handing(&self) -> Option<Handing> {
        let live = self.state.live.as_ref()?;
        Some(Handing {
            sandbox: Arc::clone(&live.sandbox),
            _call: Arc::clone(&live.calls),
        })
    }

    /// Starts it, or brings back what was kept of it. `had_one` says that the session had a sandbox before, here or elsewhere.
    pub(super) async fn start(
        &mut self,
        control: &Arc<Control>,
        runtime: &SandboxRuntime,
        made_of: MadeOf,
        had_one: bool,
    ) -> Result<(), SandboxError> {
        let MadeOf {
            basis,
            in_force,
            image,
        } = made_of;
        if self.state.has_ended {
            return Err(SandboxError::Ended);
        }
        // It is mounted; and nothing runs yet.
        let uploads = self.place.place_files(control).await?;
        let variables = basis.variables(&self.state.placeholders);
        let unreachable = basis.unreachable(&in_force.policy);
        let spec = SandboxSpec {
            environment: Some(basis.environment.clone()),
            ..self.spec(in_force, &variables, uploads, image.as_ref())
        };
        let Begun {
            running,
            is_new,
            has_shell,
        } = self.begin(runtime, spec).await?;
        let Running { sandbox, events } = running;
        if let Err(error) = self.note(control, sandbox.id()).await {
            stop(&*sandbox).await;
            return Err(error);
        }
        if is_new && had_one {
            self.place.untold.notice(STARTED_ANEW.to_owned());
        }
        for (credential, failure) in unreachable {
            self.place.untold.failed(credential.as_str(), failure);
        }
        let (denials, gone) = (Arc::new(Denials::default()), CancellationToken::new());
        let whose = self.place.whose(&basis);
        let (flows, journal) = Journal::begin(Arc::clone(control), whose);
        tokio::spawn(journal::attend(events, Arc::clone(&denials), flows));
        tokio::spawn(tell_end(Arc::clone(&sandbox), gone.clone()));
        let options = Options {
            variables,
            denials,
            ..Options::new(DIRECTORY)
        };
        let tools = Arc::new(Toolset::new(Arc::clone(&sandbox), options));
        if has_shell {
            // Without it the shell begins anew, and says so itself.
            tools.restore_state(Path::new(SHELL_STATE)).await;
        }
        self.state.live = Some(Live {
            sandbox,
            tools,
            basis,
            _image: image,
            journal,
            gone,
            used: Instant::now(),
            renewed: Instant::now(),
            calls: Arc::default(),
        });
        Ok(())
    }

    fn spec(
        &self,
        in_force: InForce,
        variables: &[(String, String)],
        uploads: Mount,
        image: Option<&SessionImage>,
    ) -> SandboxSpec<InForce> {
        let id = SandboxId::from_random(u64::from_ne_bytes(fresh::random()));
        let mut spec = SandboxSpec::new(id, in_force);
        spec.mounts = vec![uploads, Outputs::mount()];
        if let Some(image) = image {
            spec.image = image.image.clone();
            spec.mounts.extend(image.project.clone());
        }
        let text = |(name, value): &(String, String)| (OsString::from(name), OsString::from(value));
        spec.env = variables.iter().map(text).collect();
        spec.limits = self.state.limits;
        spec
    }

    /// From here on this sandbox is the session's, and no other one.
    async fn note(&self, control: &Control, sandbox: &SandboxId) -> Result<(), SandboxError> {
        let Place {
            organization,
            session,
            ..
        } = self.place;
        let noted = control.store.note_sandbox(organization, session, sandbox);
        if noted.await.map_err(ControlError::from)? {
            Ok(())
        } else {
            Err(SandboxError::Ended)
        }
    }

    async fn begin(
        &mut self,
        runtime: &SandboxRuntime,
        spec: SandboxSpec<InForce>,
    ) -> Result<Begun, Error> {
        if let Some(kept) = self.state.kept.take() {
            match runtime.restore(spec.clone(), &kept.checkpoint).await {
                Ok(running) => {
                    return Ok(Begun {
                        running,
                        is_new: false,
                        has_shell: kept.has_shell,
                    });
                }
                Err(Error::CheckpointNotFound(_)) => {}
                // It is as damaged the next time.
                Err(error @ Error::CheckpointDamaged(_)) => {
                    tracing::error!(session = %self.place.session, %error, "what was kept of a sandbox is lost");
                    discard(runtime, &kept.checkpoint).await;
                    let failure = unknown(DAMAGED.to_owned(), RetryStatus::Terminal);
                    self.place.untold.failed(CHECKPOINT, failure);
                }
                Err(error) => {
                    self.state.kept = Some(kept);
                    return Err(error);
                }
            }
        }
        self.place.cloned.lock().await.clear();
        Ok(Begun {
            running: runtime.start(spec).await?,
            is_new: true,
            has_shell: false,
        })
    }

    async fn try_to_keep(&mut self, runtime: &SandboxRuntime) -> Result<(), SandboxError> {
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        live.used = Instant::now();
        if !runtime.supports(Verb::Checkpoint) {
            return Ok(());
        }
        let has_shell = live.save_shell().await?;
        let sandbox = live.sandbox.id().clone();
        live.journal.hurry(true);
        let checkpoint = live.sandbox.checkpoint().await;
        live.journal.hurry(checkpoint.is_ok());
        let checkpoint = checkpoint?;
        let bytes = runtime.checkpoint_bytes(&checkpoint).await;
        self.place.untold.is_well(CHECKPOINT);
        self.state.live = None;
        self.state.kept = Some(Kept {
            sandbox,
            checkpoint,
            has_shell,
            since: Instant::now(),
            // One that cannot be looked at counts as a large one.
            bytes: bytes.unwrap_or(SESSION_SANDBOX_DISK_BYTES),
        });
        Ok(())
    }

    /// Puts other rules in force; a sandbox that cannot have them is ended.
    pub(super) async fn apply(
        &mut self,
        basis: Basis,
        in_force: InForce,
    ) -> Result<(), SandboxError> {
        let Some(live) = &mut self.state.live else {
            return Ok(());
        };
        match live.sandbox.apply_policy(in_force).await {
            Ok(()) => {
                live.basis = basis;
                live.renewed = Instant::now();
                Ok(())
            }
            Err(error) => {
                live.journal.hurry(true);
                let stopped = live.sandbox.stop(SESSION_SANDBOX_GRACE).await;
                self.state.live = None;
                stopped?;
                Err(error.into())
            }
        }
    }

    /// Nothing is left of it, and nothing will be started here any more.
    pub(super) async fn end(&mut self, runtime: &SandboxRuntime) {
        self.state.has_ended = true;
        if let Some(live) = self.state.live.take() {
            live.stop().await;
            live.journal.last().await;
        }
        if let Some(kept) = self.state.kept.take() {
            discard(runtime, &kept.checkpoint).await;
        }
        self.place.uploads.lock().await.remove().await;
    }
}

impl Live {
    /// What runs in the shell decides whether it answers, and whoever changes a policy waits meanwhile.
    async fn save_shell(&self) -> Result<bool, SandboxError> {
        let saved = self.tools.save_state(Path::new(SHELL_STATE));
        let saved = timeout(SESSION_SHELL_SAVE, saved).await;
        Ok(saved.unwrap_or(Ok(false))?)
    }

    async fn stop(&self) {
        self.journal.hurry(true);
        stop(&*self.sandbox).await;
    }
}

async fn stop(sandbox: &dyn Sandbox<Policy = InForce>) {
    if let Err(error) = sandbox.stop(SESSION_SANDBOX_GRACE).await {
        tracing::warn!(sandbox = %sandbox.id(), %error, "a sandbox has not ended as it should");
    }
}

async fn discard(runtime: &SandboxRuntime, checkpoint: &Checkpoint) {
    if let Err(error) = runtime.discard(checkpoint).await {
        tracing::warn!(%checkpoint, %error, "what was kept of a sandbox cannot be removed");
    }
}

/// Flows that wait for a database that is away do not hold this up.
async fn tell_end(sandbox: Arc<dyn Sandbox<Policy = InForce>>, gone: CancellationToken) {
    sandbox.gone().await;
    gone.cancel();
}
