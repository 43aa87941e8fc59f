//! A relayed connection that is looked into, from its first byte to its flow.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_model::{Decision, Destination, Flow, FlowNote};
use tokio::net::TcpStream;

use super::connection::Allowed;
use super::live::{Cut, Slot};
use crate::intercept::{self, Authority, CountedStream, begins_with_tls};
use crate::sandbox::Sandbox;

/// Waits for what shows whether the connection is to be looked into; `Err` if it ended meanwhile.
pub(super) async fn is_tls(
    sandbox: &Sandbox,
    client: &TcpStream,
    server: &TcpStream,
    slot: &mut Slot,
) -> Result<bool, Cut> {
    tokio::select! {
        biased;
        cut = slot.cut() => Err(cut),
        tls = begins_with_tls(client, server) => Ok(tls),
        // Nobody says anything; the relay waits as long once more, and then says so.
        () = tokio::time::sleep(sandbox.network.limits.idle_timeout) => Ok(false),
    }
}

/// Serves the connection and records its flow.
pub(super) async fn relay(
    sandbox: &Arc<Sandbox>,
    authority: &Authority,
    allowed: Allowed,
    (client, server): (TcpStream, TcpStream),
    mut slot: Slot,
) {
    let Allowed {
        begun,
        destination,
        address,
        decision,
    } = allowed;
    let (out, back) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let reset = Arc::<AtomicBool>::default();
    let ended = {
        let client = CountedStream::new(client, Arc::clone(&back), Arc::clone(&reset));
        let server = CountedStream::new(server, Arc::clone(&out), Arc::clone(&reset));
        // It outlives the select, so that the streams know how to end when they are dropped with it.
        let mut served = pin!(intercept::serve(
            sandbox,
            authority,
            &destination,
            client,
            server
        ));
        let ended = tokio::select! {
            biased;
            cut = slot.cut() => Ended::Cut(cut),
            end = &mut served => Ended::By(end),
            () = silence(&out, &back, sandbox.network.limits.idle_timeout) => Ended::Idle,
        };
        let broken = match &ended {
            Ended::By(intercept::End::Closed | intercept::End::Refused(_)) => false,
            Ended::By(intercept::End::Broken) | Ended::Cut(_) | Ended::Idle => true,
        };
        reset.store(broken, Ordering::Relaxed);
        ended
    };
    let (decision, note) = judge(sandbox, &destination, ended, decision);
    let flow = Flow {
        address,
        bytes_out: out.load(Ordering::Relaxed),
        bytes_in: back.load(Ordering::Relaxed),
        notes: [FlowNote::Inspected].into_iter().chain(note).collect(),
        ..sandbox.flow(begun, destination, decision)
    };
    sandbox.record(flow).await;
}

enum Ended {
    By(intercept::End),
    Cut(Cut),
    Idle,
}

fn judge(
    sandbox: &Sandbox,
    destination: &Destination,
    ended: Ended,
    allowed: Decision,
) -> (Decision, Option<FlowNote>) {
    match ended {
        Ended::By(intercept::End::Closed | intercept::End::Broken) | Ended::Cut(Cut::Detached) => {
            (allowed, None)
        }
        Ended::By(intercept::End::Refused(refusal)) => {
            let denial = Decision {
                hint: Some(refusal.to_string()),
                ..sandbox.denial(destination, refusal.reason())
            };
            (denial, None)
        }
        Ended::Cut(Cut::Policy(decision)) => (decision, Some(FlowNote::CutByPolicy)),
        Ended::Idle => (allowed, Some(FlowNote::IdleTimeout)),
    }
}

/// Ends when nothing was delivered either way for a time between `timeout` and half as long again.
async fn silence(out: &AtomicU64, back: &AtomicU64, timeout: Duration) {
    let total = || {
        out.load(Ordering::Relaxed)
            .wrapping_add(back.load(Ordering::Relaxed))
    };
    let (mut seen, mut quiet) = (total(), 0);
    while quiet < 2 {
        tokio::time::sleep(timeout / 2).await;
        let now = total();
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
    }
}
