//! One watched session: its last events, within bounds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::SessionId;
use bailiwick_model::limits::{PREVIEWS_WAITING, RECENT_EVENT_BYTES, RECENT_EVENTS};
use bailiwick_store::SessionEvent;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, broadcast};

use super::Preview;

/// One watched session.
#[derive(Debug)]
pub(crate) struct Hub {
    session: SessionId,
    recent: Mutex<Recent>,
    told: Notify,
    previews: broadcast::Sender<Arc<Placed>>,
}

/// A part of a message, and after which event it comes.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(super) after: i64,
    pub(super) preview: Preview,
}

/// What comes after a place.
#[derive(Debug)]
pub(super) enum Next {
    /// This.
    Event(Arc<SessionEvent>),
    /// Something that the database has.
    Read,
    /// The session is gone.
    Ended,
    /// Nothing yet.
    Nothing,
}

#[derive(Debug, Default)]
struct Recent {
    /// By their numbers; those that several writers tell of may come out of order.
    events: BTreeMap<i64, Arc<SessionEvent>>,
    bytes: usize,
    newest: i64,
    is_gone: bool,
}

impl Hub {
    pub(super) fn new(session: SessionId) -> Self {
        Self {
            session,
            recent: Mutex::default(),
            told: Notify::new(),
            previews: broadcast::Sender::new(PREVIEWS_WAITING),
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which session it is.
    pub(super) fn session(&self) -> &SessionId {
        &self.session
    }

    /// Ends once something is told.
    pub(super) fn told(&self) -> Notified<'_> {
        self.told.notified()
    }

    pub(super) fn previews(&self) -> broadcast::Receiver<Arc<Placed>> {
        self.previews.subscribe()
    }

    /// Something was stored and committed.
    pub(super) fn push(&self, events: &[SessionEvent]) {
        self.recent().push(events);
        self.told.notify_waiters();
    }

    /// The newest number, as the database has it.
    pub(super) fn heard_of(&self, newest: i64) {
        let mut recent = self.recent();
        if newest > recent.newest {
            recent.newest = newest;
            drop(recent);
            self.told.notify_waiters();
        }
    }

    /// The session is gone.
    pub(super) fn end(&self) {
        self.recent().is_gone = true;
        self.told.notify_waiters();
    }

    pub(super) fn preview(&self, preview: Preview) {
        let after = self.recent().newest;
        // Nobody watches if it fails.
        let _ = self.previews.send(Arc::new(Placed { after, preview }));
        self.told.notify_waiters();
    }

    pub(super) fn after(&self, cursor: i64) -> Next {
        let recent = self.recent();
        match recent.events.get(&(cursor + 1)) {
            Some(event) => Next::Event(Arc::clone(event)),
            None if recent.is_gone => Next::Ended,
            None if recent.newest > cursor => Next::Read,
            None => Next::Nothing,
        }
    }
}

impl Recent {
    fn push(&mut self, events: &[SessionEvent]) {
        for event in events {
            self.newest = self.newest.max(event.sequence);
            self.bytes += event.body.len();
            self.events.insert(event.sequence, Arc::new(event.clone()));
        }
        while self.events.len() > RECENT_EVENTS || self.bytes > RECENT_EVENT_BYTES {
            let Some((_, oldest)) = self.events.pop_first() else {
                break;
            };
            self.bytes -= oldest.body.len();
        }
    }
}
