//! The lease of an item: whether it is still this worker's.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits::{WORK_LEASE_SECONDS, WORKER_BEAT_LEAST, WORKER_BEAT_MOST};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::ServiceError;
use crate::service::{Service, Work};

/// Why a lease has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseEnd {
    /// The service wants the item to stop.
    Told,
    /// It is somebody else's, or will be: this worker leaves it alone.
    Lost,
    /// The service takes no more heartbeats from this worker.
    Refused,
}

/// A lease, and the heartbeats that keep it.
pub(crate) struct Lease {
    ended: watch::Receiver<Option<LeaseEnd>>,
    stop: CancellationToken,
    beating: JoinHandle<Option<String>>,
}

struct Beating {
    service: Service,
    work: Arc<Work>,
    /// What is asked for; the service says what it is.
    wanted: Option<Duration>,
    last: Option<String>,
}

impl Lease {
    /// Begins to keep an item that was acknowledged.
    pub(crate) fn begin(service: Service, work: Arc<Work>, wanted: Option<Duration>) -> Self {
        let (told, ended) = watch::channel(None);
        let stop = CancellationToken::new();
        let beating = Beating {
            service,
            work,
            wanted,
            last: None,
        };
        Self {
            ended,
            beating: tokio::spawn(beating.run(told, stop.clone())),
            stop,
        }
    }

    /// Resolves when it has ended. Giving this up loses nothing.
    pub(crate) async fn ended(&self) -> LeaseEnd {
        let mut ended = self.ended.clone();
        let end = ended.wait_for(Option::is_some).await;
        // Who beats goes away without a word only if it panicked.
        end.ok().and_then(|end| *end).unwrap_or(LeaseEnd::Lost)
    }

    /// Ends the heartbeats; what the last one was told.
    pub(crate) async fn finish(self) -> Option<String> {
        self.stop.cancel();
        self.beating.await.ok().flatten()
    }
}

impl Beating {
    async fn run(
        mut self,
        told: watch::Sender<Option<LeaseEnd>>,
        stop: CancellationToken,
    ) -> Option<String> {
        let mut lease = self
            .wanted
            .unwrap_or(Duration::from_secs(WORK_LEASE_SECONDS.unsigned_abs()));
        let mut kept = Instant::now();
        loop {
            let begun = Instant::now();
            let pause = (lease / 2).clamp(WORKER_BEAT_LEAST, WORKER_BEAT_MOST);
            let beat = self
                .service
                .heartbeat(&self.work, self.last.as_deref(), self.wanted);
            match timeout(pause, beat).await {
                Ok(Ok(beat)) => {
                    kept = begun;
                    lease = beat.lease().unwrap_or(lease);
                    let goes_on = beat.goes_on();
                    self.last = Some(beat.last_heartbeat);
                    if !goes_on {
                        told.send_replace(Some(LeaseEnd::Told));
                        return self.last;
                    }
                }
                Ok(Err(ServiceError::LeaseLost)) => {
                    told.send_replace(Some(LeaseEnd::Lost));
                    return self.last;
                }
                Ok(Err(error)) if !error.is_transient() => {
                    tracing::error!(work = %self.work.id, %error, "the service takes no heartbeats of this item");
                    told.send_replace(Some(LeaseEnd::Refused));
                    return self.last;
                }
                Ok(Err(_)) | Err(_) if kept.elapsed() >= lease => {
                    told.send_replace(Some(LeaseEnd::Lost));
                    return self.last;
                }
                Ok(Err(error)) => {
                    tracing::warn!(work = %self.work.id, %error, "a heartbeat has failed");
                }
                Err(_) => tracing::warn!(work = %self.work.id, "a heartbeat took too long"),
            }
            let pause = (lease / 2).clamp(WORKER_BEAT_LEAST, WORKER_BEAT_MOST);
            tokio::select! {
                () = stop.cancelled() => return self.last,
                () = sleep(pause) => {}
            }
        }
    }
}
