//! The connections of one sandbox that are open now: how many there may be, and which a new policy ends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::{Decision, Destination, Verdict};
use bailiwick_policy::{HostFacts, Policy};
use tokio::sync::oneshot;

/// Why a connection ends from outside.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The policy in force no longer allows it.
    Policy(Decision),
    /// Its sandbox goes away.
    Detached,
}

/// What a connection was checked for.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) destination: Destination,
    pub(crate) address: Option<IpAddr>,
    pub(crate) pinned: bool,
}

impl Checked {
    /// The denial, if `policy` does not allow what was allowed before.
    pub(crate) fn denial(&self, policy: &Policy, host: &HostFacts) -> Option<Decision> {
        let named = policy.decide(&self.destination, host);
        if named.verdict() == Verdict::Deny {
            return Some(policy.explain_ruling(&self.destination, named));
        }
        // A literal has no address besides itself; a name behind a proxy has none that is known.
        let address = self
            .address
            .filter(|_| matches!(self.destination.host, bailiwick_model::Host::Name(_)))?;
        let resolved = policy.decide_resolved(&self.destination, address, self.pinned, host);
        (resolved.verdict() == Verdict::Deny)
            .then(|| policy.explain_resolved(&self.destination, address, resolved))
    }
}

#[derive(Debug)]
struct Entry {
    checked: Option<Checked>,
    cut: oneshot::Sender<Cut>,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<u64, Entry>,
    next: u64,
    closed: bool,
}

/// The table of live connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live(Arc<Mutex<Entries>>);

/// One connection's place in the table; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Slot {
    live: Live,
    id: u64,
    cut: oneshot::Receiver<Cut>,
}

impl Live {
    /// A place for one more connection, unless `limit` are open or the sandbox is going away.
    pub(crate) fn admit(&self, limit: usize) -> Option<Slot> {
        let mut entries = self.entries();
        if entries.closed || entries.by_id.len() >= limit {
            return None;
        }
        let id = entries.next;
        entries.next += 1;
        let (sender, cut) = oneshot::channel();
        entries.by_id.insert(
            id,
            Entry {
                checked: None,
                cut: sender,
            },
        );
        Some(Slot {
            live: self.clone(),
            id,
            cut,
        })
    }

    /// How many connections are open.
    pub(crate) fn count(&self) -> usize {
        self.entries().by_id.len()
    }

    /// Cuts every checked connection that `policy` denies. The others check themselves when they are about to carry bytes.
    pub(crate) fn enforce(&self, policy: &Policy, host: &HostFacts) {
        let mut entries = self.entries();
        let denied: Vec<(u64, Decision)> = entries
            .by_id
            .iter()
            .filter_map(|(id, entry)| Some((*id, entry.checked.as_ref()?.denial(policy, host)?)))
            .collect();
        for (id, decision) in denied {
            if let Some(entry) = entries.by_id.remove(&id) {
                let _ = entry.cut.send(Cut::Policy(decision));
            }
        }
    }

    /// Ends every connection, and admits no more.
    pub(crate) fn close(&self) {
        let mut entries = self.entries();
        entries.closed = true;
        for (_, entry) in entries.by_id.drain() {
            let _ = entry.cut.send(Cut::Detached);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every change under the lock is a single insertion or removal, so a panic leaves the table whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Says what the connection was checked for. From now on [`Live::enforce`] knows it; the caller then looks whether
    /// the policy it was checked against is still the one in force.
    pub(crate) fn checked(&self, checked: Checked) {
        if let Some(entry) = self.live.entries().by_id.get_mut(&self.id) {
            entry.checked = Some(checked);
        }
    }

    /// Waits for the end from outside.
    pub(crate) async fn cut(&mut self) -> Cut {
        (&mut self.cut).await.unwrap_or(Cut::Detached)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.live.entries().by_id.remove(&self.id);
    }
}
