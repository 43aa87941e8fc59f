//! The accept loop of one sandbox.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bailiwick_model::{Protocol, Reason};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::connection::serve;
use super::live::Slot;
use super::refusal::reset;
use crate::sandbox::Sandbox;

/// The first pause after `accept` failed, for example for want of descriptors; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Accepts until the sandbox goes away.
pub(crate) async fn accept(sandbox: Arc<Sandbox>, listener: TcpListener) {
    let closed = sandbox.closed.clone();
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = closed.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((client, _)) => {
                pause = FIRST_PAUSE;
                sandbox.connections.fetch_add(1, Ordering::Relaxed);
                match sandbox.live.admit(sandbox.network.limits.connections) {
                    Some(slot) => begin(&sandbox, client, slot),
                    None => too_many(&sandbox, client).await,
                }
            }
            Err(error) if was_the_clients_fault(&error) => {}
            Err(_) => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn begin(sandbox: &Arc<Sandbox>, client: TcpStream, slot: Slot) {
    let Some(second) = sandbox.second_thread.next(sandbox.live.count()) else {
        sandbox.tasks.spawn(serve(sandbox.clone(), client, slot));
        return;
    };
    // Out of this thread's epoll, and into the other's; what fails closes the connection.
    let Ok(client) = client.into_std() else {
        return;
    };
    let sandbox_there = sandbox.clone();
    let there = async move {
        if let Ok(client) = TcpStream::from_std(client) {
            serve(sandbox_there, client, slot).await;
        }
    };
    sandbox.tasks.spawn_on(there, second);
}

/// The connection was gone before it was accepted (accept(2)): it is off the queue, and the next one may be fine.
fn was_the_clients_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
    )
}

async fn too_many(sandbox: &Sandbox, client: TcpStream) {
    let original = sandbox.original.of(&client);
    reset(client);
    if let Ok(original) = original {
        let destination = sandbox.destination(original, Protocol::Tcp);
        let decision = sandbox.denial(&destination, Reason::ConnectionLimit);
        sandbox.record_denial(destination, decision).await;
    }
}

/// Cuts what a new policy, or a new address of the host, no longer allows.
pub(crate) async fn enforce_policy(sandbox: Arc<Sandbox>) {
    let mut in_force = sandbox.network.in_force.clone();
    let mut host = sandbox.dialer.watch_host_facts();
    loop {
        tokio::select! {
            biased;
            () = sandbox.closed.cancelled() => return,
            Ok(()) = in_force.changed() => {}
            Ok(()) = host.changed() => {}
            // Nobody can change either any more; what is in force stays.
            else => return,
        }
        let (policy, host) = (
            Arc::clone(&in_force.borrow_and_update().policy),
            host.borrow_and_update().clone(),
        );
        sandbox.live.enforce(&policy, &host);
    }
}
