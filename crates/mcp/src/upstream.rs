//! A server behind a gateway, as one view sees it: what is asked and what is answered is passed on as it is.
//!
//! [`McpClient`](crate::McpClient) reads what servers say, for a session's agent, and dials for each request. A gateway reads no more than it
//! must, and its requests share connections, which belong to one policy: [`Connections`].
//!
//! What a server is asked is sent once. It is sent again only where the server says that it did not know the session it came with, and so ran
//! nothing.

mod access;
mod answer;
mod begin;
mod line;
mod listen;
mod piped;
mod pulse;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bailiwick_model::limits::{MCP_ASIDE_TIME, MCP_ASIDES, MCP_CALL_TIME, OUTBOUND_REDIRECTS};
use bailiwick_outbound::{Body, HttpUrl, Message, NotHttpUrl, OutboundError};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, Response};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::client::{METHOD, McpError, NAME};
use crate::lock::lock;
use crate::news::Change;
use crate::raw::Fields;
use crate::view::{LogLevel, Progress, Talk};
pub use access::{Connections, HeldAccess};
use answer::Asked;
use begin::Agreed;
pub(crate) use begin::Offer;
pub(crate) use listen::Wish;
pub use piped::PipedServer;
pub use pulse::Pulse;

/// A server.
pub(crate) struct Upstream {
    /// Where it was said to be, which is what its access is for.
    given: HttpUrl,
    /// Where it led to within its origin.
    url: Mutex<HttpUrl>,
    agreed: watch::Sender<Option<Arc<Agreed>>>,
    beginning: tokio::sync::Mutex<()>,
    last_id: AtomicU64,
    level: Mutex<Option<LogLevel>>,
    /// To which resources of a server without sessions somebody is subscribed.
    subscribed: watch::Sender<BTreeSet<String>>,
}

/// A request.
pub(crate) struct Question<'a> {
    pub(crate) method: &'static str,
    /// Its parameters, raw: the fields of an object, without its braces.
    pub(crate) fields: &'a [u8],
    /// What it is about, for a header.
    pub(crate) name: Option<&'a str>,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server refused, in these words: an error of JSON-RPC, raw.
    Refused(Bytes),
    /// It did not answer, or not as it should.
    Failed(McpError),
}

impl From<McpError> for Failure {
    fn from(error: McpError) -> Self {
        Self::Failed(error)
    }
}

impl Upstream {
    /// Nothing is sent until it is used.
    pub(crate) fn new(url: Url) -> Result<Self, NotHttpUrl> {
        let given: HttpUrl = url.try_into()?;
        Ok(Self {
            url: Mutex::new(given.clone()),
            given,
            agreed: watch::Sender::new(None),
            beginning: tokio::sync::Mutex::default(),
            last_id: AtomicU64::new(0),
            level: Mutex::default(),
            subscribed: watch::Sender::new(BTreeSet::new()),
        })
    }

    /// Asks, and gives the result, raw.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        access: &HeldAccess,
        question: &Question<'_>,
        (talk, told): (&Talk, &(dyn Fn(Change) + Send + Sync)),
    ) -> Result<Bytes, Failure> {
        let end = Instant::now() + MCP_CALL_TIME;
        let _asking = access.begin_asking();
        match self.ask_once(access, question, (talk, told), end).await {
            Err(Failure::Failed(McpError::SessionGone)) => {
                self.ask_once(access, question, (talk, told), end).await
            }
            asked => asked,
        }
    }

    /// What a server does; it is begun with if that was not done.
    pub(crate) async fn offers(
        self: &Arc<Self>,
        access: &HeldAccess,
        offer: Offer,
    ) -> Result<bool, Failure> {
        Ok(self.agreed(access).await?.offers(offer))
    }

    async fn ask_once(
        self: &Arc<Self>,
        access: &HeldAccess,
        question: &Question<'_>,
        (talk, told): (&Talk, &(dyn Fn(Change) + Send + Sync)),
        end: Instant,
    ) -> Result<Bytes, Failure> {
        let agreed = self.agreed(access).await?;
        let id = agreed
            .pipes()
            .map_or_else(|| self.fresh_id(), |it| it.fresh_id());
        let message = question.message(id, &agreed, talk);
        let mut headers = agreed.headers().clone();
        if !agreed.has_sessions() {
            question.mirror(&mut headers);
        }
        let mut unfinished = Unfinished::new((self, access, &agreed), id, talk);
        let asking = async {
            if let Some(line) = agreed.line() {
                let to = (self.as_ref(), access);
                return line.request(to, (id, message), (talk, told)).await;
            }
            if let Some(pipes) = agreed.pipes() {
                return pipes.request((id, message), (talk, told)).await;
            }
            let answer = self.send(access, Method::POST, headers, message).await?;
            let has_session = agreed.session().is_some();
            let heard = self.answer((access, &agreed), answer, has_session, id, (talk, told));
            heard.await
        };
        let asked = tokio::time::timeout_at(end, asking).await;
        let Ok(asked) = asked else {
            // The one place where nobody hung up, and yet nobody waits any more.
            unfinished.is_given_up = true;
            return Err(McpError::Timeout.into());
        };
        unfinished.is_over = true;
        match &asked {
            Err(Failure::Failed(McpError::SessionGone)) => {
                self.forget(&agreed);
                // Most likely it was started anew, and may have other things.
                for change in [Change::Tools, Change::Prompts, Change::Resources] {
                    told(change);
                }
            }
            Ok(result) if !agreed.has_sessions() && is_incomplete(result) => {
                let wants = "it wants input that nobody can give here";
                return Err(McpError::Malformed(wants).into());
            }
            Ok(_) | Err(_) => {}
        }
        asked
    }

    /// Sends a message and does not wait for what is said to it.
    async fn tell(&self, access: &HeldAccess, agreed: &Agreed, message: Vec<u8>) {
        if let Some(pipes) = agreed.pipes() {
            pipes.tell(message).await;
            return;
        }
        let headers = agreed.headers().clone();
        let url = match agreed.line() {
            Some(line) => line.endpoint.clone(),
            None => lock(&self.url).clone(),
        };
        let sending = self.send_to(&url, (access, Method::POST), headers, message);
        let _ = timeout(MCP_ASIDE_TIME, sending).await;
    }

    /// Sends to where the server is, and to where it leads within its origin.
    async fn send(
        &self,
        access: &HeldAccess,
        method: Method,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Body>, McpError> {
        let url = lock(&self.url).clone();
        self.send_to(&url, (access, method), headers, body).await
    }

    async fn send_to(
        &self,
        url: &HttpUrl,
        (access, method): (&HeldAccess, Method),
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Body>, McpError> {
        // The access is of now, and the URL of when the server was joined.
        if !access.is_for(&self.given) {
            return Err(McpError::NotAsked(
                "the server of this name is another one by now".to_owned(),
            ));
        }
        if let Some(authorization) = access.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let accept = match method {
            Method::GET => "text/event-stream",
            _ => "application/json, text/event-stream",
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if !body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, json);
        }
        let body = Bytes::from(body);
        let mut url = url.clone();
        for _ in 0..=OUTBOUND_REDIRECTS {
            let message = Message {
                method: method.clone(),
                headers: headers.clone(),
                body: Full::new(body.clone()),
            };
            let answer = access.connections()?.ask(&url, message).await?;
            let Some(other) = redirected(&url, &answer) else {
                return Ok(answer);
            };
            let mut known = lock(&self.url);
            if *known == url {
                // It is asked there from now on.
                *known = other.clone();
            }
            drop(known);
            url = other;
        }
        Err(McpError::Redirect(307))
    }

    fn fresh_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Says which messages of its log a server is to send.
    pub(crate) async fn set_level(self: &Arc<Self>, access: &HeldAccess, level: LogLevel) {
        *lock(&self.level) = Some(level);
        let agreed = self.agreed.borrow().clone();
        if let Some(agreed) = agreed {
            self.tell_level(access, &agreed).await;
        }
    }

    async fn tell_level(&self, access: &HeldAccess, agreed: &Agreed) {
        let level = match agreed.pipes() {
            // It is everybody's.
            Some(pipes) => lock(&self.level).and_then(|level| pipes.lowered(level)),
            None => *lock(&self.level),
        };
        if let Some(level) = level.filter(|_| agreed.has_sessions() && agreed.offers(Offer::Log)) {
            let fields = format!(r#""level":"{}""#, level.name());
            let question = Question {
                method: "logging/setLevel",
                fields: fields.as_bytes(),
                name: None,
            };
            let id = agreed
                .pipes()
                .map_or_else(|| self.fresh_id(), |it| it.fresh_id());
            let message = question.message(id, agreed, &Talk::silent());
            self.tell(access, agreed, message).await;
        }
    }

    /// Ends the session with the server, if there is one.
    pub(crate) async fn end(&self, access: &HeldAccess) {
        let agreed = self.agreed.send_replace(None);
        if let Some(agreed) = agreed.filter(|agreed| agreed.session().is_some()) {
            let headers = agreed.headers().clone();
            let ending = self.send(access, Method::DELETE, headers, Vec::new());
            let _ = timeout(MCP_ASIDE_TIME, ending).await;
        }
    }
}

impl Question<'_> {
    fn message(&self, id: u64, agreed: &Agreed, talk: &Talk) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.fields.len() + 160);
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.extend_from_slice(id.to_string().as_bytes());
        out.extend_from_slice(br#","method":""#);
        out.extend_from_slice(self.method.as_bytes());
        out.extend_from_slice(br#"","params":{"#);
        out.extend_from_slice(self.fields);
        let mut meta = Vec::new();
        if talk.progress() == Progress::Wanted {
            meta.extend_from_slice(format!(r#""progressToken":{id}"#).as_bytes());
        }
        agreed.write_meta(&mut meta, talk.level());
        if let Some(rest) = talk.meta().and_then(|rest| Fields::of(rest)) {
            let has_fields = !meta.is_empty();
            rest.write_into(&mut meta, has_fields);
        }
        if !meta.is_empty() {
            if !self.fields.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(br#""_meta":{"#);
            out.extend_from_slice(&meta);
            out.push(b'}');
        }
        out.extend_from_slice(b"}}");
        out
    }

    /// What a request of the revision without sessions says in its head too.
    fn mirror(&self, headers: &mut HeaderMap) {
        headers.insert(METHOD, HeaderValue::from_static(self.method));
        if let Some(name) = self.name.and_then(begin::header_value) {
            headers.insert(NAME, name);
        }
    }
}

/// A request that has no answer yet. If it is dropped so, the server is told, where the client wants it to be stopped.
struct Unfinished<'a> {
    upstream: &'a Arc<Upstream>,
    access: &'a HeldAccess,
    agreed: &'a Arc<Agreed>,
    id: u64,
    talk: &'a Talk,
    is_over: bool,
    is_given_up: bool,
}

impl<'a> Unfinished<'a> {
    fn new(
        (upstream, access, agreed): (&'a Arc<Upstream>, &'a HeldAccess, &'a Arc<Agreed>),
        id: u64,
        talk: &'a Talk,
    ) -> Self {
        Self {
            upstream,
            access,
            agreed,
            id,
            talk,
            is_over: false,
            is_given_up: false,
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let is_to_stop = self.is_given_up || self.talk.cancellation().is_cancelled();
        // Where there are no sessions, the end of the connection says it; where there is no connection, nothing else does.
        let is_to_be_told = self.agreed.has_sessions() || self.agreed.pipes().is_some();
        if self.is_over || !is_to_stop || !is_to_be_told {
            return;
        }
        let upstream = Arc::clone(self.upstream);
        let (access, agreed) = (self.access.clone(), Arc::clone(self.agreed));
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{},"reason":"nobody waits for it any more"}}}}"#,
            self.id
        );
        tokio::spawn(async move { upstream.tell(&access, &agreed, message.into_bytes()).await });
    }
}

/// What a server asks itself, and how often it is answered.
struct Asides(u32);

impl Default for Asides {
    fn default() -> Self {
        Self(MCP_ASIDES)
    }
}

impl Asides {
    /// The answer, if there is still one to be given. Nothing was promised to the server but that somebody is there.
    fn answer(&mut self, id: &RawValue, asked: Asked) -> Option<Vec<u8>> {
        self.0 = self.0.checked_sub(1)?;
        let said = match asked {
            Asked::Ping => r#""result":{}"#,
            Asked::Other => r#""error":{"code":-32601,"message":"this client has no such method"}"#,
        };
        Some(format!(r#"{{"jsonrpc":"2.0","id":{},{said}}}"#, id.get()).into_bytes())
    }
}

/// Where an answer leads, if it may be followed: with the same method and body, within the origin.
fn redirected(from: &HttpUrl, answer: &Response<Body>) -> Option<HttpUrl> {
    if !matches!(answer.status().as_u16(), 307 | 308) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let url = from.url().join(location).ok()?;
    let is_within = url.origin() == from.url().origin();
    is_within.then(|| url.try_into().ok())?
}

/// Whether a result of the revision without sessions is only a question back.
fn is_incomplete(result: &[u8]) -> bool {
    let kind = Fields::of(result).and_then(|result| result.text("resultType"));
    kind.is_some_and(|kind| kind != "complete")
}

impl From<OutboundError> for Failure {
    fn from(error: OutboundError) -> Self {
        Self::Failed(error.into())
    }
}
