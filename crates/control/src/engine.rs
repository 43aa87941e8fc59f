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
mod mcp_tools;
mod models;
mod ports;
mod reading;
mod runner;
mod web;

use std::sync::Arc;

use bailiwick_fetch::Web;
use bailiwick_model::limits::{ENGINE_LOOK, RUN_LEASE, SESSIONS_AT_WORK};
use bailiwick_store::SessionRun;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Control;
use crate::error::ControlError;
use crate::fresh;
use mcp::McpClients;

pub use models::{ModelWay, Models};
pub use ports::{NoWorkplace, PortFuture, Workplaces};
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
        working.close();
        working.wait().await;
    }

    async fn take_sessions(
        &self,
        places: &Arc<Semaphore>,
        working: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), ControlError> {
        let control = &self.shared.control;
        let free = u32::try_from(places.available_permits()).unwrap_or(u32::MAX);
        for (organization, session) in control.sessions_to_run(free).await? {
            let Ok(place) = Arc::clone(places).try_acquire_owned() else {
                return Ok(());
            };
            let claimed = control.claim_session(&organization, &session, &self.holder);
            let Some(run) = claimed.await? else {
                continue;
            };
            let (shared, stop) = (Arc::clone(&self.shared), stop.clone());
            working.spawn(async move {
                serve(shared, run, stop).await;
                drop(place);
            });
        }
        Ok(())
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
        // Its lease ends, and it is taken up again.
        Err(error) => tracing::warn!(%session, %error, "a session cannot be run now"),
    }
}

/// Keeps a session; returns once it is lost.
async fn keep(control: &Control, run: &SessionRun) {
    let mut wait = RUN_LEASE / 3;
    loop {
        tokio::time::sleep(wait).await;
        wait = match control.keep_session(run).await {
            Ok(true) => RUN_LEASE / 3,
            Ok(false) => return,
            // What is written meanwhile is refused if the lease has ended.
            Err(error) => {
                tracing::warn!(session = %run.session, %error, "a session cannot be kept now");
                ENGINE_LOOK
            }
        };
    }
}
