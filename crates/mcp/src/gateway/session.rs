//! Sessions of the revisions that have them.
//!
//! An id is 128 random bits, and says nothing without the caller who began the session: to everybody else there is no such session.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::rand;
use bailiwick_model::limits::{
    MCP_GATEWAY_IDLE_TIME, MCP_GATEWAY_REQUESTS, MCP_GATEWAY_SESSIONS,
    MCP_GATEWAY_SESSIONS_OF_CALLER, MCP_GATEWAY_SUBSCRIPTIONS,
};
use hyper::body::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Caller;
use super::refusal::Refusal;
use super::revision::Revision;
use super::turns::{Turn, Turns};
use crate::lock::lock;
use crate::news::{Change, Following, News};
use crate::view::LogLevel;

/// The sessions of a gateway.
pub(super) struct Sessions<V> {
    all: Mutex<HashMap<String, Arc<Session<V>>>>,
    turns: Arc<Turns>,
}

/// A session.
pub(super) struct Session<V> {
    pub(super) id: String,
    caller: Caller,
    pub(super) revision: Revision,
    pub(super) view: Arc<V>,
    state: Mutex<State>,
    /// Which stream of news is the newest one: those before it end.
    stream: watch::Sender<u64>,
    turns: Arc<Turns>,
}

struct State {
    used: Instant,
    running: HashMap<Bytes, CancellationToken>,
    streams: usize,
    level: Option<LogLevel>,
    subscriptions: BTreeSet<String>,
    /// What no stream has told yet, while there is none.
    following: Option<Following>,
}

/// The place of a request among those that run in its session, for as long as it runs.
pub(super) struct Place<V> {
    session: Arc<Session<V>>,
    id: Bytes,
    _turn: Turn,
}

/// A stream of news of a session, for as long as it is open.
pub(super) struct Open<V> {
    pub(super) session: Arc<Session<V>>,
    /// What is to be told on it.
    pub(super) following: Following,
    newest: watch::Receiver<u64>,
    number: u64,
}

/// A new session, and the views of those that had to end for it.
type Began<V> = (Arc<Session<V>>, Vec<Arc<V>>);

impl<V> Default for Sessions<V> {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            turns: Arc::default(),
        }
    }
}

impl<V> Sessions<V> {
    /// Begins one. The views of those that had to end for it are given back, to be ended.
    pub(super) fn begin(
        &self,
        caller: &Caller,
        revision: Revision,
        (view, news): (Arc<V>, &News),
    ) -> Result<Began<V>, Refusal> {
        let now = Instant::now();
        let mut all = lock(&self.all);
        let mut ended = remove_idle(&mut all, now);
        let own = all.values().filter(|session| session.caller == *caller);
        let own: Vec<_> = own
            .map(|session| (session.idle_since(), session.id.clone()))
            .collect();
        if own.len() >= MCP_GATEWAY_SESSIONS_OF_CALLER {
            let idle = own.into_iter().filter_map(|(since, id)| Some((since?, id)));
            let (_, oldest) = idle.min().ok_or(Refusal::Sessions)?;
            ended.extend(all.remove(&oldest).map(|session| Arc::clone(&session.view)));
        }
        if all.len() >= MCP_GATEWAY_SESSIONS {
            return Err(Refusal::Sessions);
        }
        let session = Arc::new(Session {
            id: fresh_id(),
            caller: caller.clone(),
            revision,
            view,
            state: Mutex::new(State {
                used: now,
                running: HashMap::new(),
                streams: 0,
                // Whoever has not said which messages they want gets those that a person would look at.
                level: Some(LogLevel::Info),
                subscriptions: BTreeSet::new(),
                following: Some(news.follow()),
            }),
            stream: watch::Sender::new(0),
            turns: Arc::clone(&self.turns),
        });
        all.insert(session.id.clone(), Arc::clone(&session));
        Ok((session, ended))
    }

    /// The session of this id and this caller.
    pub(super) fn find(&self, caller: &Caller, id: &str) -> Result<Arc<Session<V>>, Refusal> {
        let now = Instant::now();
        let all = lock(&self.all);
        let session = all.get(id).filter(|session| session.caller == *caller);
        let session = session.filter(|session| !session.is_over(now));
        let session = Arc::clone(session.ok_or(Refusal::Session)?);
        session.state().used = now;
        Ok(session)
    }

    /// Ends it, and what runs in it.
    pub(super) fn end(&self, session: &Session<V>) {
        lock(&self.all).remove(&session.id);
        session.close();
    }

    /// Lets a request run that is in no session.
    pub(super) fn turn(&self, caller: &Caller) -> Result<Turn, Refusal> {
        self.turns.take(caller)
    }

    /// Ends those that nobody has used for long.
    pub(super) fn end_idle(&self) -> Vec<Arc<V>> {
        remove_idle(&mut lock(&self.all), Instant::now())
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.all).len()
    }
}

fn remove_idle<V>(all: &mut HashMap<String, Arc<Session<V>>>, now: Instant) -> Vec<Arc<V>> {
    let over = all.extract_if(|_, session| session.is_over(now));
    over.map(|(_, session)| Arc::clone(&session.view)).collect()
}

pub(super) fn fresh_id() -> String {
    let mut bits = [0; 16];
    rand::fill(&mut bits).expect("the kernel gives random bytes");
    bits.iter().fold(String::with_capacity(32), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a text takes it");
        id
    })
}

impl<V> Session<V> {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Since when nothing runs in it and nobody listens.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.running.is_empty() && state.streams == 0).then_some(state.used)
    }

    fn is_over(&self, now: Instant) -> bool {
        let since = self.idle_since();
        since.is_some_and(|since| now.duration_since(since) >= MCP_GATEWAY_IDLE_TIME)
    }

    /// Lets a request run.
    pub(super) fn run(
        self: &Arc<Self>,
        id: &Bytes,
    ) -> Result<(Place<V>, CancellationToken), Refusal> {
        let mut state = self.state();
        if state.running.len() >= MCP_GATEWAY_REQUESTS {
            return Err(Refusal::Requests);
        }
        if state.running.contains_key(id) {
            return Err(Refusal::Twice);
        }
        let turn = self.turns.take(&self.caller)?;
        let cancellation = CancellationToken::new();
        // The body that it is a part of need not be kept for it.
        let id = Bytes::copy_from_slice(id);
        state.running.insert(id.clone(), cancellation.clone());
        drop(state);
        let place = Place {
            session: Arc::clone(self),
            id,
            _turn: turn,
        };
        Ok((place, cancellation))
    }

    /// Stops what runs under an id in this session; what has ended meanwhile has.
    pub(super) fn cancel(&self, id: &[u8]) {
        if let Some(cancellation) = self.state().running.get(id) {
            cancellation.cancel();
        }
    }

    pub(super) fn level(&self) -> Option<LogLevel> {
        self.state().level
    }

    pub(super) fn set_level(&self, level: LogLevel) {
        self.state().level = Some(level);
    }

    /// Whether there is room for one more subscription, if it is a new one.
    pub(super) fn may_subscribe(&self, uri: &str) -> bool {
        let state = self.state();
        state.subscriptions.len() < MCP_GATEWAY_SUBSCRIPTIONS || state.subscriptions.contains(uri)
    }

    pub(super) fn subscribe(&self, uri: String) {
        self.state().subscriptions.insert(uri);
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.state().subscriptions.remove(uri);
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.state().subscriptions.contains(uri)
    }

    /// Opens a stream of news. The one before it ends: whoever asks for another has lost it, or does not need it.
    pub(super) fn open(self: &Arc<Self>, news: &News) -> Open<V> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let mut state = self.state();
        state.streams += 1;
        let following = state.following.take();
        drop(state);
        self.stream.send_replace(number);
        Open {
            following: following.unwrap_or_else(|| news.follow()),
            newest: self.stream.subscribe(),
            session: Arc::clone(self),
            number,
        }
    }

    fn close(&self) {
        self.stream.send_replace(0);
        for cancellation in self.state().running.values() {
            cancellation.cancel();
        }
    }
}

impl<V> Open<V> {
    /// The next changes; none once the stream is to end.
    pub(super) async fn next(&mut self) -> Option<Vec<Change>> {
        let number = self.number;
        tokio::select! {
            biased;
            // Its sender is the session, which this holds.
            _ = self.newest.wait_for(|newest| *newest != number) => None,
            changes = self.following.next() => Some(changes),
        }
    }
}

impl<V> Drop for Place<V> {
    fn drop(&mut self) {
        let mut state = self.session.state();
        state.running.remove(&self.id);
        state.used = Instant::now();
    }
}

impl<V> Drop for Open<V> {
    fn drop(&mut self) {
        let mut state = self.session.state();
        state.streams -= 1;
        state.following = Some(self.following.clone());
        state.used = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions<()> {
        Sessions::default()
    }

    fn begin(sessions: &Sessions<()>, caller: &str) -> Result<Arc<Session<()>>, Refusal> {
        let view = (Arc::new(()), &News::default());
        let began = sessions.begin(&Caller::new(caller), Revision::June2025, view);
        began.map(|(session, _)| session)
    }

    #[tokio::test]
    async fn another_callers_session_is_not_there() {
        let sessions = sessions();
        let session = begin(&sessions, "a").unwrap();
        assert_eq!(session.id.len(), 32);
        assert!(sessions.find(&Caller::new("a"), &session.id).is_ok());
        let other = sessions.find(&Caller::new("b"), &session.id);
        assert_eq!(other.err(), Some(Refusal::Session));
        sessions.end(&session);
        let gone = sessions.find(&Caller::new("a"), &session.id);
        assert_eq!(gone.err(), Some(Refusal::Session));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_nobody_uses_ends_and_one_at_work_does_not() {
        let sessions = sessions();
        let (idle, busy) = (
            begin(&sessions, "a").unwrap(),
            begin(&sessions, "a").unwrap(),
        );
        let place = busy.run(&Bytes::from_static(b"1")).unwrap();
        tokio::time::advance(MCP_GATEWAY_IDLE_TIME).await;
        assert!(sessions.find(&Caller::new("a"), &idle.id).is_err());
        assert!(sessions.find(&Caller::new("a"), &busy.id).is_ok());
        drop(place);
        assert_eq!(sessions.end_idle().len(), 1);
        assert_eq!(sessions.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_has_so_many_sessions_and_takes_none_from_others() {
        let sessions = sessions();
        let other = begin(&sessions, "b").unwrap();
        let first = begin(&sessions, "a").unwrap();
        for _ in 0..MCP_GATEWAY_SESSIONS_OF_CALLER {
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
            begin(&sessions, "a").unwrap();
        }
        assert_eq!(sessions.count(), MCP_GATEWAY_SESSIONS_OF_CALLER + 1);
        assert!(sessions.find(&Caller::new("a"), &first.id).is_err());
        assert!(sessions.find(&Caller::new("b"), &other.id).is_ok());
    }

    #[tokio::test]
    async fn an_id_is_used_once_at_a_time_and_so_many_requests_run() {
        let sessions = sessions();
        let session = begin(&sessions, "a").unwrap();
        let one = session.run(&Bytes::from_static(b"1")).unwrap();
        let twice = session.run(&Bytes::from_static(b"1"));
        assert_eq!(twice.err(), Some(Refusal::Twice));
        session.cancel(b"2");
        assert!(!one.1.is_cancelled());
        session.cancel(b"1");
        assert!(one.1.is_cancelled());
        drop(one);
        let ids = (0..MCP_GATEWAY_REQUESTS).map(|id| Bytes::from(id.to_string()));
        let running: Vec<_> = ids.map(|id| session.run(&id).unwrap()).collect();
        let more = session.run(&Bytes::from_static(b"more"));
        assert_eq!(more.err(), Some(Refusal::Requests));
        drop(running);
        assert!(session.run(&Bytes::from_static(b"more")).is_ok());
    }
}
