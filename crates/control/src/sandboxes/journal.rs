//! What a sandbox tried to reach, on its way into the database.

use std::sync::Arc;

use bailiwick_model::limits::{
    SESSION_FLOWS_AT_ONCE, SESSION_FLOWS_GATHER, SESSION_FLOWS_LAST, SESSION_FLOWS_WAITING,
};
use bailiwick_model::{EnvironmentId, Flow, OrganizationId, SessionId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::control::Control;

/// Whose flows they are.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    pub(super) organization: OrganizationId,
    pub(super) session: SessionId,
    pub(super) environment: EnvironmentId,
}

/// The flows of one sandbox, written in the order in which they come. It ends when nobody can send any more.
pub(super) struct Journal(JoinHandle<()>);

impl Journal {
    /// Where to send flows: when too many wait to be written, the sender waits, and none is lost.
    pub(super) fn begin(control: Arc<Control>, whose: Whose) -> (mpsc::Sender<Flow>, Self) {
        let (sender, flows) = mpsc::channel(SESSION_FLOWS_WAITING);
        (sender, Self(tokio::spawn(write(control, whose, flows))))
    }

    /// Waits until what has come is written, within bounds.
    pub(super) async fn last(self) {
        if timeout(SESSION_FLOWS_LAST, self.0).await.is_err() {
            tracing::warn!("the last flows of a sandbox are not yet written");
        }
    }
}

async fn write(control: Arc<Control>, whose: Whose, mut flows: mpsc::Receiver<Flow>) {
    let mut some = Vec::with_capacity(SESSION_FLOWS_AT_ONCE);
    while flows.recv_many(&mut some, SESSION_FLOWS_AT_ONCE).await > 0 {
        let of = (&whose.session, &whose.environment);
        control.keep_flows(&whose.organization, of, &some).await;
        some.clear();
        // One write for many: a program that opens a hundred connections is not to make a hundred.
        sleep(SESSION_FLOWS_GATHER).await;
    }
}
