//! What several servers on one PostgreSQL tell each other: which session has something new, and that something of a gateway has changed. What it is
//! they read.
//!
//! A word may be lost, with a connection or with a server that ends between its commit and its word. So every watched session is looked at from
//! time to time, too.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bailiwick_model::SessionId;
use bailiwick_model::limits::STREAM_LOOK;
use bailiwick_store::{Notice, SessionNotice, Store};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::AbortHandle;

use super::Hubs;

/// How long it waits where the database does not answer.
const BREATH: Duration = Duration::from_secs(1);

/// The words of this server, and its ear.
#[derive(Debug)]
pub(crate) struct Notices {
    shared: Arc<Shared>,
    hubs: Weak<Hubs>,
    tasks: Mutex<Option<[AbortHandle; 3]>>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// What there is to tell, at most once of each session.
    untold: Mutex<HashMap<SessionId, SessionNotice>>,
    /// That something of a gateway has changed.
    gateways_untold: AtomicBool,
    has_untold: Notify,
    /// Told when a session has begun, here or elsewhere.
    begun: Arc<Notify>,
    /// Told when a session was tightened, here or elsewhere.
    tightened: broadcast::Sender<SessionId>,
    /// Counts the changes of what holds for gateways, here or elsewhere.
    gateways: watch::Sender<u64>,
}

impl Shared {
    /// Whoever has read something for a gateway reads it again.
    fn gateways_changed(&self) {
        self.gateways.send_modify(|number| *number += 1);
    }
}

impl Notices {
    pub(super) fn new(
        store: Store,
        hubs: &Arc<Hubs>,
        begun: Arc<Notify>,
        tightened: broadcast::Sender<SessionId>,
        gateways: watch::Sender<u64>,
    ) -> Self {
        let shared = Arc::new(Shared {
            store,
            untold: Mutex::default(),
            gateways_untold: AtomicBool::new(false),
            has_untold: Notify::new(),
            begun,
            tightened,
            gateways,
        });
        Self {
            shared,
            hubs: Arc::downgrade(hubs),
            tasks: Mutex::new(None),
        }
    }

    /// Tells the other servers, if there may be any.
    pub(super) fn tell(&self, notice: SessionNotice) {
        if !self.shared.store.is_shared() {
            return;
        }
        self.begin();
        let mut untold = lock(&self.shared.untold);
        let notice = match untold.remove(&notice.session) {
            Some(before) => SessionNotice {
                sequence: notice.sequence.max(before.sequence),
                has_begun: notice.has_begun || before.has_begun,
                is_tightened: notice.is_tightened || before.is_tightened,
                session: notice.session,
            },
            None => notice,
        };
        untold.insert(notice.session.clone(), notice);
        drop(untold);
        self.shared.has_untold.notify_one();
    }

    /// Tells the other servers, if there may be any, that something of a gateway has changed.
    pub(super) fn tell_of_gateways(&self) {
        if !self.shared.store.is_shared() {
            return;
        }
        self.begin();
        self.shared.gateways_untold.store(true, Ordering::Release);
        self.shared.has_untold.notify_one();
    }

    /// Begins to hear what other servers tell, if there may be any.
    pub(super) fn begin(&self) {
        if !self.shared.store.is_shared() {
            return;
        }
        let mut tasks = lock(&self.tasks);
        if tasks.is_none() {
            let telling = tokio::spawn(tell_all(Arc::clone(&self.shared)));
            let hearing = tokio::spawn(hear_all(Arc::clone(&self.shared), self.hubs.clone()));
            let looking = tokio::spawn(look_again(Arc::clone(&self.shared), self.hubs.clone()));
            let all = [telling, hearing, looking];
            *tasks = Some(all.map(|task| task.abort_handle()));
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        for task in lock(&self.tasks).iter().flatten() {
            task.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn tell_all(shared: Arc<Shared>) {
    loop {
        shared.has_untold.notified().await;
        if shared.gateways_untold.swap(false, Ordering::AcqRel)
            && let Err(error) = shared.store.tell_of_gateways().await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "other servers were not told that a gateway has changed: they look within a second"
            );
        }
        let untold = std::mem::take(&mut *lock(&shared.untold));
        for notice in untold.into_values() {
            if let Err(error) = shared.store.tell(&notice).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "other servers were not told of an event"
                );
            }
        }
    }
}

async fn hear_all(shared: Arc<Shared>, hubs: Weak<Hubs>) {
    loop {
        match shared.store.listen().await {
            Ok(Some(mut notices)) => hear(&shared, &hubs, &mut notices).await,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "other servers are not heard"
                );
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Until the database does not answer.
async fn hear(shared: &Shared, hubs: &Weak<Hubs>, notices: &mut bailiwick_store::Notices) {
    loop {
        match notices.next().await {
            Ok(Some(Notice::Gateways)) => shared.gateways_changed(),
            Ok(Some(Notice::Session(notice))) => {
                let hub = hubs.upgrade().and_then(|hubs| hubs.get(&notice.session));
                if let Some(hub) = hub {
                    hub.heard_of(notice.sequence);
                }
                if notice.has_begun {
                    shared.begun.notify_one();
                }
                if notice.is_tightened {
                    // Nobody listens where there are no sandboxes.
                    let _ = shared.tightened.send(notice.session);
                }
            }
            Ok(None) => {
                shared.gateways_changed();
                look(shared, hubs).await;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "other servers are not heard"
                );
                return;
            }
        }
    }
}

async fn look_again(shared: Arc<Shared>, hubs: Weak<Hubs>) {
    loop {
        tokio::time::sleep(STREAM_LOOK).await;
        look(&shared, &hubs).await;
    }
}

/// What has become of every session that is watched here.
async fn look(shared: &Shared, hubs: &Weak<Hubs>) {
    let Some(hubs) = hubs.upgrade() else { return };
    let watched = hubs.watched();
    let ids: Vec<_> = watched.iter().map(|(id, _)| id.clone()).collect();
    // If the database does not answer, the next look will do.
    let Ok(found) = shared.store.session_sequences(&ids).await else {
        return;
    };
    let found: HashMap<_, _> = found.into_iter().collect();
    for (id, hub) in watched {
        match found.get(&id) {
            Some(newest) => hub.heard_of(*newest),
            None => hub.end(),
        }
    }
}
