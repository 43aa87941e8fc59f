//! The worker: it polls, and serves what it is given.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_llm::Backoff;
use bailiwick_model::limits::{
    WORK_BLOCK_MS, WORKER_POLL_PAUSE, WORKER_RETRY_LEAST, WORKER_RETRY_MOST,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{ServiceError, WorkerError};
use crate::id::WireId;
use crate::journal::Journal;
use crate::kept::{self, Sessions, Taken};
use crate::place::Sandboxes;
use crate::served::Served;
use crate::service::{Service, Work};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What it calls itself, to be counted.
    pub name: String,
    /// Sessions that it serves at once.
    pub max_sessions: NonZeroUsize,
    /// How long it stays with a session that rests.
    pub max_idle: Duration,
    /// The lease that it asks for; none leaves it to the service.
    pub lease: Option<Duration>,
    /// How long a call may go on once the worker was asked to end.
    pub grace: Duration,
    /// Bytes of the files that it keeps of sessions that rest.
    pub kept_bytes: u64,
}

/// A worker of one environment.
pub struct Worker<P> {
    /// Where it polls, with the environment's key.
    pub service: Service,
    /// The environment.
    pub environment: WireId,
    /// Where calls run.
    pub sandboxes: Sandboxes<P>,
    /// What it writes down.
    pub journal: Journal,
    /// How it works.
    pub terms: Terms,
}

/// What a session that is served takes up.
struct Room {
    _taken: Taken,
    _place: OwnedSemaphorePermit,
}

impl<P: Clone + Send + Sync + 'static> Worker<P> {
    /// Works until it is asked to end. When this returns, no sandbox of its sessions runs, and what was not finished is given back.
    ///
    /// # Errors
    ///
    /// [`WorkerError::NoSandbox`] before anything is polled; [`WorkerError::Poll`] if the service takes no polls of this worker.
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        let tried = self.sandboxes.try_one().await;
        tried.map_err(WorkerError::NoSandbox)?;
        tracing::info!(environment = %self.environment, name = self.terms.name, "polls for work");
        let places = Arc::new(Semaphore::new(self.terms.max_sessions.get()));
        let sessions = Sessions::default();
        let mut serving = JoinSet::new();
        let sweeping = kept::look_after(
            self.journal.clone(),
            self.sandboxes.clone(),
            sessions.clone(),
            self.terms.kept_bytes,
        );
        let sweeping = AbortOnDropHandle::new(tokio::spawn(sweeping));
        // Whatever ends this ends what is served.
        let serving_stop = stop.child_token();
        let polled = loop {
            let place = tokio::select! {
                () = stop.cancelled() => break Ok(()),
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else { break Ok(()) };
            let work = tokio::select! {
                () = stop.cancelled() => break Ok(()),
                work = self.next() => work,
            };
            while serving.try_join_next().is_some() {}
            match work {
                Err(source) => {
                    let environment = self.environment.to_string();
                    break Err(WorkerError::Poll {
                        environment,
                        source,
                    });
                }
                Ok(work) => {
                    let stop = serving_stop.clone();
                    let taken = self.take(work, &sessions, place, stop).await;
                    if let Some((served, room)) = taken {
                        let sessions = sessions.clone();
                        serving.spawn(async move {
                            served.serve().await;
                            drop(room);
                            sessions.is_left();
                        });
                    }
                }
            }
        };
        sweeping.abort();
        // It has the journal, which is somebody else's from here on.
        let _ = sweeping.await;
        serving_stop.cancel();
        while serving.join_next().await.is_some() {}
        polled
    }

    /// The next item. What cannot be now is tried again; only what never will be ends this.
    async fn next(&self) -> Result<Work, ServiceError> {
        let backoff = Backoff {
            least: WORKER_RETRY_LEAST,
            most: WORKER_RETRY_MOST,
        };
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            match self.service.poll(&self.environment, &self.terms.name).await {
                Ok(Some(work)) => return Ok(work),
                Ok(None) => {
                    failures = 0;
                    // A service that does not let polls wait is not asked all the time.
                    if begun.elapsed() < Duration::from_millis(WORK_BLOCK_MS) / 2 {
                        sleep(WORKER_POLL_PAUSE).await;
                    }
                }
                Err(error @ ServiceError::Refused { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "cannot ask for work");
                    sleep(backoff.wait(failures, random(), None)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    /// Takes an item that this worker can serve. Others are left alone, or ended where nobody can serve them.
    async fn take(
        &self,
        work: Work,
        sessions: &Sessions,
        place: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) -> Option<(Served<P>, Room)> {
        if work.environment_id != self.environment {
            tracing::error!(work = %work.id, environment = %work.environment_id, "the service handed out an item of another environment");
            sleep(WORKER_POLL_PAUSE).await;
            return None;
        }
        let service = match work.key() {
            Some(key) => self.service.with_key(key),
            None => self.service.clone(),
        };
        let Some(session) = work.session() else {
            tracing::info!(work = %work.id, "an item is about no session");
            self.end(&work).await;
            return None;
        };
        let Some(taken) = sessions.take(&session) else {
            tracing::warn!(work = %work.id, %session, "a session was handed out twice");
            sleep(WORKER_POLL_PAUSE).await;
            return None;
        };
        let room = Room {
            _taken: taken,
            _place: place,
        };
        // Before it is taken: without it nothing is run.
        let entry = match self.journal.entry(&session) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(%session, %error, "a session cannot be served");
                sleep(WORKER_POLL_PAUSE).await;
                return None;
            }
        };
        if let Err(error) = self.service.acknowledge(&work).await {
            tracing::warn!(work = %work.id, %error, "an item cannot be acknowledged");
            if !error.is_transient() {
                self.end(&work).await;
            }
            return None;
        }
        tracing::info!(work = %work.id, %session, "a session is served");
        let lost = entry.record().begun.clone();
        let place = self.sandboxes.place(entry);
        let work = Arc::new(work);
        let terms = self.terms.clone();
        let served = Served::new(service, work, session, place, lost, terms, stop);
        Some((served, room))
    }

    async fn end(&self, work: &Work) {
        if let Err(error) = self.service.stop(work).await {
            tracing::warn!(work = %work.id, %error, "an item cannot be ended");
        }
    }
}

/// For waits that are not to be everybody's.
pub(crate) fn random() -> u64 {
    let mut bits = [0; 8];
    // The kernel's generator is there since 3.17, and asking it for so little cannot be interrupted.
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel gives random bits");
    u64::from_ne_bytes(bits)
}
