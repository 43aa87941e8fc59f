//! What is recorded of a fetch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bailiwick_dial::{DialError, Dialed};
use bailiwick_model::{Decision, Destination, EnvironmentName, Flow, Reason, SandboxId};
use bailiwick_policy::Policy;
use jiff::Timestamp;

/// Who takes flows. It is called once for each fetch, and must not block.
pub type Recorder<'a> = &'a (dyn Fn(Flow) + Send + Sync);

/// For whom something is fetched.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// Which policy decides.
    pub policy: &'a Policy,
    /// The sandbox that the flow is counted to, whether or not it runs.
    pub sandbox: &'a SandboxId,
    /// What the environment is called.
    pub environment: Option<&'a EnvironmentName>,
    /// When it is.
    pub at: Timestamp,
    /// Who is told what came of it.
    pub record: Recorder<'a>,
}

/// Bytes of a connection, TLS included.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    pub(crate) fn sent(&self, bytes: &[u8]) {
        let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: &[u8]) {
        let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The flow of a fetch that is under way. It is recorded when this is dropped, so also when nobody waits for the fetch any more.
pub(crate) struct Recording<'a> {
    record: Recorder<'a>,
    began: Instant,
    traffic: Arc<Traffic>,
    flow: Option<Flow>,
}

impl<'a> Recording<'a> {
    /// Nobody has answered yet.
    pub(crate) fn begin(visitor: &Visitor<'a>, destination: &Destination) -> Self {
        let reason = Reason::Unreachable;
        Self {
            record: visitor.record,
            began: Instant::now(),
            traffic: Arc::default(),
            flow: Some(Flow {
                at: visitor.at,
                sandbox: visitor.sandbox.clone(),
                environment: visitor.environment.cloned(),
                destination: destination.clone(),
                address: None,
                verdict: reason.verdict(),
                reason,
                rule: None,
                source: visitor.policy.source().clone(),
                hint: None,
                bytes_out: 0,
                bytes_in: 0,
                duration_ms: 0,
                notes: Vec::new(),
            }),
        }
    }

    pub(crate) fn is_dialed(&mut self, dialed: &Dialed) {
        self.change(|flow| {
            flow.address = dialed.address;
            flow.rule.clone_from(&dialed.rule);
        });
        self.is_because_of(dialed.reason);
    }

    pub(crate) fn has_failed(&mut self, error: &DialError) {
        if let DialError::Denied(Decision { rule, hint, .. }) = error {
            self.change(|flow| {
                flow.rule.clone_from(rule);
                flow.hint.clone_from(hint);
            });
        }
        self.is_because_of(error.reason());
    }

    pub(crate) fn is_because_of(&mut self, reason: Reason) {
        self.change(|flow| (flow.reason, flow.verdict) = (reason, reason.verdict()));
    }

    /// What counts its bytes.
    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    fn change(&mut self, change: impl FnOnce(&mut Flow)) {
        if let Some(flow) = &mut self.flow {
            change(flow);
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if let Some(mut flow) = self.flow.take() {
            let elapsed = self.began.elapsed().as_millis();
            flow.bytes_out = self.traffic.sent.load(Ordering::Relaxed);
            flow.bytes_in = self.traffic.received.load(Ordering::Relaxed);
            flow.duration_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
            (self.record)(flow);
        }
    }
}
