//! What happens in sessions, for whoever watches: pushed when it was stored.
//!
//! A session that somebody watches has a hub, which keeps its last events, within bounds, and the number of the newest. Nothing waits in memory
//! for a watcher: each asks for what comes after its own place, and what the hub does not have any more is read from the database. Only parts of
//! messages, which nobody stores, are handed over, and a watcher that is too slow for them loses them.

mod hub;
mod notices;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bailiwick_model::limits::{EVENT_STREAMS, EVENT_STREAMS_OF_ORGANIZATION, STREAM_READ_EVENTS};
use bailiwick_model::{
    OrganizationId, Permission, SessionEventId, SessionEventType, SessionId, SessionThreadId,
};
use bailiwick_store::{Session, SessionEvent, SessionNotice, Store};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;
use crate::fresh;
use crate::session_writing::Written;
use crate::shares::{Share, Shares};
use hub::{Hub, Next};
use notices::Notices;

/// The hubs of all sessions that are watched.
#[derive(Debug)]
pub(crate) struct Feeds {
    hubs: Arc<Hubs>,
    notices: Notices,
    /// For those who watch from outside.
    places: Shares,
    closing: Arc<CancellationToken>,
}

/// The hubs; one ends with its last watcher.
#[derive(Debug, Default)]
pub(crate) struct Hubs(Mutex<HashMap<SessionId, Weak<Hub>>>);

/// A part of a message that is being written, which nobody stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// In which thread.
    pub thread: SessionThreadId,
    /// Of the event that is to come.
    pub event: SessionEventId,
    /// What of it.
    pub part: PreviewPart,
}

/// What of a message that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewPart {
    /// That it begins: an `agent.message` or an `agent.thinking`.
    Start(SessionEventType),
    /// More of the text of its block with this index.
    Text {
        /// Which block.
        index: u32,
        /// What follows in it.
        text: String,
    },
}

/// What a watcher wants to see.
#[derive(Debug, Clone, Default)]
pub struct WatchRequest {
    /// One thread; without it, the session.
    pub thread: Option<SessionThreadId>,
    /// After this event; without it, what happens from now on.
    pub after: Option<SessionEventId>,
    /// Parts of messages of these kinds.
    pub previews: Vec<SessionEventType>,
}

/// What a watcher sees.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Something was stored.
    Event(Arc<SessionEvent>),
    /// A part of a message, as the wire shows it.
    Preview(&'static str, Value),
    /// The session is gone; the event is nowhere else.
    Deleted(SessionEventId, Timestamp),
}

/// Somebody who watches a session.
#[derive(Debug)]
pub struct Watch {
    hub: Arc<Hub>,
    store: Store,
    organization: OrganizationId,
    request: WatchRequest,
    /// The number of the last event that was seen, or passed over.
    cursor: i64,
    /// Read from the database and not seen.
    read: std::collections::VecDeque<Arc<SessionEvent>>,
    previews: broadcast::Receiver<Arc<hub::Placed>>,
    /// One that is to be seen after an event that was not.
    pending: Option<Arc<hub::Placed>>,
    started: HashSet<SessionEventId>,
    has_ended: bool,
    /// Of those who watch from outside.
    outside: Option<Outside>,
}

/// What holds of those who watch from outside: they are bounded in number, and end with the server.
#[derive(Debug)]
struct Outside {
    closing: Arc<CancellationToken>,
    _place: Share,
}

impl Hubs {
    fn get(&self, session: &SessionId) -> Option<Arc<Hub>> {
        let hubs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.get(session).and_then(Weak::upgrade)
    }

    /// The hub of a session, made if nobody watches it yet.
    fn open(&self, session: &SessionId) -> Arc<Hub> {
        let mut hubs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = hubs.get(session).and_then(Weak::upgrade) {
            return hub;
        }
        // Those that ended go when the map would grow.
        if hubs.len() == hubs.capacity() {
            hubs.retain(|_, hub| hub.strong_count() > 0);
        }
        let hub = Arc::new(Hub::new(session.clone()));
        hubs.insert(session.clone(), Arc::downgrade(&hub));
        hub
    }

    fn watched(&self) -> Vec<(SessionId, Arc<Hub>)> {
        let hubs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let living = hubs
            .iter()
            .filter_map(|(id, hub)| Some((id.clone(), hub.upgrade()?)));
        living.collect()
    }
}

impl Feeds {
    /// `begun` is told when another server says that there is something to do in a session, `tightened` when less is allowed in one, and `gateways`
    /// when something of a gateway has changed.
    pub(crate) fn new(
        store: &Store,
        begun: &Arc<Notify>,
        tightened: &broadcast::Sender<SessionId>,
        gateways: &watch::Sender<u64>,
    ) -> Self {
        let hubs = Arc::new(Hubs::default());
        let (begun, tightened) = (Arc::clone(begun), tightened.clone());
        let gateways = gateways.clone();
        Self {
            notices: Notices::new(store.clone(), &hubs, begun, tightened, gateways),
            hubs,
            places: Shares::new(EVENT_STREAMS, EVENT_STREAMS_OF_ORGANIZATION),
            closing: Arc::default(),
        }
    }
}

impl Control {
    /// Tells whoever watches of what was committed.
    pub(crate) fn published(&self, written: &Written) {
        let session = &written.session;
        let Some(last) = written.events.last() else {
            return;
        };
        if let Some(hub) = self.feeds.hubs.get(&session.id) {
            hub.push(&written.events);
        }
        self.feeds.notices.tell(SessionNotice {
            session: session.id.clone(),
            sequence: last.sequence,
            has_begun: written.needs_runner,
            is_tightened: false,
        });
        if written.needs_runner {
            // One that nobody waits for yet is kept.
            self.sessions_begun.notify_one();
        }
    }

    /// Tells whoever watches that a session is gone.
    pub(crate) fn published_end(&self, session: &Session) {
        if let Some(hub) = self.feeds.hubs.get(&session.id) {
            hub.end();
        }
        self.feeds.notices.tell(SessionNotice {
            session: session.id.clone(),
            sequence: session.event_sequence + 1,
            has_begun: false,
            is_tightened: false,
        });
    }

    /// Tells whoever has the sandbox of a session, on whatever server, that less is allowed in it from now on.
    pub(crate) fn published_tightening(&self, session: &Session) {
        // Nobody listens where there are no sandboxes.
        let _ = self.tightened.send(session.id.clone());
        self.feeds.notices.tell(SessionNotice {
            session: session.id.clone(),
            sequence: session.event_sequence,
            has_begun: false,
            is_tightened: true,
        });
    }

    /// Tells whoever watches a session of a part of a message. It is not stored, and other servers do not hear of it.
    pub fn preview(&self, session: &SessionId, preview: Preview) {
        if let Some(hub) = self.feeds.hubs.get(session) {
            hub.preview(preview);
        }
    }

    /// What was read for gateways may hold no more: whoever has something under way looks again, now, here and on other servers.
    pub(crate) fn gateways_changed(&self) {
        self.gateways_at.send_modify(|number| *number += 1);
        self.feeds.notices.tell_of_gateways();
    }

    /// Begins to hear what other servers tell.
    pub(crate) fn feeds_begin(&self) {
        self.feeds.notices.begin();
    }

    /// Watches a session.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] for the session, the thread or the event, and what every use case may answer.
    pub async fn watch_session(
        &self,
        caller: &Caller,
        id: &SessionId,
        request: WatchRequest,
    ) -> Result<Watch, ControlError> {
        caller.require_or_worker(Permission::SessionRead)?;
        self.seen_session(caller, id).await?;
        if let Some(thread) = &request.thread {
            self.thread_of(caller, id, thread).await?;
        }
        let place = self.feeds.places.take(&caller.organization);
        let outside = Outside {
            _place: place.ok_or(ControlError::TooManyStreams)?,
            closing: Arc::clone(&self.feeds.closing),
        };
        let mut watch = self.watch(&caller.organization, id, request).await?;
        watch.outside = Some(outside);
        Ok(watch)
    }

    /// Whether somebody may watch a session, as they may have when they began.
    ///
    /// # Errors
    ///
    /// As [`Self::watch_session`].
    pub async fn may_watch(&self, caller: &Caller, id: &SessionId) -> Result<(), ControlError> {
        caller.require_or_worker(Permission::SessionRead)?;
        self.seen_session(caller, id).await.map(drop)
    }

    /// Ends all that is watched from outside, for good: the server is about to end.
    pub fn end_watches(&self) {
        self.feeds.closing.cancel();
    }

    /// Cancelled when what is watched from outside is to end.
    pub fn closing(&self) -> CancellationToken {
        CancellationToken::clone(&self.feeds.closing)
    }

    /// As [`Self::watch_session`], for whoever runs it.
    pub(crate) async fn watch(
        &self,
        organization: &OrganizationId,
        id: &SessionId,
        request: WatchRequest,
    ) -> Result<Watch, ControlError> {
        // Before the place is read: what is stored in between is pushed.
        let hub = self.feeds.hubs.open(id);
        self.feeds.notices.begin();
        let previews = hub.previews();
        let scope = self.store.scope(organization);
        let newest = scope.session_sequence(id).await?;
        let newest = newest.ok_or(ControlError::NotFound("session"))?;
        let cursor = match &request.after {
            Some(after) => {
                let event = scope.session_event(id, after).await?;
                event.ok_or(ControlError::NotFound("event"))?.sequence
            }
            None => newest,
        };
        hub.heard_of(newest);
        Ok(Watch {
            hub,
            store: self.store.clone(),
            organization: organization.clone(),
            request,
            cursor,
            read: Default::default(),
            previews,
            pending: None,
            started: HashSet::new(),
            has_ended: false,
            outside: None,
        })
    }
}

impl Watch {
    /// What comes next; `None` once nothing can any more. It may be given up and asked for again.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`]: what was stored cannot be read now.
    pub async fn next(&mut self) -> Result<Option<Seen>, ControlError> {
        loop {
            if self.has_ended {
                return Ok(None);
            }
            // Whatever is told after this look wakes it.
            let hub = Arc::clone(&self.hub);
            let told = hub.told();
            tokio::pin!(told);
            told.as_mut().enable();
            if let Some(seen) = self.look().await? {
                return Ok(Some(seen));
            }
            match &self.outside {
                _ if self.has_ended => {}
                None => told.await,
                Some(outside) => tokio::select! {
                    () = told => {}
                    () = outside.closing.cancelled() => return Ok(None),
                },
            }
        }
    }

    /// What is there to be seen, in its order: a part of a message comes after what was stored before it, and before what was stored after it.
    async fn look(&mut self) -> Result<Option<Seen>, ControlError> {
        loop {
            if self.pending.is_none() {
                self.pending = self.next_preview();
            }
            if let Some(placed) = self.pending.take_if(|placed| placed.after <= self.cursor) {
                if let Some(seen) = self.preview(&placed.preview) {
                    return Ok(Some(seen));
                }
                continue;
            }
            let next = match self.read.pop_front() {
                Some(event) => Next::Event(event),
                None => self.hub.after(self.cursor),
            };
            match next {
                Next::Event(event) => {
                    self.cursor = event.sequence;
                    if event.is_of(self.request.thread.as_ref()) {
                        self.has_ended = self.ends_with(&event);
                        self.started.remove(&event.id);
                        return Ok(Some(Seen::Event(event)));
                    }
                }
                Next::Read => self.read_more().await?,
                Next::Ended => {
                    self.has_ended = true;
                    let at = clock::now();
                    return Ok(Some(Seen::Deleted(fresh::id(at), at)));
                }
                Next::Nothing => return Ok(None),
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), ControlError> {
        let session = self.hub.session().clone();
        let scope = self.store.scope(&self.organization);
        let more = scope
            .session_events_after(&session, self.cursor, STREAM_READ_EVENTS)
            .await?;
        if more.is_empty() {
            match scope.session_sequence(&session).await? {
                Some(newest) => {
                    // What was taken away since its time was over is not seen any more.
                    self.cursor = self.cursor.max(newest);
                    self.hub.heard_of(newest);
                }
                None => self.hub.end(),
            }
        }
        self.read.extend(more.into_iter().map(Arc::new));
        Ok(())
    }

    fn next_preview(&mut self) -> Option<Arc<hub::Placed>> {
        loop {
            match self.previews.try_recv() {
                Ok(placed) => return Some(placed),
                // Of what was begun, parts are missing.
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.started.clear(),
                Err(
                    broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed,
                ) => return None,
            }
        }
    }

    fn preview(&mut self, preview: &Preview) -> Option<Seen> {
        let is_of = match &self.request.thread {
            Some(thread) => *thread == preview.thread,
            None => preview.thread == SessionThreadId::primary_of(self.hub.session()),
        };
        if !is_of {
            return None;
        }
        match &preview.part {
            PreviewPart::Start(kind) => {
                let is_wanted = self.request.previews.contains(kind);
                if !is_wanted || !self.started.insert(preview.event.clone()) {
                    return None;
                }
                let event = json!({"type": kind.as_str(), "id": preview.event});
                let shown = json!({"type": "event_start", "event": event});
                Some(Seen::Preview("event_start", shown))
            }
            PreviewPart::Text { index, text } => {
                // Without its beginning nobody knows what it is.
                if !self.started.contains(&preview.event) {
                    return None;
                }
                let content = json!({"type": "text", "text": text});
                let delta = json!({"type": "content_delta", "index": index, "content": content});
                let shown =
                    json!({"type": "event_delta", "event_id": preview.event, "delta": delta});
                Some(Seen::Preview("event_delta", shown))
            }
        }
    }

    /// The end of a session, or of a thread, is the last that is seen of it.
    fn ends_with(&self, event: &SessionEvent) -> bool {
        match &self.request.thread {
            Some(thread) => {
                event.kind == SessionEventType::SessionThreadStatusTerminated
                    && event.thread == *thread
                    && *thread != SessionThreadId::primary_of(&event.session)
                    || event.kind == SessionEventType::SessionStatusTerminated
            }
            None => event.kind == SessionEventType::SessionStatusTerminated,
        }
    }
}
