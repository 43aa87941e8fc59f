//! Sandboxes of sessions: each session has at most one, made from what the session pinned.
//!
//! It is started when the session first needs it, kept when the session does nothing for a while, brought back on the next need, and ends with the
//! session or the server. One loop ([`Sandboxes::run`]) looks at every sandbox every [`SESSION_SANDBOX_LOOK`]: whether its session is still there,
//! whether the organization's floor or a credential has changed since (the sandbox then gets its policy anew), whether it is idle.
//!
//! What this must never do: let a sandbox run on under rules that it could not be given. A sandbox whose policy cannot be replaced is ended.

mod base;
mod basis;
pub(crate) mod error;
mod image;
mod outputs;
mod place;
mod repositories;
mod room;
mod untold;
mod uploads;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_model::limits::{
    SESSION_FILES_FREE_BYTES, SESSION_OUTPUT_TURNS, SESSION_OUTPUT_TURNS_OF_ORGANIZATION,
    SESSION_SANDBOX_IDLE, SESSION_SANDBOX_LOOK,
};
use bailiwick_model::{OrganizationId, SessionId};
use bailiwick_policy::InForce;
use bailiwick_runtime::{Error, Limits, Runtime};
use bailiwick_store::Session;
use bailiwick_tools::{Block, Context, Failure, ToolResult};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::engine::{Called, NoWorkplace, PortFuture, Workplaces};
use crate::shares::Shares;
use basis::Basis;
use error::SandboxError;
use place::{Hold, MadeOf, Place, Use, Wanted};
use room::Seen;
use untold::SANDBOX;
use uploads::Uploads;

pub(crate) use base::Revision;
pub use base::SessionImages;
pub(crate) use basis::Variable;
pub(crate) use image::{Declared, SessionImage, built};
pub use room::SandboxRoom;

/// A runtime of whatever backend, with its policy as `policy` has it.
pub type SandboxRuntime = Arc<dyn Runtime<Policy = InForce>>;

type Places = BTreeMap<SessionId, Arc<Place>>;

/// The sandboxes of this server's sessions.
#[derive(Clone)]
pub struct Sandboxes {
    control: Arc<Control>,
    runtime: SandboxRuntime,
    places: Arc<Mutex<Places>>,
    /// Held while a place is made for a session that has none.
    making: Arc<tokio::sync::Mutex<()>>,
    room: SandboxRoom,
    /// Where files of sessions are placed.
    uploads: Arc<Path>,
    /// What builds images, where that can be.
    images: Option<Arc<SessionImages>>,
    idle: Duration,
    /// What one may use.
    limits: Limits,
    /// What the file system keeps free where files are placed.
    free_bytes: u64,
    /// Who hands over what an agent left.
    outputs: Shares,
}

impl Sandboxes {
    /// None yet. The files of sessions are placed below `uploads`, which the runtime must be able to mount and which is made if it is not there.
    pub fn new(control: Arc<Control>, runtime: SandboxRuntime, uploads: &Path) -> Self {
        Self {
            control,
            runtime,
            places: Arc::default(),
            making: Arc::default(),
            room: SandboxRoom::default(),
            uploads: uploads.into(),
            images: None,
            idle: SESSION_SANDBOX_IDLE,
            limits: Limits::default(),
            free_bytes: SESSION_FILES_FREE_BYTES,
            outputs: Shares::new(SESSION_OUTPUT_TURNS, SESSION_OUTPUT_TURNS_OF_ORGANIZATION),
        }
    }

    /// With images of what environments declare, built like this.
    #[must_use]
    pub fn with_images(self, images: SessionImages) -> Self {
        Self {
            images: Some(Arc::new(images)),
            ..self
        }
    }

    /// With another time after which an idle sandbox is kept.
    #[must_use]
    pub fn with_idle_time(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// With this much room for all of them.
    #[must_use]
    pub fn with_room(self, room: SandboxRoom) -> Self {
        Self { room, ..self }
    }

    /// With these bounds of what one sandbox may use.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// With another number of bytes that the file system keeps free where files are placed.
    #[must_use]
    pub fn with_free_bytes(self, free_bytes: u64) -> Self {
        Self { free_bytes, ..self }
    }

    /// Looks after the sandboxes until it is stopped, and then ends them all. When this returns, none is left. One that takes its time keeps
    /// nobody from looking after the others. That of a session that was tightened is looked at as soon as that is heard of.
    pub async fn run(self, stop: CancellationToken) {
        let mut looking = JoinSet::new();
        let mut tightened = self.control.tightened.subscribe();
        let mut looks = tokio::time::interval(SESSION_SANDBOX_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = looks.tick() => {
                    for (session, place) in self.known() {
                        self.look_if_free(session, place, &mut looking);
                    }
                }
                heard = tightened.recv() => match heard {
                    Ok(session) => {
                        let place = self.places().get(&session).map(Arc::clone);
                        if let Some(place) = place {
                            self.look_at_once(session, place, &mut looking);
                        }
                    }
                    // Which ones, nobody knows any more. Its sender is the control's, so that it does not close.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => {
                        for (session, place) in self.known() {
                            self.look_at_once(session, place, &mut looking);
                        }
                    }
                }
            }
            while looking.try_join_next().is_some() {}
        }
        self.end_all().await;
    }

    /// Looks at one that nobody looks at or uses now: one that is being started reads what holds itself, and is looked at the next time.
    fn look_if_free(&self, session: SessionId, place: Arc<Place>, looking: &mut JoinSet<()>) {
        let Some(look) = place.look() else {
            return;
        };
        let sandboxes = self.clone();
        looking.spawn(async move {
            if let Some(hold) = place.try_hold() {
                sandboxes.look_after(&session, &place, hold).await;
            }
            drop(look);
        });
    }

    /// Looks at one, if need be once whoever changes it now is done.
    fn look_at_once(&self, session: SessionId, place: Arc<Place>, looking: &mut JoinSet<()>) {
        let sandboxes = self.clone();
        looking.spawn(async move {
            let hold = place.hold().await;
            sandboxes.look_after(&session, &place, hold).await;
        });
    }

    /// Ends all sandboxes. When this returns, none is left.
    pub async fn end_all(&self) {
        let mut ending = JoinSet::new();
        for (session, place) in self.known() {
            let sandboxes = self.clone();
            ending.spawn(async move { sandboxes.end(&session, &place).await });
        }
        ending.join_all().await;
    }

    async fn look_after(&self, session: &SessionId, place: &Arc<Place>, hold: Hold<'_>) {
        if let Err(error) = self.follow(session, place, hold).await {
            let error = error.for_the_log();
            tracing::warn!(%session, error, "the sandbox of a session cannot be looked after now");
        }
    }

    /// Ends, keeps or changes a sandbox, as its session, its use and what it was made from say.
    async fn follow(
        &self,
        session: &SessionId,
        place: &Arc<Place>,
        mut hold: Hold<'_>,
    ) -> Result<(), SandboxError> {
        // Read while nobody starts another one.
        let found = self.control.session_at_work(place.organization(), session);
        let found = match found.await {
            Ok(Some(found)) => found,
            Ok(None) => {
                drop(hold);
                self.end(session, place).await;
                return Ok(());
            }
            // Nobody knows what holds now: not for long.
            Err(error) => {
                hold.lose_if_stale().await;
                return Err(error.into());
            }
        };
        hold.forget_if_gone();
        hold.give_way(&self.runtime, &found).await;
        if hold.is_idle_for(self.idle) {
            hold.keep(&self.runtime).await?;
            drop(hold);
            self.give_up_what_is_too_much(place.organization()).await;
            return Ok(());
        }
        self.renew(&mut hold, &found).await
    }

    /// Puts what holds now in force, if it is another thing than before.
    async fn renew(&self, hold: &mut Hold<'_>, session: &Session) -> Result<(), SandboxError> {
        let Some(before) = hold.basis() else {
            return Ok(());
        };
        let session_organization = hold.organization().clone();
        let made = match self.control.basis(hold.organization(), session).await {
            Ok(now) if now == *before => {
                hold.is_renewed();
                return Ok(());
            }
            Ok(now) => {
                let placeholders = hold.placeholders();
                let in_force = self
                    .control
                    .in_force(&session_organization, &now, placeholders);
                in_force.await.map(|in_force| (now, in_force))
            }
            Err(error) => Err(error),
        };
        match made {
            Ok((now, in_force)) => hold.apply(now, in_force).await,
            // Nobody knows what holds now, or it cannot be made: not for long.
            Err(error) => {
                hold.lose_if_stale().await;
                Err(error)
            }
        }
    }

    async fn end(&self, session: &SessionId, place: &Arc<Place>) {
        place.hold_to_end().await.end(&self.runtime).await;
        let mut places = self.places();
        if places
            .get(session)
            .is_some_and(|known| Arc::ptr_eq(known, place))
        {
            places.remove(session);
        }
    }

    async fn begun(
        &self,
        place: &Place,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Use, SandboxError> {
        let used = {
            let mut hold = place.hold().await;
            hold.forget_if_gone();
            // Now: what whoever calls knows of it may be older than a sandbox on another server, or than what it was tightened by.
            let session = self.control.session_at_work(organization, session).await?;
            let session = session.ok_or(SandboxError::Ended)?;
            hold.give_way(&self.runtime, &session).await;
            if !hold.is_running() {
                self.start(&mut hold, &session).await?;
            }
            hold.take_up()?
        };
        // Others may change its policy, and end it, meanwhile.
        place.place_files(&self.control).await?;
        place.clone_missing(&used).await?;
        Ok(used)
    }

    async fn start(&self, hold: &mut Hold<'_>, session: &Session) -> Result<(), SandboxError> {
        let organization = hold.organization();
        let mut basis = self.control.basis(organization, session).await?;
        let image = self.image(organization, &basis, session).await?;
        if image.is_some() {
            // That may have taken minutes. What the image is made of stays; what the sandbox may do is what holds now.
            let now = self
                .control
                .session_at_work(organization, &session.id)
                .await?;
            let now = now.ok_or(SandboxError::Ended)?;
            basis = self.control.basis(organization, &now).await?;
        }
        let in_force = self
            .control
            .in_force(organization, &basis, hold.placeholders())
            .await?;
        hold.limit(self.limits);
        let made_of = MadeOf {
            basis,
            in_force,
            image,
        };
        let had_one = session.sandbox.is_some();
        hold.start(&self.control, &self.runtime, made_of, had_one)
            .await
    }

    /// The image of the environment's base, packages and project, if it declares any. Whoever waits for it holds the place.
    async fn image(
        &self,
        organization: &OrganizationId,
        basis: &Basis,
        session: &Session,
    ) -> Result<Option<SessionImage>, SandboxError> {
        if basis.declared.is_nothing() {
            return Ok(None);
        }
        let images = self.images.as_ref().ok_or(SandboxError::NoImages)?;
        let revision = Revision {
            organization,
            environment: &basis.environment_id,
            number: session.pins.environment_revision,
        };
        let (declared, floor) = (basis.declared.clone(), basis.floor().clone());
        let built = built(&self.control, images, declared, floor, revision);
        built.await.map(Some)
    }

    /// Where the sandbox of a session is, or will be. If there is no room for it, one that is at rest gives way.
    async fn place(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Wanted, SandboxError> {
        if let Some(place) = self.places().get(session) {
            return Ok(place.want());
        }
        // One at a time: of what gives way nothing is left before its session has another place.
        let mut making = Arc::clone(&self.making).lock_owned().await;
        loop {
            let gives_way = {
                let mut places = self.places();
                if let Some(place) = places.get(session) {
                    return Ok(place.want());
                }
                let gives_way = self.room.giving_way(&seen(&places), organization)?;
                let Some(other) = gives_way else {
                    let uploads = Uploads::new(&self.uploads, session, self.free_bytes);
                    let place = Place::new(organization.clone(), session.clone(), uploads);
                    let place = Arc::new(place);
                    let wanted = place.want();
                    places.insert(session.clone(), place);
                    return Ok(wanted);
                };
                places.remove(&other)
            };
            let Some(place) = gives_way else {
                continue;
            };
            let runtime = Arc::clone(&self.runtime);
            // Whoever stops waiting for it does not stop it in the middle.
            let ending = tokio::spawn(async move {
                place.hold_to_end().await.end(&runtime).await;
                making
            });
            making = ending.await.map_err(|_| SandboxError::CutOff)?;
        }
    }

    /// As long as what was kept of an organization takes more than it may, the oldest goes.
    async fn give_up_what_is_too_much(&self, organization: &OrganizationId) {
        loop {
            let place = {
                let places = self.places();
                let session = self.room.given_up(&seen(&places), organization);
                session.and_then(|session| places.get(&session).map(Arc::clone))
            };
            let Some(place) = place else {
                return;
            };
            place.hold().await.give_up(&self.runtime).await;
        }
    }

    fn known(&self) -> Vec<(SessionId, Arc<Place>)> {
        let places = self.places();
        let known = places.iter();
        known
            .map(|(session, place)| (session.clone(), Arc::clone(place)))
            .collect()
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_tool(
        &self,
        wanted: &Wanted,
        organization: &OrganizationId,
        session: &SessionId,
        call: Call<'_>,
    ) -> Result<ToolResult, SandboxError> {
        let Call {
            tool,
            input,
            context,
        } = call;
        let starting = {
            let (this, wanted) = (self.clone(), wanted.clone());
            let (organization, session) = (organization.clone(), session.clone());
            // Whoever stops waiting for a start does not stop it in the middle.
            tokio::spawn(async move { this.begun(wanted.place(), &organization, &session).await })
        };
        let started = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Ok(ToolResult {
                content: vec![Block::Text { text: "interrupted by the user".to_owned() }],
                is_error: true,
            }),
            started = starting => started.map_err(|_| SandboxError::CutOff)??,
        };
        let called = started.tools.call(tool, input, context).await;
        if let Err(Failure::Sandbox(Error::Gone(_))) = &called {
            started.is_gone();
        }
        Ok(called?)
    }
}

fn seen(places: &Places) -> Vec<Seen<'_>> {
    places.values().map(|place| place.seen()).collect()
}

/// A call of a tool.
struct Call<'a> {
    tool: &'a str,
    input: Value,
    context: &'a Context,
}

impl Workplaces for Sandboxes {
    fn call<'a>(
        &'a self,
        organization: &'a OrganizationId,
        session: &'a Session,
        tool: &'a str,
        input: Value,
        context: &'a Context,
    ) -> PortFuture<'a, Called> {
        Box::pin(async move {
            let wanted = match self.place(organization, &session.id).await {
                Ok(wanted) => wanted,
                Err(error) => return error.as_called(),
            };
            let place = wanted.place();
            let call = Call {
                tool,
                input,
                context,
            };
            let run = self.run_tool(&wanted, organization, &session.id, call);
            let outcome = run.await;
            match &outcome {
                Ok(_) => place.untold().is_well(SANDBOX),
                Err(error) => {
                    tracing::warn!(session = %session.id, error = %error.for_the_log(), "a tool cannot be run");
                    if let Some(failure) = error.failure() {
                        place.untold().failed(SANDBOX, failure);
                    }
                }
            }
            let told = place.untold().take().told();
            Called {
                outcome: match outcome {
                    Ok(mut result) => {
                        let notices = told.notices.into_iter();
                        let notices = notices.map(|text| Block::Text { text });
                        result.content.extend(notices);
                        Ok(result)
                    }
                    Err(error) => {
                        let words = std::iter::once(error.to_string()).chain(told.notices);
                        let words = words.collect::<Vec<_>>().join("\n");
                        Err(NoWorkplace::Failed(words))
                    }
                },
                failures: told.failures,
            }
        })
    }

    /// What is to be handed over is. When the sandbox was last used says when it is idle.
    fn rest<'a>(
        &'a self,
        _organization: &'a OrganizationId,
        session: &'a Session,
    ) -> PortFuture<'a, ()> {
        Box::pin(async {
            let place = self.places().get(&session.id).map(Arc::clone);
            let Some(place) = place else {
                return;
            };
            let handing = {
                let mut hold = place.hold().await;
                hold.forget_if_gone();
                hold.handing()
            };
            let Some(handing) = handing else {
                return;
            };
            let _share = self.outputs.wait(place.organization()).await;
            if let Err(error) = place.hand_over(&self.control, handing).await {
                tracing::warn!(session = %session.id, error = %error.for_the_log(), "the outputs of a session cannot be handed over");
            }
        })
    }
}

/// The tools of sessions on a server that runs no sandboxes: none.
pub struct WithoutSandboxes;

impl Workplaces for WithoutSandboxes {
    fn call<'a>(
        &'a self,
        _organization: &'a OrganizationId,
        _session: &'a Session,
        _tool: &'a str,
        _input: Value,
        _context: &'a Context,
    ) -> PortFuture<'a, Called> {
        Box::pin(async { Err(NoWorkplace::NoSandboxes).into() })
    }

    fn rest<'a>(
        &'a self,
        _organization: &'a OrganizationId,
        _session: &'a Session,
    ) -> PortFuture<'a, ()> {
        Box::pin(async {})
    }
}
