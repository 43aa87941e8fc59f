//! An environment's policy, what is kept of documents, and one sync after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bailiwick_knowledge::{
    Access, BoxFuture, Connector, Counts, Document, DocumentError, DocumentKey, Event, Extent,
    Known, OnThread, Outcome, ReadPdf, Room, Sink, SinkError, sync,
};
use bailiwick_model::{Flow, PolicySource};
use bailiwick_outbound::{Account, HttpUrl, Outbound};
use bailiwick_policy::{EffectivePolicy, EgressPolicy, OrganizationFloor, Policy, SessionGrants};
use bailiwick_testkit::{Authority, StandIn, dialer_with};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// An environment that may reach some hosts, names that lead to servers of the test, and every flow.
pub(crate) struct World {
    authority: Authority,
    pins: Vec<String>,
    policy: EgressPolicy,
    /// Where the policy is that is in force.
    force: Mutex<Option<watch::Sender<Arc<Policy>>>>,
    pub(crate) flows: Arc<Mutex<Vec<Flow>>>,
}

/// What is known after some syncs.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) documents: BTreeMap<DocumentKey, Document>,
    pub(crate) known: Known,
    /// What failed in the last sync.
    pub(crate) failed: BTreeMap<DocumentKey, DocumentError>,
    /// What was left out in the last sync.
    pub(crate) skipped: BTreeMap<DocumentKey, String>,
    /// The last word about progress.
    pub(crate) progress: Option<(u64, Option<u64>)>,
}

impl World {
    /// These hosts may be reached.
    pub(crate) fn allowing(hosts: &[&str]) -> Self {
        Self {
            authority: Authority::new(),
            pins: Vec::new(),
            policy: EgressPolicy {
                allowed_hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
                ..EgressPolicy::limited()
            },
            force: Mutex::default(),
            flows: Arc::default(),
        }
    }

    /// Nothing may be reached any more.
    pub(crate) fn deny_all(&self) {
        let force = self.force.lock().unwrap();
        let force = force.as_ref().expect("somebody has access");
        force.send_replace(Arc::new(compiled(EgressPolicy::limited())));
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A name that leads to a server.
    pub(crate) fn pin(&mut self, name: &str, address: std::net::SocketAddr) {
        self.pins.push(format!("{name}={address}"));
    }

    /// The address of a site without TLS, which is reached by this name.
    pub(crate) fn site(&mut self, name: &str, server: &StandIn, path: &str) -> HttpUrl {
        self.pin(name, server.address());
        let port = server.address().port();
        format!("http://{name}:{port}{path}").parse().unwrap()
    }

    pub(crate) fn access(&self) -> Access {
        self.access_at(Timestamp::now)
    }

    pub(crate) fn access_at(&self, now: fn() -> Timestamp) -> Access {
        let (force, policy) = watch::channel(Arc::new(compiled(self.policy.clone())));
        *self.force.lock().unwrap() = Some(force);
        let flows = Arc::clone(&self.flows);
        let account = Account {
            sandbox: "one".parse().unwrap(),
            environment: None,
            now: || Timestamp::UNIX_EPOCH,
            record: Box::new(move |flow| flows.lock().unwrap().push(flow)),
        };
        let pins: Vec<_> = self.pins.iter().map(String::as_str).collect();
        let outbound = Outbound::new(dialer_with(&pins), self.authority.trusted());
        Access {
            outbound: outbound.on_account(Arc::new(account)),
            policy,
            now,
        }
    }
}

fn compiled(policy: EgressPolicy) -> Policy {
    let effective = EffectivePolicy {
        policy,
        source: PolicySource::Environment("docs".parse().unwrap()),
    };
    let floor = OrganizationFloor::empty();
    Policy::compile(effective, &floor, &SessionGrants::none())
}

/// Takes everything.
#[derive(Default)]
struct All(Mutex<Vec<Event>>);

impl Sink for All {
    fn take(&self, event: Event) -> BoxFuture<'_, Result<(), SinkError>> {
        self.0.lock().unwrap().push(event);
        Box::pin(async { Ok(()) })
    }
}

impl Kept {
    /// Syncs, and keeps what that tells.
    pub(crate) async fn sync(&mut self, connector: &dyn Connector) -> Outcome {
        let sink = All::default();
        let cancel = CancellationToken::new();
        let pdf = Arc::new(OnThread::default());
        let means: (Arc<dyn ReadPdf>, &Room) = (pdf, &Room::default());
        let outcome = sync(connector, &self.known, &sink, means, &cancel).await;
        self.failed.clear();
        self.skipped.clear();
        for event in sink.0.into_inner().unwrap() {
            self.take(event);
        }
        self.known.cursor.clone_from(&outcome.cursor);
        outcome
    }

    /// Syncs, which must list everything or all changes, and gives what became of documents: changed, unchanged, gone, skipped, failed.
    pub(crate) async fn synced(&mut self, connector: &dyn Connector) -> [u64; 5] {
        let outcome = self.sync(connector).await;
        let extent = outcome.listing.expect("a listing");
        assert_ne!(extent, Extent::Cut);
        numbers(outcome.counts)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Changed(document) => {
                let (key, revision) = (document.key.clone(), document.revision.clone());
                self.known.documents.insert(key.clone(), revision);
                self.documents.insert(key, *document);
            }
            Event::Unchanged(key) => assert!(self.documents.contains_key(&key), "{key}"),
            Event::Gone(key) => {
                self.known.documents.remove(&key);
                assert!(self.documents.remove(&key).is_some(), "{key}");
            }
            Event::Skipped(key, why) => {
                self.skipped.insert(key, why.to_string());
            }
            Event::Failed(key, error) => {
                self.failed.insert(key, error);
            }
            Event::Progress { seen, total } => self.progress = Some((seen, total)),
        }
    }

    /// Keys of what is kept.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.documents.keys().map(DocumentKey::as_str).collect()
    }

    #[track_caller]
    pub(crate) fn document(&self, key: &str) -> &Document {
        let key: DocumentKey = key.parse().unwrap();
        self.documents.get(&key).expect("a document")
    }

    /// The one error of the last sync, in words.
    #[track_caller]
    pub(crate) fn failure(&self) -> String {
        assert_eq!(self.failed.len(), 1, "{:?}", self.failed);
        self.failed.values().next().unwrap().to_string()
    }
}

pub(crate) fn numbers(counts: Counts) -> [u64; 5] {
    [
        counts.changed,
        counts.unchanged,
        counts.gone,
        counts.skipped,
        counts.failed,
    ]
}
