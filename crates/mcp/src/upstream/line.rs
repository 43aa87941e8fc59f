//! Servers of the older transport (2024-11-05, Transports, "HTTP with SSE"): one stream, on which everything comes, and an endpoint that it
//! names, where everything is sent.
//!
//! The stream is the session. It is read by a task of its own, and closed by the first use under another access than it was opened under.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bailiwick_model::limits::{
    MCP_ANSWER_BYTES, MCP_ASIDE_TIME, MCP_ENDPOINT_TIME, MCP_ERROR_BYTES, MCP_GATEWAY_NOTICES,
    MCP_SERVER_URL_CHARS,
};
use bailiwick_outbound::{Body, HttpUrl};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::answer::{Asked, Media, Said, change, failed, media_type};
use super::{Asides, Failure, HeldAccess, Upstream};
use crate::client::McpError;
use crate::events::{Event, EventStream};
use crate::lock::lock;
use crate::news::{Change, Following, News};
use crate::raw::Fields;
use crate::view::{Notice, Talk};

/// A stream that is open, and where to send.
pub(super) struct Line {
    pub(super) endpoint: HttpUrl,
    access: HeldAccess,
    waiting: Arc<Waiting>,
    news: Arc<News>,
    reader: AbortHandle,
}

/// What comes for one who waits.
pub(super) enum Coming {
    Answer(Result<Bytes, Bytes>),
    Notice(Notice),
    /// The server asks something while somebody waits: who does answers it.
    Asked(Box<RawValue>, Asked),
    /// Most likely the answer, but nobody can read it.
    Unreadable,
}

/// Who waits for answers; `None` once none can come any more.
pub(super) struct Waiting(Mutex<Option<HashMap<u64, mpsc::Sender<Coming>>>>);

/// One who waits, for as long as they do.
pub(super) struct Awaited<'a> {
    id: u64,
    waiting: &'a Waiting,
    pub(super) coming: mpsc::Receiver<Coming>,
}

/// What is said where an answer cannot be read.
pub(super) const UNREADABLE: McpError =
    McpError::Malformed("what it sent is not JSON, or is nested too deeply");

/// What reads the stream.
struct Reader {
    body: Body,
    stream: EventStream,
    access: HeldAccess,
    waiting: Arc<Waiting>,
    news: Arc<News>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Line {
    /// Opens the stream of a server; `None` if there is no such stream.
    pub(super) async fn open(
        upstream: &Upstream,
        access: &HeldAccess,
    ) -> Result<Option<Self>, McpError> {
        let mut stream = EventStream::default();
        let opening = async {
            let opened = upstream.send(access, Method::GET, HeaderMap::new(), Vec::new());
            let opened = opened.await.ok()?;
            let is_stream = opened.status() == 200 && media_type(&opened) == Media::Events;
            let mut body = is_stream.then(|| opened.into_body())?;
            let events = first_events(&mut body, &mut stream).await?;
            Some((body, events.into_iter()))
        };
        let Ok(Some((body, mut events))) = timeout(MCP_ENDPOINT_TIME, opening).await else {
            return Ok(None);
        };
        let Some(first) = events.next().filter(|first| first.kind == b"endpoint") else {
            return Ok(None);
        };
        let server = lock(&upstream.url).clone();
        let endpoint = endpoint(&server, &first.data).ok_or(McpError::Endpoint)?;
        let waiting = Arc::new(Waiting::default());
        let news = Arc::new(News::default());
        let reader = Reader {
            body,
            stream,
            access: access.clone(),
            waiting: Arc::clone(&waiting),
            news: Arc::clone(&news),
        };
        let reader = tokio::spawn(reader.read(events.collect())).abort_handle();
        Ok(Some(Self {
            endpoint,
            access: access.clone(),
            waiting,
            news,
            reader,
        }))
    }

    /// Whether the stream is open, and would be opened now.
    pub(super) fn holds(&self, access: &HeldAccess) -> bool {
        !self.waiting.is_closed() && self.access.is_same(access)
    }

    /// What the server tells of changes, from now on.
    pub(super) fn follow(&self) -> Following {
        self.news.follow()
    }

    /// A request, and its result.
    pub(super) async fn request(
        &self,
        (upstream, access): (&Upstream, &HeldAccess),
        (id, message): (u64, Vec<u8>),
        (talk, told): (&Talk, &(dyn Fn(Change) + Send + Sync)),
    ) -> Result<Bytes, Failure> {
        let mut following = self.news.follow();
        let mut awaited = self.waiting.enter(id)?;
        let posting = async {
            let sending = upstream.send_to(
                &self.endpoint,
                (access, Method::POST),
                HeaderMap::new(),
                message,
            );
            let answer = sending.await?;
            if answer.status().is_success() {
                return Ok(());
            }
            Err(failed(access, answer, true).await)
        };
        tokio::pin!(posting);
        let (mut is_posted, mut asides) = (false, Asides::default());
        loop {
            tokio::select! {
                biased;
                changes = following.next() => changes.into_iter().for_each(told),
                // It may come before the server says that it took the request.
                coming = awaited.coming.recv() => match coming.ok_or(McpError::Cut)? {
                    Coming::Answer(answer) => return answer.map_err(Failure::Refused),
                    Coming::Notice(notice) => talk.tell(notice).await,
                    Coming::Unreadable => return Err(UNREADABLE.into()),
                    Coming::Asked(id, asked) => {
                        if let Some(answer) = asides.answer(&id, asked) {
                            let to = (access, Method::POST);
                            let telling = upstream.send_to(&self.endpoint, to, HeaderMap::new(), answer);
                            // Whether it arrives does not matter.
                            let _ = timeout(MCP_ASIDE_TIME, telling).await;
                        }
                    }
                },
                posted = &mut posting, if !is_posted => {
                    posted?;
                    is_posted = true;
                }
            }
        }
    }
}

/// Nobody waits yet.
impl Default for Waiting {
    fn default() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }
}

impl Waiting {
    /// Waits for the answer to this request, before it is sent.
    pub(super) fn enter(&self, id: u64) -> Result<Awaited<'_>, McpError> {
        // One place more is for the answer: whatever else there is no room for is missed.
        let (sender, coming) = mpsc::channel(MCP_GATEWAY_NOTICES + 1);
        let mut all = lock(&self.0);
        // Nothing was sent yet.
        all.as_mut()
            .ok_or(McpError::SessionGone)?
            .insert(id, sender);
        Ok(Awaited {
            id,
            waiting: self,
            coming,
        })
    }

    /// Hands an answer over; whether anybody waited for it. It comes once: what a server says under the same id again is for nobody.
    pub(super) fn answered(&self, id: u64, answer: Result<Bytes, Bytes>) -> bool {
        let waits = lock(&self.0).as_mut().and_then(|all| all.remove(&id));
        waits.is_some_and(|waits| waits.try_send(Coming::Answer(answer)).is_ok())
    }

    /// Tells who waits under this id, or, without one, anybody.
    pub(super) fn tell(&self, id: Option<u64>, coming: Coming) {
        let all = lock(&self.0);
        let Some(all) = all.as_ref() else { return };
        let found = match id {
            Some(id) => all.get(&id),
            None => all.values().next(),
        };
        if let Some(one) = found {
            notify(one, coming);
        }
    }

    /// Tells who waits, if nobody else does.
    pub(super) fn tell_only(&self, coming: Coming) {
        let all = lock(&self.0);
        let mut all = all.iter().flat_map(HashMap::values);
        if let (Some(one), None) = (all.next(), all.next()) {
            notify(one, coming);
        }
    }

    /// The answer of who waits, if nobody else does, most likely came and cannot be read.
    pub(super) fn unreadable(&self) {
        let mut all = lock(&self.0);
        let Some(all) = all.as_mut().filter(|all| all.len() == 1) else {
            return;
        };
        for (_, waits) in all.drain() {
            let _ = waits.try_send(Coming::Unreadable);
        }
    }

    /// Nothing comes any more: whoever waits is told by the end of their channel.
    pub(super) fn close(&self) {
        *lock(&self.0) = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.0).is_none()
    }
}

/// Of those who wait some may not read: nobody else waits for them, so they miss what there is no room for.
fn notify(one: &mpsc::Sender<Coming>, coming: Coming) {
    if one.capacity() > 1 {
        let _ = one.try_send(coming);
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if let Some(all) = lock(&self.waiting.0).as_mut() {
            all.remove(&self.id);
        }
    }
}

impl Reader {
    async fn read(mut self, events: Vec<Event>) {
        if self.take(events).is_ok() {
            self.read_on().await;
        }
        self.waiting.close();
    }

    async fn read_on(&mut self) {
        // What comes between two answers is bounded, as the stream of an answer is.
        let mut room = MCP_ANSWER_BYTES;
        while let Some(Ok(frame)) = self.body.frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let Some(left) = room.checked_sub(data.len()) else {
                return;
            };
            room = left;
            let events = self.stream.push(data);
            match self.take(events) {
                Ok(true) => room = MCP_ANSWER_BYTES,
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether somebody waited for one of them.
    fn take(&self, events: Vec<Event>) -> Result<bool, McpError> {
        let mut was_awaited = false;
        for event in events.into_iter().filter(|event| !event.is_empty()) {
            match Said::of(&self.access, event.data.into())? {
                Said::Answer { id, answer } => was_awaited |= self.waiting.answered(id, answer),
                Said::Asks { id, asked } => self.waiting.tell(None, Coming::Asked(id, asked)),
                Said::Tells { method, params } => {
                    if let Some(change) = change(&method, &params) {
                        self.news.tell(change);
                    } else if let Some(notice) = Notice::of(&method, &params) {
                        let token = Fields::of(&params)
                            .and_then(|params| params.get("progressToken")?.get().parse().ok());
                        self.waiting.tell(token, Coming::Notice(notice));
                    }
                }
                Said::Else => {}
            }
        }
        Ok(was_awaited)
    }
}

/// What comes up to the first event, with those that came along with it.
async fn first_events(body: &mut Body, stream: &mut EventStream) -> Option<Vec<Event>> {
    let mut room = MCP_ERROR_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else {
            continue;
        };
        room = room.checked_sub(data.len())?;
        let events = stream.push(data);
        if !events.is_empty() {
            return Some(events);
        }
    }
    None
}

/// Where to send, if it is of the server's own origin: the token goes there.
fn endpoint(server: &HttpUrl, named: &[u8]) -> Option<HttpUrl> {
    let named = std::str::from_utf8(named).ok()?.trim();
    let url = server.url().join(named).ok()?;
    let fits = url.as_str().len() <= MCP_SERVER_URL_CHARS;
    let is_own = fits && url.origin() == server.url().origin();
    is_own.then(|| url.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_once_and_there_is_always_room_for_it() {
        let waiting = Waiting::default();
        let mut one = waiting.enter(7).unwrap();
        let notice = || Coming::Notice(Notice::Progress(Bytes::from_static(b"{}")));
        for _ in 0..MCP_GATEWAY_NOTICES * 2 {
            waiting.tell(Some(7), notice());
            waiting.tell(None, notice());
        }
        let answer = || Ok(Bytes::from_static(b"{}"));
        assert!(waiting.answered(7, answer()));
        assert!(!waiting.answered(7, answer()));
        let come: Vec<_> = std::iter::from_fn(|| one.coming.try_recv().ok()).collect();
        assert_eq!(come.len(), MCP_GATEWAY_NOTICES + 1);
        assert!(matches!(come.last(), Some(Coming::Answer(Ok(_)))));
    }

    #[test]
    fn an_endpoint_is_of_the_servers_own_origin() {
        let server: HttpUrl = "https://mcp.example.com/a/sse".parse().unwrap();
        let of = |named: &str| endpoint(&server, named.as_bytes()).map(|url| url.to_string());
        let own = "https://mcp.example.com/messages?session_id=1";
        assert_eq!(of("/messages?session_id=1").as_deref(), Some(own));
        for other in [
            "http://mcp.example.com/messages",
            "https://mcp.example.com:8443/messages",
            "//evil.example.com/messages",
            "\\\\evil.example.com/messages",
            "https://user@mcp.example.com/messages",
            "file:///etc/passwd",
            &format!("/{}", "x".repeat(4000)),
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
