//! One item, from its acknowledgement until it is given back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_llm::Backoff;
use bailiwick_model::limits::{WORKER_LAST_WORD, WORKER_RETRY_LEAST, WORKER_RETRY_MOST};
use bailiwick_tools::ToolResult;
use tokio::sync::Mutex;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::calls::{Calls, Meaning};
use crate::error::{JournalError, ServiceError};
use crate::event::Seen;
use crate::id::WireId;
use crate::lease::{Lease, LeaseEnd};
use crate::place::{Place, PlaceError, told};
use crate::service::{Service, Session, Work};
use crate::skills::Skills;
use crate::worker::{Terms, random};

/// What a model is told of a call that had begun when its worker ended.
const CUT_OFF: &str = "the worker that ran this stopped before it had ended. It may have happened, wholly or in part, and was not run again: look before \
     you repeat it";

/// A session that is served.
pub(crate) struct Served<P> {
    service: Service,
    work: Arc<Work>,
    session: WireId,
    terms: Terms,
    stop: CancellationToken,
    place: Arc<Mutex<Place<P>>>,
    calls: Calls,
    skills: Skills,
    /// Calls that had begun before this worker did.
    lost: BTreeSet<WireId>,
    running: Option<Running>,
    rested: Option<Instant>,
    failures: u32,
}

struct Running {
    call: WireId,
    cancel: CancellationToken,
    task: JoinHandle<Result<ToolResult, PlaceError>>,
}

/// Why a session is not served any more.
#[derive(Debug)]
enum End {
    /// It rests, and has for long enough.
    Rested,
    /// It is over.
    Over,
    /// The item is not this worker's any more, or is to stop.
    Lease(LeaseEnd),
    /// This worker was asked to end.
    Asked,
    /// What the service says makes no sense, or it refuses.
    Service(ServiceError),
    /// Nothing can be written down.
    Journal(JournalError),
}

/// What breaks off one connection.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl<P: Clone + Send + Sync + 'static> Served<P> {
    /// `lost` are the calls that had begun before this worker did; `stop` asks it to end.
    pub(crate) fn new(
        service: Service,
        work: Arc<Work>,
        session: WireId,
        place: Place<P>,
        lost: BTreeSet<WireId>,
        terms: Terms,
        stop: CancellationToken,
    ) -> Self {
        Self {
            skills: Skills::new(service.clone(), Vec::new()),
            service,
            work,
            session,
            terms,
            stop,
            place: Arc::new(Mutex::new(place)),
            calls: Calls::default(),
            lost,
            running: None,
            rested: None,
            failures: 0,
        }
    }

    /// Serves it to its end. When this returns, nothing of it runs.
    pub(crate) async fn serve(mut self) {
        let lease = Lease::begin(
            self.service.clone(),
            Arc::clone(&self.work),
            self.terms.lease,
        );
        let end = self.follow(&lease).await;
        match &end {
            End::Service(error) => {
                tracing::error!(session = %self.session, %error, "a session cannot be served");
            }
            End::Journal(error) => {
                tracing::error!(session = %self.session, %error, "a session cannot be served");
            }
            End::Rested | End::Over | End::Lease(_) | End::Asked => {
                tracing::info!(session = %self.session, ?end, "a session is left");
            }
        }
        self.leave(end, lease).await;
    }

    async fn follow(&mut self, lease: &Lease) -> End {
        loop {
            let error = match self.connected(lease).await {
                Ok(end) => return end,
                Err(Broken::Journal(error)) => return End::Journal(error),
                Err(Broken::Service(error)) if !error.is_transient() => return End::Service(error),
                Err(Broken::Service(error)) => error,
            };
            tracing::warn!(session = %self.session, %error, "the events of a session broke off");
            let pause = pause(self.failures);
            self.failures = self.failures.saturating_add(1);
            tokio::select! {
                end = lease.ended() => return End::Lease(end),
                () = self.stop.cancelled() => return End::Asked,
                () = sleep(pause) => {}
            }
        }
    }

    /// Follows the session over one connection.
    async fn connected(&mut self, lease: &Lease) -> Result<End, Broken> {
        let stop = self.stop.clone();
        let Self {
            service,
            work,
            session,
            calls,
            skills,
            ..
        } = self;
        // Before the list is read, so that nothing comes in between.
        let opening = async {
            let found = found(service, work, session).await?;
            let mut is_over = found.has_ended();
            *skills = Skills::new(service.clone(), found.into_skills()?);
            let events = service.events(session).await?;
            let take = |json: &str| {
                let seen = Seen::read(json).ok_or(ServiceError::NotUnderstood("an event"))?;
                is_over |= calls.take(seen).map_err(|_| too_many())? == Meaning::Over;
                Ok(())
            };
            service.history(session, take).await?;
            Ok::<_, ServiceError>((events, is_over))
        };
        let (mut events, is_over) = tokio::select! {
            end = lease.ended() => return Ok(End::Lease(end)),
            () = stop.cancelled() => return Ok(End::Asked),
            opened = opening => opened?,
        };
        if is_over {
            return Ok(End::Over);
        }
        self.stop_unwanted();
        loop {
            self.begin_next(lease).await?;
            let rests = self.calls.rest() && self.running.is_none();
            self.rested = rests.then(|| self.rested.unwrap_or_else(Instant::now));
            let until = self.rested.map(|since| since + self.terms.max_idle);
            tokio::select! {
                biased;
                end = lease.ended() => return Ok(End::Lease(end)),
                () = stop.cancelled() => return Ok(End::Asked),
                done = ended(self.running.as_mut()) => self.done(done, lease).await?,
                () = reached(until) => return Ok(End::Rested),
                seen = events.next() => match seen? {
                    None => return Err(cut().into()),
                    Some(seen) => {
                        self.failures = 0;
                        if self.take(seen)? == Meaning::Over {
                            return Ok(End::Over);
                        }
                    }
                },
            }
        }
    }

    fn take(&mut self, seen: Seen) -> Result<Meaning, ServiceError> {
        let meaning = self.calls.take(seen).map_err(|_| too_many())?;
        self.stop_unwanted();
        Ok(meaning)
    }

    /// What nobody waits for is stopped.
    fn stop_unwanted(&self) {
        if let Some(running) = &self.running
            && !self.calls.awaits(&running.call)
        {
            running.cancel.cancel();
        }
    }

    /// Begins the next call, if none runs: their effects come in the order in which they were called.
    async fn begin_next(&mut self, lease: &Lease) -> Result<(), Broken> {
        while self.running.is_none() {
            let Some(call) = self.calls.next() else {
                return Ok(());
            };
            let id = call.id.clone();
            if self.lost.contains(&id) {
                tracing::warn!(session = %self.session, call = %id, "a call had begun before, and is not run again");
                self.tell(id, told(CUT_OFF), lease).await?;
                continue;
            }
            tracing::info!(session = %self.session, call = %id, tool = call.tool.name(), "a call begins");
            let cancel = CancellationToken::new();
            let (place, cancelled) = (Arc::clone(&self.place), cancel.clone());
            let skills = self.skills.clone();
            let run = async move { place.lock().await.run(call, cancelled, &skills).await };
            self.running = Some(Running {
                call: id,
                cancel,
                task: tokio::spawn(run),
            });
        }
        Ok(())
    }

    async fn done(
        &mut self,
        done: Result<Result<ToolResult, PlaceError>, JoinError>,
        lease: &Lease,
    ) -> Result<(), Broken> {
        let Some(Running { call, .. }) = self.running.take() else {
            return Ok(());
        };
        let result = result_of(done)?;
        self.tell(call, result, lease).await
    }

    /// Sends what a call came to, as long as the item is this worker's, and if somebody waits for it.
    async fn tell(
        &mut self,
        call: WireId,
        mut result: ToolResult,
        lease: &Lease,
    ) -> Result<(), Broken> {
        let mut failures = 0;
        while self.calls.awaits(&call) {
            match self.service.answer(&self.session, &call, &result).await {
                Ok(()) => break,
                Err(ServiceError::Conflict(said)) => {
                    tracing::info!(session = %self.session, %call, said, "a call has another result already");
                    break;
                }
                Err(error @ ServiceError::Refused { .. }) if !result_was_replaced(&result) => {
                    tracing::warn!(session = %self.session, %call, %error, "the service does not take a result");
                    result = told(NOT_TAKEN);
                }
                Err(error) if !error.is_transient() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(session = %self.session, %call, %error, "a result was not sent yet");
                    tokio::select! {
                        // It stays written down that the call had begun.
                        _ = lease.ended() => return Ok(()),
                        () = self.stop.cancelled() => return Ok(()),
                        () = sleep(pause(failures)) => failures += 1,
                    }
                }
            }
        }
        self.calls.done(&call);
        Ok(self.place.lock().await.is_told(call).await?)
    }

    async fn leave(mut self, end: End, lease: Lease) {
        if let Some(running) = self.running.take() {
            self.cut_off(running, &end).await;
        }
        let mut place = self.place.lock().await;
        let is_over = matches!(end, End::Over | End::Lease(LeaseEnd::Lost));
        let left = if is_over {
            place.end().await
        } else {
            place.keep().await
        };
        if let Err(error) = left {
            tracing::warn!(session = %self.session, %error, "the sandbox of a session has not ended as it should");
        }
        drop(place);
        let last = lease.finish().await;
        let given_back = match end {
            End::Lease(LeaseEnd::Lost) => Ok(()),
            // Whoever polls next goes on with it.
            End::Asked if !self.calls.rest() => {
                let soon = Some(Duration::from_secs(1));
                let beat = self.service.heartbeat(&self.work, last.as_deref(), soon);
                beat.await.map(drop)
            }
            End::Asked
            | End::Rested
            | End::Over
            | End::Lease(LeaseEnd::Told | LeaseEnd::Refused)
            | End::Service(_)
            | End::Journal(_) => self.service.stop(&self.work).await,
        };
        if let Err(error) = given_back {
            tracing::warn!(work = %self.work.id, %error, "an item was not given back: its lease ends by itself");
        }
    }

    /// Lets a call end, where there is time for that, or stops it, and says so in its place.
    async fn cut_off(&mut self, mut running: Running, end: &End) {
        let grace = match end {
            End::Asked => self.terms.grace,
            End::Rested | End::Over | End::Lease(_) | End::Service(_) | End::Journal(_) => {
                Duration::ZERO
            }
        };
        let ended = timeout(grace, &mut running.task).await;
        let result = match ended {
            Ok(done) => result_of(done),
            Err(_) => {
                running.cancel.cancel();
                // That it has really stopped is waited for.
                result_of(running.task.await).map(|_| told(CUT_OFF))
            }
        };
        let Ok(result) = result else { return };
        if !self.calls.awaits(&running.call) {
            return;
        }
        let sent = self.service.answer(&self.session, &running.call, &result);
        let is_sent = match timeout(WORKER_LAST_WORD, sent).await {
            Ok(Ok(()) | Err(ServiceError::Conflict(_))) => true,
            Ok(Err(_)) | Err(_) => false,
        };
        if is_sent {
            self.calls.done(&running.call);
            let told = self.place.lock().await.is_told(running.call).await;
            if let Err(error) = told {
                tracing::warn!(session = %self.session, %error, "a result was sent, and that is not written down");
            }
        }
    }
}

/// What a model is told instead of a result that its service does not take.
const NOT_TAKEN: &str =
    "the tool ran, and the service did not take its result: it may be too large";

fn result_was_replaced(result: &ToolResult) -> bool {
    result.as_text() == NOT_TAKEN
}

/// A sandbox that does not start is told; what cannot be written down ends everything.
fn result_of(
    done: Result<Result<ToolResult, PlaceError>, JoinError>,
) -> Result<ToolResult, JournalError> {
    match done {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(PlaceError::Sandbox(error))) => {
            tracing::error!(%error, "a sandbox cannot be started");
            Ok(told(format!("no sandbox could be started: {error}")))
        }
        Ok(Err(PlaceError::Journal(error))) => Err(error),
        Err(_) => Ok(told("the worker failed while this ran")),
    }
}

/// The session. One of another environment, or another one than the item says, is none of this worker's.
async fn found(service: &Service, work: &Work, session: &WireId) -> Result<Session, ServiceError> {
    let found = service.session(session).await?;
    if found.environment_id != work.environment_id || found.id != *session {
        return Err(ServiceError::NotUnderstood(
            "a session of another environment, or another session",
        ));
    }
    Ok(found)
}

/// The end of what runs; never, if nothing does.
async fn ended(running: Option<&mut Running>) -> Result<Result<ToolResult, PlaceError>, JoinError> {
    match running {
        Some(running) => (&mut running.task).await,
        None => std::future::pending().await,
    }
}

async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn pause(failures: u32) -> Duration {
    let backoff = Backoff {
        least: WORKER_RETRY_LEAST,
        most: WORKER_RETRY_MOST,
    };
    backoff.wait(failures, random(), None)
}

fn too_many() -> ServiceError {
    ServiceError::TooLarge("the calls of one session")
}

fn cut() -> ServiceError {
    ServiceError::Later {
        status: 200,
        message: "the stream of events has ended".to_owned(),
    }
}
