//! The older transport (HTTP+SSE of 2024-11-05): one stream, on which everything comes, and an endpoint that it names, where everything is sent.
//!
//! The stream is the session. It is kept between uses, for as long as the access of each use would let it be made anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::limits::{
    MCP_ANSWER_BYTES, MCP_ASIDES, MCP_ENDPOINT_TIME, MCP_ERROR_BYTES, MCP_SERVER_URL_CHARS,
};
use bailiwick_outbound::Outbound;
use http_body_util::BodyExt as _;
use hyper::Method;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use url::Url;

use super::kept::Kept;
use super::talk::{Room, TOOLS_CHANGED, Talk, heard, media_type};
use super::{Access, McpError};
use crate::events::{Event, EventStream};
use crate::heard::{Heard, RpcError};
use crate::outbound::Opened;
use crate::secrets::Secrets;

/// A stream that is open, and where to send.
pub(super) struct Line {
    pub(super) endpoint: Url,
    kept: Kept,
    waiting: Arc<Waiting>,
    /// What the server asks itself.
    asked: tokio::sync::Mutex<mpsc::Receiver<(Value, String)>>,
    reader: AbortHandle,
}

type Answer = Result<Map<String, Value>, RpcError>;

/// Who waits for answers; `None` once none can come any more.
struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

/// One who waits, for as long as they do.
struct Awaited<'a> {
    id: u64,
    waiting: &'a Waiting,
    answer: oneshot::Receiver<Answer>,
}

/// What reads the stream.
struct Reader {
    opened: Opened,
    stream: EventStream,
    secrets: Secrets,
    waiting: Arc<Waiting>,
    asks: mpsc::Sender<(Value, String)>,
    has_changed: Arc<AtomicBool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Line {
    /// Opens the stream of a server; `None` if there is no such stream.
    pub(super) async fn open(talk: &Talk<'_>) -> Result<Option<Self>, McpError> {
        let mut stream = EventStream::default();
        let opening = async {
            let server = &talk.client.server;
            let opened = talk.send(Method::GET, server, None, Vec::new()).await;
            let mut opened = opened.ok().filter(is_stream)?;
            let events = first_events(&mut opened, &mut stream).await;
            Some((opened, events.ok()?.into_iter()))
        };
        let opened = tokio::time::timeout(MCP_ENDPOINT_TIME, opening).await;
        let Ok(Some((opened, mut events))) = opened else {
            return Ok(None);
        };
        let Some(first) = events.next().filter(|first| first.kind == b"endpoint") else {
            return Ok(None);
        };
        let endpoint = endpoint(opened.reached.url.url(), &first.data).ok_or(McpError::Endpoint)?;
        let kept = Kept::new(opened.reached.clone(), talk.access);
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        let (asks, asked) = mpsc::channel(MCP_ASIDES as usize);
        let reader = Reader {
            opened,
            stream,
            secrets: talk.secrets.clone(),
            waiting: Arc::clone(&waiting),
            asks,
            has_changed: Arc::clone(&talk.client.has_changed),
        };
        let reader = tokio::spawn(reader.read(events.collect())).abort_handle();
        Ok(Some(Self {
            endpoint,
            kept,
            waiting,
            asked: tokio::sync::Mutex::new(asked),
            reader,
        }))
    }

    /// Whether the stream is open and may be.
    pub(super) fn holds(&self, outbound: &Outbound, access: Access<'_>) -> bool {
        self.waiting.lock().is_some() && self.kept.holds(outbound, access)
    }

    /// A request, and its result.
    pub(super) async fn request(
        &self,
        talk: &Talk<'_>,
        id: u64,
        message: &Value,
    ) -> Result<Map<String, Value>, McpError> {
        let mut awaited = self.waiting.enter(id)?;
        let mut room = Room::default();
        let posting = async {
            let opened = talk.send(Method::POST, &self.endpoint, Some(message), Vec::new());
            let opened = opened.await?;
            if opened.answer.status().is_success() {
                Ok(())
            } else {
                Err(talk.failed(opened, true).await)
            }
        };
        tokio::pin!(posting);
        let mut is_posted = false;
        loop {
            tokio::select! {
                biased;
                // It may come before the server says that it took the request.
                answer = &mut awaited.answer => return Ok(answer.map_err(|_| McpError::Cut)??),
                posted = &mut posting, if !is_posted => {
                    posted?;
                    is_posted = true;
                }
                asked = self.asked() => self.reply(talk, &mut room, &asked).await,
            }
        }
    }

    /// Answers what the server asks, until its stream has ended or `end`; whether it is still open.
    pub(super) async fn listen(&self, talk: &Talk<'_>, end: Instant) -> bool {
        let mut room = Room::default();
        let answering = async {
            loop {
                let asked = self.asked().await;
                self.reply(talk, &mut room, &asked).await;
            }
        };
        // It has no end of its own.
        let Err(_) = tokio::time::timeout_at(end, answering).await;
        self.waiting.lock().is_some()
    }

    async fn reply(&self, talk: &Talk<'_>, room: &mut Room, (id, method): &(Value, String)) {
        talk.reply(room, &self.endpoint, (id, method), &[]).await;
    }

    /// What the server asks next. It never comes once the stream has ended.
    async fn asked(&self) -> (Value, String) {
        match self.asked.lock().await.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Waiting {
    /// Waits for the answer to this request, before it is sent.
    fn enter(&self, id: u64) -> Result<Awaited<'_>, McpError> {
        let (sender, answer) = oneshot::channel();
        let mut all = self.lock();
        // Nothing was sent yet.
        let all = all.as_mut().ok_or(McpError::SessionGone)?;
        all.insert(id, sender);
        Ok(Awaited {
            id,
            waiting: self,
            answer,
        })
    }

    /// Hands an answer over; whether anybody waited for it.
    fn answered(&self, id: u64, answer: Answer) -> bool {
        let waits = self.lock().as_mut().and_then(|all| all.remove(&id));
        waits.is_some_and(|waits| waits.send(answer).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if let Some(all) = self.waiting.lock().as_mut() {
            all.remove(&self.id);
        }
    }
}

impl Reader {
    async fn read(mut self, events: Vec<Event>) {
        if self.take(events).is_ok() {
            self.read_on().await;
        }
        // Whoever waits is told by the end of their channel.
        *self.waiting.lock() = None;
    }

    async fn read_on(&mut self) {
        // What comes between two answers is bounded, as the stream of an answer is.
        let mut room = MCP_ANSWER_BYTES;
        while let Some(Ok(frame)) = self.opened.answer.body_mut().frame().await {
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
            match heard(&event.data, &self.secrets)? {
                Heard::Answer { id, answer } => was_awaited |= self.waiting.answered(id, answer),
                Heard::Told(method) if method == TOOLS_CHANGED => {
                    self.has_changed.store(true, Ordering::Relaxed);
                }
                // What there is no room for is not answered.
                Heard::Asked { id, method } => drop(self.asks.try_send((id, method))),
                Heard::Told(_) | Heard::Else => {}
            }
        }
        Ok(was_awaited)
    }
}

fn is_stream(opened: &Opened) -> bool {
    opened.answer.status() == 200 && media_type(opened) == "text/event-stream"
}

/// What comes up to the first event, with those that came along with it.
async fn first_events(
    opened: &mut Opened,
    stream: &mut EventStream,
) -> Result<Vec<Event>, McpError> {
    let mut room = Room {
        bytes: MCP_ERROR_BYTES,
        ..Room::default()
    };
    while let Some(Ok(frame)) = opened.answer.body_mut().frame().await {
        let Some(data) = frame.data_ref() else {
            continue;
        };
        room.take(data.len())?;
        let events = stream.push(data);
        if !events.is_empty() {
            return Ok(events);
        }
    }
    Ok(Vec::new())
}

/// Where to send, if it is of the server's own origin: the token goes there.
fn endpoint(server: &Url, named: &[u8]) -> Option<Url> {
    let named = std::str::from_utf8(named).ok()?.trim();
    let url = server.join(named).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let fits = url.as_str().len() <= MCP_SERVER_URL_CHARS;
    (url.origin() == server.origin() && is_plain && fits).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_of_the_servers_own_origin() {
        let server = "https://mcp.example.com/a/sse".parse().unwrap();
        let of = |named: &str| endpoint(&server, named.as_bytes()).map(String::from);
        let own = "https://mcp.example.com/messages?session_id=1";
        assert_eq!(of("/messages?session_id=1").as_deref(), Some(own));
        assert_eq!(of(own).as_deref(), Some(own));
        let below = "https://mcp.example.com/a/messages";
        assert_eq!(of("messages").as_deref(), Some(below));
        for other in [
            "http://mcp.example.com/messages",
            "https://mcp.example.com:8443/messages",
            "https://evil.example.com/messages",
            "//evil.example.com/messages",
            "\\\\evil.example.com/messages",
            "https://user@mcp.example.com/messages",
            "http://169.254.169.254/",
            "file:///etc/passwd",
            "data:,x",
            &format!("/{}", "x".repeat(4000)),
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
