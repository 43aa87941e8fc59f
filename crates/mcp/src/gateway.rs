//! The server side: a gateway answers clients of every revision of the protocol (Streamable HTTP), and knows nothing of who may see what.
//!
//! Revisions up to 2025-11-25 have sessions (over Streamable HTTP, or the transport before it); each belongs to the caller who began it and has a view of its own. In 2026-07-28 every request is
//! for itself. A request's answer is JSON, and becomes a stream of events if something is told before the result: progress, or a message of a
//! log. Streams cannot be resumed, which no revision asks of a server; what changed while nobody listened is told on the next one.
//!
//! What servers ask of clients (sampling, elicitation, roots) is not passed on: see [`Joined`](crate::Joined).

mod body;
mod incoming;
mod line;
mod outgoing;
mod post;
mod refusal;
mod reply;
mod revision;
mod running;
mod session;
mod streams;
mod turns;

use std::sync::Arc;

use bailiwick_model::limits::{MCP_GATEWAY_MESSAGE_BYTES, MCP_GATEWAY_MESSAGE_TIME};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use crate::client::{SESSION, VERSION};
use crate::view::View;
pub use body::GatewayBody;
use line::Lines;
use refusal::Refusal;
use revision::{Era, Revision};
use session::{Session, Sessions};

/// Serves views to clients.
pub struct Gateway<V> {
    entrance: Entrance,
    sessions: Arc<Sessions<V>>,
    lines: Arc<Lines<V>>,
}

/// Who asks. It is whatever tells callers apart; what one began nobody else can use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller(Arc<str>);

/// For how long a view is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// For a session: the view is this session's alone.
    Session,
    /// For a request of a revision without sessions. The views of one caller may be one, so that what it began with servers is used again.
    Request,
}

/// From where a gateway may be asked (2025-11-25, Transports, "Security Warning").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// By which names of this machine.
    pub hosts: Hosts,
    /// Pages of which origins may ask, as browsers write them. Who is no browser says no origin.
    pub origins: Vec<String>,
}

/// Names under which a gateway is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// It is not looked at: something before the gateway does.
    Any,
    /// These, as `Host` has them: with the port, unless it is the usual one.
    Only(Vec<String>),
}

impl Caller {
    /// Who is told apart by this.
    pub fn new(caller: &str) -> Self {
        Self(caller.into())
    }
}

impl<V: View> Gateway<V> {
    /// One without sessions yet.
    pub fn new(entrance: Entrance) -> Self {
        Self {
            entrance,
            sessions: Arc::default(),
            lines: Arc::default(),
        }
    }

    /// Answers a request of a caller whom somebody knows already. It is given a view where it needs one.
    pub async fn answer<B>(
        &self,
        caller: &Caller,
        view: impl FnOnce(Span) -> Arc<V>,
        request: Request<B>,
    ) -> Response<GatewayBody>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let era = era_of_header(request.headers());
        let answered = match self.entrance.lets_in(&request) {
            Err(refusal) => Err(refusal),
            Ok(()) => match *request.method() {
                Method::POST => self.post(caller, view, request).await,
                Method::GET => self.get(caller, request.headers()),
                Method::DELETE => self.delete(caller, request.headers()),
                _ => Err(Refusal::Method),
            },
        };
        answered.unwrap_or_else(|refusal| reply::refused(&refusal, None, era))
    }

    /// Ends the sessions that nobody has used for long. Beginning one does so too; this is for gateways where nobody begins any.
    pub fn end_idle(&self) {
        end_all(self.sessions.end_idle());
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    async fn post<B>(
        &self,
        caller: &Caller,
        view: impl FnOnce(Span) -> Arc<V>,
        request: Request<B>,
    ) -> Result<Response<GatewayBody>, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (head, body) = request.into_parts();
        let is_json = header(&head.headers, CONTENT_TYPE).is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("application/json")
        });
        if !is_json {
            return Err(Refusal::MediaType);
        }
        // What is sent in the older transport is not answered here.
        if let Some(line) = head
            .uri
            .query()
            .and_then(|query| query.strip_prefix("line="))
        {
            let body = whole(body).await?;
            return self.post_to_line((caller, view), line, &body).await;
        }
        let accepts = Accepted::of(&head.headers);
        if !accepts.has("application/json") || !accepts.has("text/event-stream") {
            return Err(Refusal::Accept);
        }
        let body = whole(body).await?;
        self.post_message((caller, view), &head.headers, body).await
    }

    /// The stream of news of a session; without one, that of the older transport.
    fn get(&self, caller: &Caller, headers: &HeaderMap) -> Result<Response<GatewayBody>, Refusal> {
        if era_of_header(headers) == Era::Requests {
            return Err(Refusal::Method);
        }
        if !Accepted::of(headers).has("text/event-stream") {
            return Err(Refusal::AcceptEvents);
        }
        if !headers.contains_key(SESSION) {
            return self.open_line(caller);
        }
        let session = self.session(caller, headers)?;
        let open = session.open(session.view.news());
        Ok(reply::events(streams::of_session(open)))
    }

    fn delete(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Response<GatewayBody>, Refusal> {
        if era_of_header(headers) == Era::Requests {
            return Err(Refusal::Method);
        }
        let session = self.session(caller, headers)?;
        self.sessions.end(&session);
        end_all([Arc::clone(&session.view)]);
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    /// The session that the headers name.
    fn session(&self, caller: &Caller, headers: &HeaderMap) -> Result<Arc<Session<V>>, Refusal> {
        let id = headers.get(SESSION).ok_or(Refusal::NoSession)?;
        let id = id.to_str().map_err(|_| Refusal::Session)?;
        let session = self.sessions.find(caller, id)?;
        match header(headers, VERSION) {
            Some(version) if Revision::of(version).is_none() => {
                Err(Refusal::Revision(version.to_owned()))
            }
            Some(version) if version != session.revision.name() => Err(Refusal::OtherRevision),
            Some(_) | None => Ok(session),
        }
    }
}

/// What an error that comes before a message is read is written as.
fn era_of_header(headers: &HeaderMap) -> Era {
    let version = header(headers, VERSION).and_then(Revision::of);
    version.map_or(Era::Sessions, Revision::era)
}

impl Entrance {
    fn lets_in<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        if let Hosts::Only(hosts) = &self.hosts {
            let named = header(request.headers(), HOST);
            let named = named.or_else(|| Some(request.uri().authority()?.as_str()));
            let is_one = |host: &String| named.is_some_and(|it| it.eq_ignore_ascii_case(host));
            if !hosts.iter().any(is_one) {
                return Err(Refusal::Host);
            }
        }
        match request.headers().get(ORIGIN) {
            None => Ok(()),
            Some(origin)
                if self
                    .origins
                    .iter()
                    .any(|it| it.as_bytes() == origin.as_bytes()) =>
            {
                Ok(())
            }
            Some(_) => Err(Refusal::Origin),
        }
    }
}

/// A header that is there once and is text.
fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let (first, second) = (all.next()?, all.next());
    match second {
        None => first.to_str().ok(),
        Some(_) => None,
    }
}

/// What a client takes (RFC 9110, section 12.5.1), as far as that matters here.
struct Accepted<'a>(Vec<&'a str>);

impl<'a> Accepted<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(','));
        Self(
            ranges
                .map(|range| range.split(';').next().unwrap_or_default().trim())
                .collect(),
        )
    }

    fn has(&self, kind: &str) -> bool {
        let (above, _) = kind.split_once('/').unwrap_or_default();
        self.0.iter().any(|range| {
            let whole_kind = range.strip_suffix("/*");
            *range == "*/*"
                || range.eq_ignore_ascii_case(kind)
                || whole_kind.is_some_and(|whole| whole.eq_ignore_ascii_case(above))
        })
    }
}

async fn whole<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if body.size_hint().lower() > MCP_GATEWAY_MESSAGE_BYTES as u64 {
        return Err(Refusal::TooLong);
    }
    let reading = Limited::new(body, MCP_GATEWAY_MESSAGE_BYTES).collect();
    let read = timeout(MCP_GATEWAY_MESSAGE_TIME, reading).await;
    match read.map_err(|_| Refusal::TooSlow)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLong),
        Err(_) => Err(Refusal::BrokeOff),
    }
}

/// Ends views beside whoever asked for it: servers may take their time.
fn end_all<V: View>(views: impl IntoIterator<Item = Arc<V>>) {
    for view in views {
        tokio::spawn(async move { view.end().await });
    }
}
