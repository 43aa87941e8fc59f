//! What is recorded of connections that a policy decides on.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bailiwick_dial::DialError;
use bailiwick_model::{
    Decision, Destination, EnvironmentName, Flow, PolicySource, Reason, SandboxId,
};
use jiff::Timestamp;

use crate::{Permit, Traffic};

/// Whose connections they are, and who is told of each.
pub struct Account {
    /// The sandbox that flows are counted to, whether or not it runs.
    pub sandbox: SandboxId,
    /// What the environment is called.
    pub environment: Option<EnvironmentName>,
    /// What time it is.
    pub now: fn() -> Timestamp,
    /// Who takes flows. It is called once for each attempt to connect, when that is over with whatever came of it, and must not block.
    pub record: Box<dyn Fn(Flow) + Send + Sync>,
}

/// The flow of a connection. It is recorded when this is dropped, so also when nobody waits for the connection any more.
pub(crate) struct Recording {
    account: Arc<Account>,
    began: Instant,
    /// There is none before something is dialled.
    traffic: Option<Arc<Traffic>>,
    flow: Option<Flow>,
}

impl Recording {
    /// Nobody has answered yet.
    pub(crate) fn begin(
        account: &Arc<Account>,
        source: &PolicySource,
        destination: &Destination,
    ) -> Self {
        let reason = Reason::Unreachable;
        Self {
            began: Instant::now(),
            traffic: None,
            flow: Some(Flow {
                at: (account.now)(),
                sandbox: account.sandbox.clone(),
                environment: account.environment.clone(),
                destination: destination.clone(),
                address: None,
                verdict: reason.verdict(),
                reason,
                rule: None,
                source: source.clone(),
                hint: None,
                bytes_out: 0,
                bytes_in: 0,
                duration_ms: 0,
                notes: Vec::new(),
            }),
            account: Arc::clone(account),
        }
    }

    pub(crate) fn is_reached(&mut self, permit: &Permit, traffic: Arc<Traffic>) {
        self.traffic = Some(traffic);
        self.change(|flow| {
            flow.address = permit.address;
            flow.rule.clone_from(&permit.rule);
        });
        self.is_because_of(permit.reason);
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

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(mut flow) = self.flow.take() {
            let elapsed = self.began.elapsed().as_millis();
            if let Some(traffic) = &self.traffic {
                (flow.bytes_out, flow.bytes_in) = (traffic.sent(), traffic.received());
            }
            flow.duration_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
            (self.account.record)(flow);
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Account");
        shown
            .field("sandbox", &self.sandbox)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}
