//! Where one server is, from its first use on: it runs, or not, or starts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_mcp::HeldAccess;
use bailiwick_model::limits::{HOSTED_PAUSE, HOSTED_PAUSE_MOST, HOSTED_STEADY};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::error::HostedError;
use super::live::Live;
use super::log::ServerLog;
use super::server::HostedServer;

/// What became of a start.
pub(super) type Outcome = Result<HeldAccess, HostedError>;

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostedCondition {
    /// Nobody uses it.
    Stopped,
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It has failed, and is started again after a pause.
    Failed,
}

pub(super) struct Place {
    pub(super) log: Arc<ServerLog>,
    /// Nothing is started here any more.
    pub(super) over: CancellationToken,
    pub(super) state: tokio::sync::Mutex<State>,
    /// What is used without waiting for whoever changes it.
    seen: Mutex<Seen>,
    starting: Mutex<Option<watch::Receiver<Option<Outcome>>>>,
}

/// The server as it was last known.
struct Seen {
    server: Arc<HostedServer>,
    ready: Option<(HeldAccess, CancellationToken)>,
    used: Instant,
    condition: HostedCondition,
    failures: u32,
}

pub(super) struct State {
    pub(super) live: Option<Live>,
    failures: u32,
    /// Before this moment nothing is started, and why.
    pause: Option<(Instant, Arc<str>)>,
}

impl Place {
    pub(super) fn new(server: &HostedServer) -> Self {
        Self {
            log: Arc::default(),
            over: CancellationToken::new(),
            state: tokio::sync::Mutex::new(State {
                live: None,
                failures: 0,
                pause: None,
            }),
            seen: Mutex::new(Seen {
                server: Arc::new(server.clone()),
                ready: None,
                used: Instant::now(),
                condition: HostedCondition::Stopped,
                failures: 0,
            }),
            starting: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a use: the server is this one from now on.
    pub(super) fn is_used(&self, server: &HostedServer) {
        let mut seen = self.seen();
        seen.used = Instant::now();
        if *seen.server != *server {
            seen.server = Arc::new(server.clone());
            seen.ready = None;
        }
    }

    /// The way to it, if it runs.
    pub(super) fn ready(&self) -> Option<HeldAccess> {
        let seen = self.seen();
        let (access, ended) = seen.ready.as_ref()?;
        (!ended.is_cancelled()).then(|| access.clone())
    }

    pub(super) fn server(&self) -> Arc<HostedServer> {
        Arc::clone(&self.seen().server)
    }

    pub(super) fn is_idle_for(&self, idle: Duration) -> bool {
        self.seen().used.elapsed() >= idle
    }

    pub(super) fn condition(&self) -> (HostedCondition, u32) {
        let seen = self.seen();
        (seen.condition, seen.failures)
    }

    /// Whether nothing runs or starts here.
    pub(super) fn is_at_rest(&self) -> bool {
        match self.condition().0 {
            HostedCondition::Stopped | HostedCondition::Failed => true,
            HostedCondition::Starting | HostedCondition::Running => false,
        }
    }

    /// The start that there is, or the one that `begin` makes: of those who ask at once the first begins it.
    pub(super) fn started(
        &self,
        begin: impl FnOnce(watch::Sender<Option<Outcome>>),
    ) -> watch::Receiver<Option<Outcome>> {
        let mut starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever is at work on it holds the sender.
        let is_under_way = |it: &&watch::Receiver<Option<Outcome>>| {
            it.has_changed().is_ok() && it.borrow().is_none()
        };
        if let Some(under_way) = starting.as_ref().filter(is_under_way) {
            return under_way.clone();
        }
        let (tell, outcome) = watch::channel(None);
        *starting = Some(outcome.clone());
        begin(tell);
        outcome
    }

    /// What is known of it without waiting is what is so now.
    pub(super) fn is_now(&self, state: &State, condition: HostedCondition) {
        let mut seen = self.seen();
        seen.condition = condition;
        seen.failures = state.failures;
        let live = state.live.as_ref();
        let live =
            live.filter(|live| condition == HostedCondition::Running && live.server == seen.server);
        seen.ready = live.map(|live| (live.access.clone(), live.ended.clone()));
    }

    /// Ends what runs, and says why in its log.
    pub(super) async fn stop(&self, state: &mut State, why: &str) {
        let Some(live) = state.live.take() else {
            return;
        };
        self.is_now(state, HostedCondition::Stopped);
        self.log.note(why);
        live.stop().await;
    }

    /// Ends what runs and is not well, and lets some time pass before the next start.
    pub(super) async fn fail(&self, state: &mut State, problem: &str) {
        if let Some(live) = state.live.take() {
            if live.since.elapsed() >= HOSTED_STEADY {
                state.failures = 0;
            }
            self.is_now(state, HostedCondition::Failed);
            live.stop().await;
        }
        state.failed(problem);
        self.is_now(state, HostedCondition::Failed);
    }

    /// What runs is taken account of if it has ended by itself.
    pub(super) async fn settle(&self, state: &mut State) {
        let has_ended = state
            .live
            .as_ref()
            .is_some_and(|it| it.ended.is_cancelled());
        if has_ended {
            let problem = format!("it has ended; the last of its log: {}", self.log.last());
            self.fail(state, &problem).await;
        }
    }
}

impl State {
    fn failed(&mut self, problem: &str) {
        let pause = pause_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.pause = Some((Instant::now() + pause, problem.into()));
    }

    /// Why nothing is started now.
    pub(super) fn pausing(&self) -> Option<HostedError> {
        let (until, problem) = self.pause.as_ref()?;
        let left = until.checked_duration_since(Instant::now())?;
        Some(HostedError::Pausing {
            failures: self.failures,
            seconds: left.as_secs() + 1,
            problem: Arc::clone(problem),
        })
    }
}

/// How long nothing is started after so many failures and one more.
fn pause_after(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures);
    HOSTED_PAUSE.saturating_mul(factor).min(HOSTED_PAUSE_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!(pause_after(0), HOSTED_PAUSE);
        assert_eq!(pause_after(3), HOSTED_PAUSE * 8);
        assert_eq!(pause_after(u32::MAX), HOSTED_PAUSE_MOST);
    }
}
