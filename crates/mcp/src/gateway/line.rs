//! The older transport (2024-11-05, Transports, "HTTP with SSE"): one stream, on which everything is said, and an endpoint that it names, to which
//! everything is sent. The stream is the session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use bailiwick_model::limits::{
    MCP_GATEWAY_KEEP_ALIVE, MCP_GATEWAY_NOTICES, MCP_GATEWAY_SESSIONS,
    MCP_GATEWAY_SESSIONS_OF_CALLER,
};
use futures_util::stream::unfold;
use hyper::Response;
use hyper::body::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::body::{GatewayBody, event, keep_alive};
use super::incoming::{Body, Kind, Message};
use super::outgoing;
use super::post::{Begun, take};
use super::refusal::Refusal;
use super::session::{Open, Session, Sessions, fresh_id};
use super::{Caller, Gateway, Span, end_all, reply, streams};
use crate::lock::lock;
use crate::view::View;

/// Streams that are open.
pub(super) struct Lines<V>(Mutex<HashMap<String, Arc<Line<V>>>>);

/// A stream that is open.
pub(super) struct Line<V> {
    caller: Caller,
    /// What is to be said on it, as events. Who has something to say waits until there is room.
    events: mpsc::Sender<Bytes>,
    session: OnceLock<Arc<Session<V>>>,
    has_session: Notify,
    /// Once it is closed.
    over: CancellationToken,
}

/// The end of a stream that says things.
struct Saying<V: View> {
    id: String,
    line: Arc<Line<V>>,
    events: mpsc::Receiver<Bytes>,
    news: Option<Open<V>>,
    lines: Arc<Lines<V>>,
    sessions: Arc<Sessions<V>>,
}

/// A new stream: its id, its two ends.
type Opened<V> = (String, Arc<Line<V>>, mpsc::Receiver<Bytes>);

impl<V> Default for Lines<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> Lines<V> {
    fn open(&self, caller: &Caller) -> Result<Opened<V>, Refusal> {
        let (events, said) = mpsc::channel(MCP_GATEWAY_NOTICES);
        let line = Arc::new(Line {
            caller: caller.clone(),
            events,
            session: OnceLock::new(),
            has_session: Notify::new(),
            over: CancellationToken::new(),
        });
        let mut all = lock(&self.0);
        let own = all.values().filter(|line| line.caller == *caller).count();
        if own >= MCP_GATEWAY_SESSIONS_OF_CALLER || all.len() >= MCP_GATEWAY_SESSIONS {
            return Err(Refusal::Sessions);
        }
        let id = fresh_id();
        all.insert(id.clone(), Arc::clone(&line));
        Ok((id, line, said))
    }

    fn find(&self, caller: &Caller, id: &str) -> Result<Arc<Line<V>>, Refusal> {
        let all = lock(&self.0);
        let line = all.get(id).filter(|line| line.caller == *caller);
        line.cloned().ok_or(Refusal::Session)
    }
}

impl<V> Line<V> {
    async fn say(&self, message: &[u8]) {
        tokio::select! {
            () = self.over.cancelled() => {}
            _ = self.events.send(event(message)) => {}
        }
    }
}

impl<V: View> Gateway<V> {
    /// Opens a stream. It begins with where to send, which is below whatever URL led here.
    pub(super) fn open_line(&self, caller: &Caller) -> Result<Response<GatewayBody>, Refusal> {
        let (id, line, events) = self.lines.open(caller)?;
        let first = Bytes::from(format!("event: endpoint\ndata: ?line={id}\n\n"));
        let saying = Saying {
            id,
            line,
            events,
            news: None,
            lines: Arc::clone(&self.lines),
            sessions: Arc::clone(&self.sessions),
        };
        let events = unfold(
            (saying, Some(first)),
            async |(mut saying, first)| match first {
                Some(first) => Some((first, (saying, None))),
                None => Some((saying.next().await?, (saying, None))),
            },
        );
        Ok(reply::events(GatewayBody::events(events)))
    }

    /// Takes what was sent to a stream's endpoint.
    pub(super) async fn post_to_line(
        &self,
        (caller, view): (&Caller, impl FnOnce(Span) -> Arc<V>),
        id: &str,
        body: &Bytes,
    ) -> Result<Response<GatewayBody>, Refusal> {
        let line = self.lines.find(caller, id)?;
        let messages = match Body::of(body)? {
            Body::One(message) => vec![*message],
            Body::Batch(batch) => batch,
        };
        let mut view = Some(view);
        for message in messages {
            let begins = match message.kind(body)? {
                Kind::Request { id, method } => (method == "initialize").then_some(id),
                Kind::Notification { .. } | Kind::Response => None,
            };
            match begins {
                Some(id) => {
                    let view = view.take().ok_or(Refusal::BeginsInBatch)?;
                    let answer = self.begin_on_line(&line, view, &message, &id)?;
                    line.say(&answer).await;
                }
                None => run_on_line(&line, body, message).await?,
            }
        }
        Ok(reply::accepted())
    }

    fn begin_on_line(
        &self,
        line: &Line<V>,
        view: impl FnOnce(Span) -> Arc<V>,
        message: &Message<'_>,
        id: &Bytes,
    ) -> Result<Bytes, Refusal> {
        let asked = message
            .params()
            .and_then(|params| params.protocol_version.as_deref());
        let (session, answer) =
            self.begin_session(&line.caller, &view(Span::Session), asked, id)?;
        if let Err(second) = line.session.set(session) {
            self.sessions.end(&second);
            return Err(Refusal::Twice);
        }
        line.has_session.notify_one();
        Ok(answer)
    }
}

/// Lets a message run beside the request that brought it: its answer goes on the stream.
async fn run_on_line<V: View>(
    line: &Arc<Line<V>>,
    body: &Bytes,
    message: Message<'_>,
) -> Result<(), Refusal> {
    let session = line.session.get().ok_or(Refusal::NoSession)?;
    let id = match message.kind(body)? {
        Kind::Request { id, .. } => Some(id),
        Kind::Notification { .. } | Kind::Response => None,
    };
    match take(session, body, message) {
        Ok(Begun::Nothing) => {}
        Ok(Begun::Answer(answer)) => line.say(&answer).await,
        Ok(Begun::Runs(running)) => {
            let line = Arc::clone(line);
            tokio::spawn(async move {
                tokio::select! {
                    () = line.over.cancelled() => {}
                    () = running.pour(&line.events) => {}
                }
            });
        }
        Err(refusal) => {
            let id = id.as_ref().map(|id| &id[..]);
            line.say(&outgoing::error(id, &refusal.error())).await;
        }
    }
    Ok(())
}

impl<V: View> Saying<V> {
    /// What is said next.
    async fn next(&mut self) -> Option<Bytes> {
        let next = async {
            loop {
                if let (None, Some(session)) = (&self.news, self.line.session.get()) {
                    self.news = Some(session.open(session.view.news()));
                }
                let news = async {
                    match &mut self.news {
                        Some(news) => {
                            let changes = news.next().await;
                            changes.map(|changes| streams::session_events(&news.session, &changes))
                        }
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    event = self.events.recv() => return event,
                    () = self.line.has_session.notified() => {}
                    events = news => return events,
                }
            }
        };
        match timeout(MCP_GATEWAY_KEEP_ALIVE, next).await {
            Ok(next) => next,
            Err(_) => Some(keep_alive()),
        }
    }
}

impl<V: View> Drop for Saying<V> {
    fn drop(&mut self) {
        lock(&self.lines.0).remove(&self.id);
        // Before what runs is dropped: that it is to be stopped is told to servers then.
        if let Some(session) = self.line.session.get() {
            self.sessions.end(session);
            end_all([Arc::clone(&session.view)]);
        }
        self.line.over.cancel();
    }
}
