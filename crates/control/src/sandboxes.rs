//! Sandboxes of sessions: each session has at most one, made from what the session pinned.
//!
//! It is started when the session first needs it, kept when the session does nothing for a while, brought back on the next need, and ends with the
//! session or the server. One loop ([`Sandboxes::run`]) looks at every sandbox every [`SESSION_SANDBOX_LOOK`]: whether its session is still there,
//! whether the organization's floor or a credential has changed since (the sandbox then gets its policy anew), whether it is idle.
//!
//! What this must never do: let a sandbox run on under rules that it could not be given. A sandbox whose policy cannot be replaced is ended.

mod basis;
mod error;
mod image;
mod journal;
mod outputs;
mod place;
mod repositories;
mod uploads;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_images::Builder;
use bailiwick_model::limits::{SESSION_SANDBOX_IDLE, SESSION_SANDBOX_LOOK, SESSION_SANDBOXES};
use bailiwick_model::{OrganizationId, SessionId};
use bailiwick_policy::InForce;
use bailiwick_runtime::{Limits, Runtime};
use bailiwick_store::Session;
use bailiwick_tools::{Block, Context, ToolResult};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::engine::{NoWorkplace, PortFuture, Workplaces};
use basis::Basis;
use error::SandboxError;
use image::SessionImage;
use place::{Hold, Place, Use};

/// A runtime of whatever backend, with its policy as `policy` has it.
pub type SandboxRuntime = Arc<dyn Runtime<Policy = InForce>>;

/// The sandboxes of this server's sessions.
#[derive(Clone)]
pub struct Sandboxes {
    control: Arc<Control>,
    runtime: SandboxRuntime,
    places: Arc<Mutex<BTreeMap<SessionId, Arc<Place>>>>,
    /// Where files of sessions are placed.
    uploads: Arc<Path>,
    /// What builds images, where that can be.
    builder: Option<Arc<Builder>>,
    idle: Duration,
    /// What one may use.
    limits: Limits,
}

impl Sandboxes {
    /// None yet. The files of sessions are placed below `uploads`, which the runtime must be able to mount and which is made if it is not there.
    pub fn new(control: Arc<Control>, runtime: SandboxRuntime, uploads: &Path) -> Self {
        Self {
            control,
            runtime,
            places: Arc::default(),
            uploads: uploads.into(),
            builder: None,
            idle: SESSION_SANDBOX_IDLE,
            limits: Limits::default(),
        }
    }

    /// With images of what environments declare, built like this.
    #[must_use]
    pub fn with_images(self, builder: Builder) -> Self {
        Self {
            builder: Some(Arc::new(builder)),
            ..self
        }
    }

    /// With another time after which an idle sandbox is kept.
    #[must_use]
    pub fn with_idle_time(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// With these bounds of what one sandbox may use.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Looks after the sandboxes until it is stopped, and then ends them all. When this returns, none is left. One that takes its time keeps
    /// nobody from looking after the others.
    pub async fn run(self, stop: CancellationToken) {
        let mut looking = JoinSet::new();
        while !stop.is_cancelled() {
            for (session, place) in self.known() {
                let Some(look) = place.look() else {
                    continue;
                };
                let sandboxes = self.clone();
                looking.spawn(async move {
                    if let Err(error) = sandboxes.look_after(&session, &place).await {
                        tracing::warn!(%session, %error, "the sandbox of a session cannot be looked after now");
                    }
                    drop(look);
                });
            }
            while looking.try_join_next().is_some() {}
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(SESSION_SANDBOX_LOOK) => {}
            }
        }
        self.end_all().await;
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

    /// Ends, keeps or changes a sandbox, as its session, its use and what it was made from say.
    async fn look_after(
        &self,
        session: &SessionId,
        place: &Arc<Place>,
    ) -> Result<(), SandboxError> {
        let found = self
            .control
            .session_at_work(place.organization(), session)
            .await?;
        let Some(found) = found else {
            self.end(session, place).await;
            return Ok(());
        };
        // One that is being started reads what holds itself, and is looked at the next time.
        let Some(mut hold) = place.try_hold() else {
            return Ok(());
        };
        hold.forget_if_gone();
        if hold.is_idle_for(self.idle) {
            return hold.keep(&self.runtime).await;
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
        place.hold().await.end(&self.runtime).await;
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
        organization: &OrganizationId,
        session: &Session,
    ) -> Result<Use, SandboxError> {
        let place = self.place(organization, &session.id)?;
        let mut used = {
            let mut hold = place.hold().await;
            hold.forget_if_gone();
            if !hold.is_running() {
                self.start(&mut hold, session).await?;
            }
            hold.take_up(&self.control).await?
        };
        // Others may change its policy meanwhile.
        place.clone_missing(&mut used).await?;
        Ok(used)
    }

    async fn start(&self, hold: &mut Hold<'_>, session: &Session) -> Result<(), SandboxError> {
        let organization = hold.organization();
        let basis = self.control.basis(organization, session).await?;
        let in_force = self
            .control
            .in_force(organization, &basis, hold.placeholders())
            .await?;
        let image = self.image(organization, &basis).await?;
        hold.limit(self.limits);
        hold.start(&self.control, &self.runtime, basis, in_force, image)
            .await
    }

    /// The image of the environment's packages, if it declares any. Whoever waits for it holds the place.
    async fn image(
        &self,
        organization: &OrganizationId,
        basis: &Basis,
    ) -> Result<Option<SessionImage>, SandboxError> {
        if basis.packages.is_empty() {
            return Ok(None);
        }
        let builder = self.builder.as_ref().ok_or(SandboxError::NoImages)?;
        let built = image::built(builder, organization, basis.packages.clone());
        built.await.map(Some)
    }

    /// Where the sandbox of a session is, or will be.
    fn place(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Arc<Place>, SandboxError> {
        let mut places = self.places();
        if let Some(place) = places.get(session) {
            return Ok(Arc::clone(place));
        }
        if places.len() >= SESSION_SANDBOXES {
            return Err(SandboxError::Full);
        }
        let place = Arc::new(Place::new(
            organization.clone(),
            session.clone(),
            &self.uploads,
        ));
        places.insert(session.clone(), Arc::clone(&place));
        Ok(place)
    }

    fn known(&self) -> Vec<(SessionId, Arc<Place>)> {
        let places = self.places();
        let known = places.iter();
        known
            .map(|(session, place)| (session.clone(), Arc::clone(place)))
            .collect()
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_tool(
        &self,
        organization: &OrganizationId,
        session: &Session,
        tool: &str,
        input: Value,
        context: &Context,
    ) -> Result<ToolResult, SandboxError> {
        let (this, organization, session) = (self.clone(), organization.clone(), session.clone());
        // Whoever stops waiting for a start does not stop it in the middle.
        let starting = tokio::spawn(async move { this.begun(&organization, &session).await });
        let started = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Ok(ToolResult {
                content: vec![Block::Text { text: "interrupted by the user".to_owned() }],
                is_error: true,
            }),
            started = starting => started.map_err(|_| SandboxError::CutOff)??,
        };
        let mut result = started.tools.call(tool, input, context).await?;
        let notices = started.notices.into_iter();
        let notices = notices.map(|text| Block::Text { text });
        result.content.extend(notices);
        Ok(result)
    }
}

impl Workplaces for Sandboxes {
    fn call<'a>(
        &'a self,
        organization: &'a OrganizationId,
        session: &'a Session,
        tool: &'a str,
        input: Value,
        context: &'a Context,
    ) -> PortFuture<'a, Result<ToolResult, NoWorkplace>> {
        Box::pin(async move {
            let run = self.run_tool(organization, session, tool, input, context);
            run.await.map_err(|error| {
                tracing::warn!(session = %session.id, error = %error.for_the_log(), "a tool cannot be run");
                NoWorkplace::Failed(error.to_string())
            })
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
            let mut hold = place.hold().await;
            hold.forget_if_gone();
            if let Err(error) = hold.hand_over(&self.control).await {
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
    ) -> PortFuture<'a, Result<ToolResult, NoWorkplace>> {
        Box::pin(async { Err(NoWorkplace::NoSandboxes) })
    }

    fn rest<'a>(
        &'a self,
        _organization: &'a OrganizationId,
        _session: &'a Session,
    ) -> PortFuture<'a, ()> {
        Box::pin(async {})
    }
}
