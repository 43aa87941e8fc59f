//! A worker against a service that the test plays, with sandboxes that are maps in memory.

mod kept;
mod lies;
mod service;
mod skills;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_model::SandboxId;
use bailiwick_runtime::fake::Fake;
use bailiwick_runtime::{Runtime, SandboxSpec};
use bailiwick_worker::{Journal, Key, Sandboxes, Service, Terms, Worker, WorkerError};
use service::{ENVIRONMENT, FakeService, KEY};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// A service, a machine and what is written down there.
struct Scene {
    service: FakeService,
    fake: Arc<Fake>,
    directory: TempDir,
    kept_bytes: u64,
}

/// A worker that works.
struct Working {
    stop: CancellationToken,
    task: JoinHandle<Result<(), WorkerError>>,
}

fn fresh_id() -> SandboxId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    SandboxId::from_random(NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Scene {
    async fn new() -> Self {
        Self::on(Fake::new()).await
    }

    async fn on(fake: Fake) -> Self {
        Self {
            service: FakeService::start().await,
            fake: Arc::new(fake),
            directory: tempfile::tempdir().unwrap(),
            kept_bytes: u64::MAX,
        }
    }

    fn worker(&self) -> Worker<String> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let url = self.service.url.parse().unwrap();
        let runtime: Arc<dyn Runtime<Policy = String>> = self.fake.clone();
        let spec = SandboxSpec::new(fresh_id(), "policy".to_owned());
        Worker {
            service: Service::new(http, url, Key::read(KEY).unwrap()),
            environment: ENVIRONMENT.parse().unwrap(),
            sandboxes: Sandboxes::new(runtime, spec, fresh_id),
            journal: Journal::open(self.directory.path().join("worker")).unwrap(),
            terms: Terms {
                name: "worker".to_owned(),
                max_sessions: 4.try_into().unwrap(),
                max_idle: Duration::from_millis(100),
                lease: Some(Duration::from_secs(2)),
                grace: Duration::ZERO,
                kept_bytes: self.kept_bytes,
            },
        }
    }

    fn works(&self) -> Working {
        let stop = CancellationToken::new();
        let task = tokio::spawn(self.worker().run(stop.clone()));
        Working { stop, task }
    }

    /// Waits for the one result of a call.
    async fn result(&self, session: &str, call: &str) -> (String, bool) {
        let what = format!("a result of {call}");
        let results = until(&what, || {
            let results = self.service.results(session, call);
            (!results.is_empty()).then_some(results)
        });
        let results = results.await;
        assert_eq!(results.len(), 1, "{results:?}");
        results.into_iter().next().unwrap()
    }

    async fn asked(&self, end: &str, times: usize) {
        let what = format!("{end} to be asked {times} times");
        until(&what, || (self.service.count(end) >= times).then_some(())).await;
    }

    fn record(&self, session: &str) -> Option<String> {
        let file = format!("worker/{session}.json");
        std::fs::read_to_string(self.directory.path().join(Path::new(&file))).ok()
    }
}

impl Working {
    /// Ends it, as an operator would.
    async fn ends(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

async fn until<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
