//! Agents at work: what comes next in a session, and what is done about it.
//!
//! What was stored decides, and nothing else: [`history::History`] is made of the events of a session, [`history::History::next`] says what comes
//! next, [`conversation`] what the model is asked. These are pure, so whoever takes a session over goes on where it was. [`runner::Runner`] does
//! what comes next, and [`Engine`] takes the sessions that have something to do and nobody.

mod agent;
mod asking;
mod conversation;
mod failing;
mod history;
mod mcp;
mod mcp_news;
mod mcp_tools;
mod models;
mod ports;
mod reading;
mod runner;
mod web;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_fetch::Web;
use bailiwick_model::SessionThreadId;
use bailiwick_model::limits::{ENGINE_LOOK, RUN_LEASE, SESSIONS_AT_WORK};
use bailiwick_store::{SessionRun, StoreError};
use bailiwick_wire::{RetryStatus, SessionErrorKind};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::control::Control;
use crate::engine_places::Claimed;
use crate::error::ControlError;
use crate::fresh;
use crate::session_engine::{ThreadStep, TurnReport};
use failing::failure;
use mcp::McpClients;

pub use models::Models;
pub use ports::{Called, NoWorkplace, PortFuture, Workplaces};
pub(crate) use runner::told as failed;
use runner::{Left, Runner};

/// Runs sessions.
pub struct Engine {
    shared: Arc<Shared>,
    /// What it is called where it holds sessions.
    holder: String,
}

/// What all sessions at work share.
pub(crate) struct Shared {
    pub(crate) control: Arc<Control>,
    pub(crate) models: Models,
    pub(crate) workplaces: Arc<dyn Workplaces>,
    /// Of MCP servers.
    pub(crate) mcp: McpClients,
    /// What fetches pages, if anything does.
    pub(crate) web: Option<Web>,
}

impl Engine {
    /// An engine that has not begun. Without `web`, agents have no `web_fetch`.
    pub fn new(
        control: Arc<Control>,
        models: Models,
        workplaces: Arc<dyn Workplaces>,
        web: Option<Web>,
    ) -> Self {
        let random: [u8; 8] = fresh::random();
        let holder = u64::from_ne_bytes(random);
        Self {
            shared: Arc::new(Shared {
                control,
                models,
                workplaces,
                mcp: McpClients::default(),
                web,
            }),
            holder: format!("engine-{holder:016x}"),
        }
    }

    /// Takes sessions and runs them, until it is stopped; sessions that are at work then are given back, to be taken up by another engine, or the
    /// next start.
    pub async fn run(self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(SESSIONS_AT_WORK));
        let working = TaskTracker::new();
        let offered = &self.shared.control.engine_places;
        let (open, mut claimed) = offered.open(&self.holder, &places);
        let serve_claimed = async {
            while let Some(claimed) = claimed.recv().await {
                self.serve(claimed, &working, &stop);
            }
        };
        let close = async {
            stop.cancelled().await;
            drop(open);
        };
        let look = async {
            while !stop.is_cancelled() {
                if let Err(error) = self.take_sessions(&places, &working, &stop).await {
                    tracing::warn!(%error, "sessions cannot be taken up now");
                }
                self.shared.end_idle_mcp_sessions();
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.shared.control.session_begun(ENGINE_LOOK) => {}
                }
            }
        };
        tokio::join!(serve_claimed, look, close);
        working.close();
        working.wait().await;
    }

    /// Takes those that there is something to do in and nobody does it.
    async fn take_sessions(
        &self,
        places: &Arc<Semaphore>,
        working: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), ControlError> {
        let control = &self.shared.control;
        let free = u32::try_from(places.available_permits()).unwrap_or(u32::MAX);
        for (organization, session) in control.sessions_to_run(free).await? {
            let Ok(permit) = Arc::clone(places).try_acquire_owned() else {
                return Ok(());
            };
            if stop.is_cancelled() {
                return Ok(());
            }
            let claimed = control.claim_session(&organization, &session, &self.holder);
            let Some(run) = claimed.await? else {
                continue;
            };
            self.serve(Claimed { run, permit }, working, stop);
        }
        Ok(())
    }

    fn serve(&self, claimed: Claimed, working: &TaskTracker, stop: &CancellationToken) {
        let (shared, stop) = (Arc::clone(&self.shared), stop.clone());
        let Claimed { run, permit } = claimed;
        working.spawn(async move {
            serve(shared, run, stop).await;
            drop(permit);
        });
    }
}

/// Runs a session for as long as it is this server's.
async fn serve(shared: Arc<Shared>, run: SessionRun, stop: CancellationToken) {
    let control = Arc::clone(&shared.control);
    let session = run.session.clone();
    let working = async {
        let runner = Runner::begin(Arc::clone(&shared), run.clone()).await?;
        runner.go().await
    };
    let left = tokio::select! {
        left = working => left,
        () = keep(&control, &run) => Ok(Left::Lost),
        () = stop.cancelled() => match control.release_session(&run).await {
            Ok(()) => Ok(Left::Lost),
            Err(error) => Err(error),
        },
    };
    match left {
        // It is nobody's by now: what is handed over of its sandbox takes its time.
        Ok(Left::AtRest(session)) => {
            shared.workplaces.rest(&run.organization, &session).await;
        }
        Ok(Left::Lost) => {}
        Err(error) if is_unreadable(&error) => {
            tracing::error!(%session, error = %causes(&error), "a session cannot be read");
            end_unreadable(&control, &run).await;
        }
        // Its lease ends, and it is taken up again.
        Err(error) => tracing::warn!(%session, %error, "a session cannot be run now"),
    }
}

/// Whether what is stored is not what can be read, which it will not be the next time either.
fn is_unreadable(error: &ControlError) -> bool {
    matches!(error, ControlError::Store(StoreError::Corrupt { .. }))
}

/// An error with its causes, for the log.
fn causes(error: &ControlError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| {
        error.source()
    });
    let words: Vec<_> = causes.map(ToString::to_string).collect();
    words.join(": ")
}

/// Tells that a session cannot be read any more, and ends it. Where not even that can be written its lease ends, and it is tried again.
async fn end_unreadable(control: &Arc<Control>, run: &SessionRun) {
    let words = "what is stored of this session cannot be read any more, so that it has ended: begin another one";
    let failed = failure(
        SessionErrorKind::Unknown,
        words.to_owned(),
        RetryStatus::Terminal,
    );
    let report = TurnReport {
        events: vec![failed],
        steps: vec![ThreadStep::End],
        ..TurnReport::of(SessionThreadId::primary_of(&run.session))
    };
    if let Err(error) = control.report(run, report).await {
        tracing::warn!(session = %run.session, error = %causes(&error), "that a session cannot be read is not told");
    }
}

/// Keeps a session; returns once it is lost: another server has it, or may have it, since the lease could not be made longer in time.
async fn keep(control: &Control, run: &SessionRun) {
    let until = run.until.duration_since(clock::now());
    let mut lost = Instant::now() + until.try_into().unwrap_or(Duration::ZERO);
    let mut wait = RUN_LEASE / 3;
    loop {
        sleep(wait).await;
        let asked = Instant::now();
        match timeout_at(lost, control.keep_session(run)).await {
            Ok(Ok(true)) => {
                lost = asked + RUN_LEASE;
                wait = RUN_LEASE / 3;
            }
            Ok(Ok(false)) => return,
            Ok(Err(error)) if Instant::now() < lost => {
                tracing::warn!(session = %run.session, %error, "a session cannot be kept now");
                wait = ENGINE_LOOK;
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(session = %run.session, "a session is lost, since it could not be kept");
                return;
            }
        }
    }
}
