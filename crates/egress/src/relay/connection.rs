//! The life of one connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bailiwick_dial::{DialError, Dialed};
use bailiwick_model::{Decision, Destination, Flow, FlowNote, Host, Protocol, Reason, limits};
use bailiwick_policy::Policy;
use tokio::net::TcpStream;

use super::intercepted;
use super::live::{Checked, Cut, Slot};
use super::refusal;
use super::transfer::{Bytes, End, Transfer};
use crate::clock::{Begun, begin};
use crate::inspect::{ClientGuard, Violation};
use crate::sandbox::Sandbox;

/// Serves one accepted connection until its flow is recorded.
pub(crate) async fn serve(sandbox: Arc<Sandbox>, client: TcpStream, mut slot: Slot) {
    let begun = begin();
    // Fails only on a connection that is already gone, which the first read will say.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&client, true);
    let Ok(original) = sandbox.original.of(&client) else {
        return refusal::reset(client);
    };
    let destination = sandbox.destination(original, Protocol::Tcp);
    let policy = sandbox.policy();
    let dialed = tokio::select! {
        biased;
        cut = slot.cut() => {
            refusal::reset(client);
            return record_cut(&sandbox, begun, destination, cut).await;
        }
        dialed = sandbox.dialer.dial(&policy, &destination) => dialed,
    };
    match dialed {
        Ok(dialed) => relay(&sandbox, begun, destination, client, dialed, &policy, slot).await,
        Err(error) => {
            let grace = match error {
                DialError::Denied(_) => limits::DENIED_GRACE,
                DialError::NameNotFound | DialError::Unreachable(_) => limits::UNDECIDED_GRACE,
            };
            let decision = failure(&sandbox, &destination, error);
            refuse(&sandbox, begun, destination, client, decision, grace).await;
        }
    }
}

async fn relay(
    sandbox: &Arc<Sandbox>,
    begun: Begun,
    destination: Destination,
    client: TcpStream,
    dialed: Dialed,
    policy: &Arc<Policy>,
    mut slot: Slot,
) {
    let Dialed {
        stream: server,
        address,
        pinned,
        reason,
        rule,
    } = dialed;
    let checked = Checked {
        destination: destination.clone(),
        address,
        pinned,
    };
    if let Some(decision) = check_again(sandbox, policy, &slot, &checked) {
        refusal::reset(server);
        return refuse(
            sandbox,
            begun,
            destination,
            client,
            decision,
            limits::DENIED_GRACE,
        )
        .await;
    }
    let decision = Decision {
        verdict: reason.verdict(),
        reason,
        rule,
        source: policy.source().clone(),
        hint: None,
    };
    let allowed = Allowed {
        begun,
        destination,
        address,
        decision,
    };
    if let Some(authority) = sandbox.authority_for(&allowed.destination) {
        match Box::pin(intercepted::is_tls(sandbox, &client, &server, &mut slot)).await {
            Ok(false) => {}
            Ok(true) => {
                let streams = (client, server);
                // Boxed: the others do not carry what this needs.
                return Box::pin(intercepted::relay(
                    sandbox, authority, allowed, streams, slot,
                ))
                .await;
            }
            Err(cut) => {
                refusal::reset(client);
                refusal::reset(server);
                return record_cut(sandbox, begun, allowed.destination, cut).await;
            }
        }
    }
    splice(sandbox, allowed, client, server, slot).await;
}

/// A connection that was dialled and may carry bytes.
pub(super) struct Allowed {
    pub(super) begun: Begun,
    pub(super) destination: Destination,
    /// The address that was dialled.
    pub(super) address: Option<IpAddr>,
    /// Why it is allowed.
    pub(super) decision: Decision,
}

/// Moves bytes as they are until the end, and records the flow.
async fn splice(
    sandbox: &Sandbox,
    allowed: Allowed,
    client: TcpStream,
    server: TcpStream,
    mut slot: Slot,
) {
    let Allowed {
        begun,
        destination,
        address,
        decision: allowed,
    } = allowed;
    let bytes = Bytes::default();
    let guard = guard(&destination);
    let mut transfer = Transfer::new(client, server, guard, &bytes, &sandbox.pipes);
    let end = tokio::select! {
        biased;
        cut = slot.cut() => Err(cut),
        end = transfer.run(sandbox.network.limits.idle_timeout) => Ok(end),
    };
    let (decision, note) = match &end {
        Ok(End::Closed | End::Broken) => (allowed, None),
        Ok(End::Idle) => (allowed, Some(FlowNote::IdleTimeout)),
        Ok(End::Violated(violation)) => (violated(sandbox, &destination, violation), None),
        Err(Cut::Policy(decision)) => (decision.clone(), Some(FlowNote::CutByPolicy)),
        Err(Cut::Detached) => (allowed, None),
    };
    let no_sni = transfer.no_server_name().then_some(FlowNote::NoSni);
    let last_words = end_transfer(sandbox, &destination, transfer, end, &decision);
    let mut flow = Flow {
        address,
        bytes_out: 0,
        bytes_in: 0,
        notes: no_sni.into_iter().chain(note).collect(),
        ..sandbox.flow(begun, destination.clone(), decision.clone())
    };
    flow.bytes_out = bytes.out.load(Ordering::Relaxed);
    flow.bytes_in = bytes.back.load(Ordering::Relaxed);
    tokio::join!(last_words, sandbox.record(flow));
}

/// What a client says must agree with a name; an address says nothing to agree with.
fn guard(destination: &Destination) -> Option<ClientGuard> {
    match &destination.host {
        Host::Name(name) => Some(ClientGuard::new(name.clone(), destination.port)),
        Host::Address(_) => None,
    }
}

/// Enters the connection in the table, then looks whether the policy changed since it was decided on. In this order no
/// change can fall between the two.
fn check_again(
    sandbox: &Sandbox,
    decided_by: &Arc<Policy>,
    slot: &Slot,
    checked: &Checked,
) -> Option<Decision> {
    slot.checked(checked.clone());
    let in_force = sandbox.policy();
    if Arc::ptr_eq(&in_force, decided_by) {
        None
    } else {
        checked.denial(&in_force, &sandbox.host())
    }
}

/// Closes both sides in the way that fits the end.
async fn end_transfer(
    sandbox: &Sandbox,
    destination: &Destination,
    transfer: Transfer<'_>,
    end: Result<End, Cut>,
    decision: &Decision,
) {
    let may_answer = transfer.may_answer();
    let (client, server) = transfer.into_streams();
    match end {
        Ok(End::Closed) => {}
        Ok(End::Violated(violation)) if may_answer => {
            refusal::reset(server);
            if violation.is_tls() {
                Box::pin(refusal::answer_tls(client, decision)).await;
            } else {
                let body =
                    refusal::body(destination, sandbox.network.environment.as_ref(), decision);
                Box::pin(refusal::answer_http(client, &body, decision)).await;
            }
        }
        Ok(End::Broken | End::Idle | End::Violated(_)) | Err(Cut::Policy(_) | Cut::Detached) => {
            refusal::reset(client);
            refusal::reset(server);
        }
    }
}

async fn refuse(
    sandbox: &Sandbox,
    begun: Begun,
    destination: Destination,
    client: TcpStream,
    decision: Decision,
    grace: Duration,
) {
    let body = refusal::body(
        &destination,
        sandbox.network.environment.as_ref(),
        &decision,
    );
    let flow = sandbox.flow(begun, destination, decision.clone());
    tokio::join!(
        sandbox.record(flow),
        // Boxed: the buffers of a refusal are no burden of the connections that are not refused.
        Box::pin(refusal::refuse(client, grace, &body, &decision))
    );
}

/// What a failed dial means for the flow. The hint says more than the policy can: what went wrong out there.
fn failure(sandbox: &Sandbox, destination: &Destination, error: DialError) -> Decision {
    let reason = error.reason();
    match error {
        DialError::Denied(decision) => decision,
        error @ (DialError::NameNotFound | DialError::Unreachable(_)) => Decision {
            hint: Some(format!("the policy allows this, but {error}")),
            ..sandbox.denial(destination, reason)
        },
    }
}

fn violated(sandbox: &Sandbox, destination: &Destination, violation: &Violation) -> Decision {
    Decision {
        hint: Some(violation.to_string()),
        ..sandbox.denial(destination, violation.reason())
    }
}

async fn record_cut(sandbox: &Sandbox, begun: Begun, destination: Destination, cut: Cut) {
    let decision = match cut {
        Cut::Policy(decision) => decision,
        Cut::Detached => sandbox.denial(&destination, Reason::Unreachable),
    };
    sandbox
        .record(sandbox.flow(begun, destination, decision))
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_connection_costs_less_than_four_kilobytes_of_future() {
        fn size<F: Future>(_: impl FnOnce(Arc<Sandbox>, TcpStream, Slot) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(serve) < 4096, "{} bytes", size(serve));
    }
}
