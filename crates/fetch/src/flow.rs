//! What is recorded of a fetch.

use std::sync::Arc;
use std::time::Instant;

use bailiwick_dial::DialError;
use bailiwick_model::{Decision, Destination, EnvironmentName, Flow, Reason, SandboxId};
use bailiwick_outbound::{Permit, Reached, Traffic};
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

/// The flow of a fetch that is under way. It is recorded when this is dropped, so also when nobody waits for the fetch any more.
pub(crate) struct Recording<'a> {
    record: Recorder<'a>,
    began: Instant,
    /// There is none before something is dialled.
    traffic: Option<Arc<Traffic>>,
    flow: Option<Flow>,
}

impl<'a> Recording<'a> {
    /// Nobody has answered yet.
    pub(crate) fn begin(visitor: &Visitor<'a>, destination: &Destination) -> Self {
        let reason = Reason::Unreachable;
        Self {
            record: visitor.record,
            began: Instant::now(),
            traffic: None,
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

    pub(crate) fn is_reached(&mut self, reached: &Reached) {
        self.traffic = Some(reached.traffic());
        if let Some(Permit {
            address,
            reason,
            rule,
            ..
        }) = reached.permit()
        {
            self.change(|flow| {
                flow.address = *address;
                flow.rule.clone_from(rule);
            });
            self.is_because_of(*reason);
        }
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
            if let Some(traffic) = &self.traffic {
                (flow.bytes_out, flow.bytes_in) = (traffic.sent(), traffic.received());
            }
            flow.duration_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
            (self.record)(flow);
        }
    }
}
