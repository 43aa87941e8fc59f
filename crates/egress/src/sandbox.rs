//! What the parts that serve one sandbox share.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_dial::Dialer;
use bailiwick_model::{
    Decision, Destination, EnvironmentName, Flow, FlowNote, HostName, Protocol, Reason, SandboxId,
    limits,
};
use bailiwick_policy::{HostFacts, InForce, Policy, Ruling};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Begun, begin};
use crate::intercept::{Authority, UpstreamTls};
use crate::names::{NameLimit, Names};
use crate::relay::{Live, Pipes, SecondThread};
use crate::repeats::Repeats;
use crate::sockets::OriginalDestination;

/// What one sandbox may use. `default()` is [`bailiwick_model::limits`].
#[derive(Debug, Clone, Copy)]
pub struct SandboxLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Names in its life.
    pub names: usize,
    /// New names in a minute.
    pub new_names_per_minute: u32,
    /// How long a connection may be silent in both directions.
    pub idle_timeout: Duration,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            names: limits::NAMES,
            new_names_per_minute: limits::NEW_NAMES_PER_MINUTE,
            idle_timeout: limits::IDLE_TIMEOUT,
        }
    }
}

/// A sandbox as the network side sees it: whose it is, and what decides for it.
#[derive(Debug)]
pub struct SandboxNetwork {
    /// Whose it is.
    pub sandbox: SandboxId,
    /// The environment, where it has a name.
    pub environment: Option<EnvironmentName>,
    /// What is in force. Sending something else tightens or widens it at once, open connections included.
    pub in_force: watch::Receiver<InForce>,
    /// Its certificate authority, if it may have credentials. Without one nothing is looked into, and no secret goes anywhere.
    pub authority: Option<Authority>,
    /// What it may use.
    pub limits: SandboxLimits,
    /// Where its flows go. A full channel holds the sandbox back, not its flows.
    pub flows: mpsc::Sender<Flow>,
}

/// What one sandbox did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that are open.
    pub connections_open: usize,
    /// Connections that were accepted.
    pub connections: u64,
    /// Questions to the resolver.
    pub questions: u64,
    /// Names that have a synthetic address.
    pub names: usize,
    /// Denials that made no flow of their own, because an equal one was recorded a moment ago.
    pub denials_repeated: u64,
}

/// Everything about one sandbox; shared by its tasks.
pub(crate) struct Sandbox {
    pub(crate) network: SandboxNetwork,
    pub(crate) original: OriginalDestination,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) pipes: Arc<Pipes>,
    pub(crate) second_thread: Arc<SecondThread>,
    pub(crate) upstream_tls: Arc<UpstreamTls>,
    pub(crate) live: Live,
    pub(crate) closed: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) connections: AtomicU64,
    pub(crate) questions: AtomicU64,
    denials_repeated: AtomicU64,
    names: Mutex<Names>,
    repeats: Mutex<Repeats>,
}

impl Sandbox {
    pub(crate) fn new(
        network: SandboxNetwork,
        dialer: Arc<Dialer>,
        pipes: Arc<Pipes>,
        second_thread: Arc<SecondThread>,
        upstream_tls: Arc<UpstreamTls>,
    ) -> Self {
        let names = Names::new(network.limits.names, network.limits.new_names_per_minute);
        Self {
            network,
            original: OriginalDestination::default(),
            dialer,
            pipes,
            second_thread,
            upstream_tls,
            live: Live::default(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
            connections: AtomicU64::new(0),
            questions: AtomicU64::new(0),
            denials_repeated: AtomicU64::new(0),
            names: Mutex::new(names),
            repeats: Mutex::new(Repeats::default()),
        }
    }

    /// The policy in force at this moment.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.network.in_force.borrow().policy)
    }

    /// The authority that a connection to `destination` is looked into with, if any secret goes there.
    pub(crate) fn authority_for(&self, destination: &Destination) -> Option<&Authority> {
        let concerned = self
            .network
            .in_force
            .borrow()
            .projections
            .concern(destination);
        self.network.authority.as_ref().filter(|_| concerned)
    }

    /// The host at this moment.
    pub(crate) fn host(&self) -> Arc<HostFacts> {
        self.dialer.host_facts()
    }

    /// The address that stands for `name` in this sandbox.
    pub(crate) fn address_of(&self, name: &HostName) -> Result<std::net::Ipv4Addr, NameLimit> {
        lock(&self.names).address_of(name, begin())
    }

    /// The name behind a synthetic address.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<HostName> {
        lock(&self.names).name_of(address).cloned()
    }

    /// What a packet to `original` was meant for.
    pub(crate) fn destination(&self, original: SocketAddr, protocol: Protocol) -> Destination {
        let host = match self.name_of(original.ip()) {
            Some(name) => bailiwick_model::Host::Name(name),
            None => bailiwick_model::Host::Address(original.ip()),
        };
        Destination {
            host,
            port: original.port(),
            protocol,
        }
    }

    /// A decision for something that `policy` does not see: its hint comes from there all the same.
    pub(crate) fn denial(&self, destination: &Destination, reason: Reason) -> Decision {
        self.policy()
            .explain_ruling(destination, Ruling { reason, rule: None })
    }

    /// A flow of this sandbox without bytes.
    pub(crate) fn flow(&self, begun: Begun, destination: Destination, decision: Decision) -> Flow {
        Flow {
            at: begun.at,
            sandbox: self.network.sandbox.clone(),
            environment: self.network.environment.clone(),
            destination,
            address: None,
            verdict: decision.verdict,
            reason: decision.reason,
            rule: decision.rule,
            source: decision.source,
            hint: decision.hint,
            bytes_out: 0,
            bytes_in: 0,
            duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            notes: Vec::<FlowNote>::new(),
        }
    }

    /// Hands a flow over. Waits while the reader is behind; without a reader there is nobody to tell.
    pub(crate) async fn record(&self, flow: Flow) {
        let _ = self.network.flows.send(flow).await;
    }

    /// Records a denial that may come in bursts: one flow stands for its repetitions of the next moment.
    pub(crate) async fn record_denial(&self, destination: Destination, decision: Decision) {
        let begun = begin();
        if lock(&self.repeats).is_new(&destination, decision.reason, begun) {
            self.record(self.flow(begun, destination, decision)).await;
        } else {
            self.denials_repeated.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            connections_open: self.live.count(),
            connections: self.connections.load(Ordering::Relaxed),
            questions: self.questions.load(Ordering::Relaxed),
            names: lock(&self.names).count(),
            denials_repeated: self.denials_repeated.load(Ordering::Relaxed),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The tables under these locks are changed by single insertions, so a panic elsewhere leaves them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
