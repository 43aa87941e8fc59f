//! Servers of the older transport (2024-11-05, Transports, "HTTP with SSE"): one stream, on which everything comes, and an endpoint that it
//! names, where everything is sent.
//!
//! The stream is the session. It is read by a task of its own, and closed by the first use under another access than it was opened under.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bailiwick_model::limits::{
    MCP_ANSWER_BYTES, MCP_ENDPOINT_TIME, MCP_ERROR_BYTES, MCP_GATEWAY_NOTICES, MCP_SERVER_URL_CHARS,
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

use super::answer::{Media, Said, change, failed, media_type};
use super::{Asides, Failure, HeldAccess, Upstream, lock};
use crate::client::McpError;
use crate::events::{Event, EventStream};
use crate::news::{Change, Following, News};
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
enum Coming {
    Answer(Result<Bytes, Bytes>),
    Notice(Notice),
    /// The server asks something while somebody waits: who does answers it.
    Asked(Box<RawValue>, String),
}

/// Who waits for answers; `None` once none can come any more.
struct Waiting(Mutex<Option<HashMap<u64, mpsc::Sender<Coming>>>>);

/// One who waits, for as long as they do.
struct Awaited<'a> {
    id: u64,
    waiting: &'a Waiting,
    coming: mpsc::Receiver<Coming>,
}

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
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
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
        lock(&self.waiting.0).is_some() && self.access.is_same(access)
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
                    Coming::Asked(id, method) => {
                        if let Some(answer) = asides.answer(&id, &method) {
                            let to = (access, Method::POST);
                            let telling = upstream.send_to(&self.endpoint, to, HeaderMap::new(), answer);
                            // Whether it arrives does not matter.
                            let _ = timeout(super::MCP_ASIDE_TIME, telling).await;
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

impl Waiting {
    /// Waits for the answer to this request, before it is sent.
    fn enter(&self, id: u64) -> Result<Awaited<'_>, McpError> {
        let (sender, coming) = mpsc::channel(MCP_GATEWAY_NOTICES);
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

    /// Who waits under this id; without one, anybody.
    fn one(&self, id: Option<u64>) -> Option<mpsc::Sender<Coming>> {
        let all = lock(&self.0);
        let all = all.as_ref()?;
        let found = match id {
            Some(id) => all.get(&id),
            None => all.values().next(),
        };
        found.cloned()
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
        if self.take(events).await.is_ok() {
            self.read_on().await;
        }
        // Whoever waits is told by the end of their channel.
        *lock(&self.waiting.0) = None;
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
            match self.take(events).await {
                Ok(true) => room = MCP_ANSWER_BYTES,
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether somebody waited for one of them. Of those who wait some may not read: nobody else waits for them, so they miss what there is no
    /// room for, but for answers, which come once.
    async fn take(&self, events: Vec<Event>) -> Result<bool, McpError> {
        let mut was_awaited = false;
        for event in events.into_iter().filter(|event| !event.is_empty()) {
            match Said::of(&self.access, event.data.into())? {
                Said::Answer { id, answer } => {
                    if let Some(one) = self.waiting.one(Some(id)) {
                        was_awaited = true;
                        let last =
                            tokio::spawn(async move { one.send(Coming::Answer(answer)).await });
                        drop(last);
                    }
                }
                Said::Asks { id, method } => {
                    if let Some(one) = self.waiting.one(None) {
                        let _ = one.try_send(Coming::Asked(id, method));
                    }
                }
                Said::Tells { method, params } => {
                    if let Some(change) = change(&method, &params) {
                        self.news.tell(change);
                    } else if let Some(notice) = Notice::of(&method, &params) {
                        let token = crate::raw::Fields::of(&params)
                            .and_then(|params| params.get("progressToken")?.get().parse().ok());
                        if let Some(one) = self.waiting.one(token) {
                            let _ = one.try_send(Coming::Notice(notice));
                        }
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
