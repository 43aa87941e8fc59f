//! Messages of clients, and what becomes of them.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::body::GatewayBody;
use super::incoming::{Body, Kind, Message, Params, id_of};
use super::outgoing::{self, Keeping};
use super::refusal::Refusal;
use super::revision::{Era, Revision};
use super::running::{First, Running, Terms};
use super::session::{Place, Session};
use super::turns::Turn;
use super::{Caller, Gateway, Span, end_all, header, reply, streams};
use crate::client::{METHOD, NAME, SESSION, VERSION};
use crate::view::{LogLevel, View, ViewRequest};

/// What a message of a session leads to.
pub(super) enum Begun<V> {
    /// Its answer is there.
    Answer(Bytes),
    /// It runs.
    Runs(Box<Running<Place<V>>>),
    /// There is no answer to it.
    Nothing,
}

impl<V: View> Gateway<V> {
    pub(super) async fn post_message(
        &self,
        (caller, view): (&Caller, impl FnOnce(Span) -> Arc<V>),
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<GatewayBody>, Refusal> {
        let message = match Body::of(&body)? {
            Body::Batch(batch) => return self.batch(caller, headers, &body, batch).await,
            Body::One(message) => *message,
        };
        let says_revision = message
            .params()
            .and_then(|params| params.meta.revision.as_ref());
        let header_era = super::era_of_header(headers);
        if says_revision.is_some() || header_era == Era::Requests {
            let turn = || self.sessions.turn(caller);
            return Ok(alone((view, turn), headers, &body, message).await);
        }
        if let Kind::Request {
            id,
            method: "initialize",
        } = message.kind(&body)?
        {
            let asked = message
                .params()
                .and_then(|params| params.protocol_version.as_deref());
            let begun = self.begin(caller, &view(Span::Session), asked, &id);
            return Ok(begun.unwrap_or_else(|refusal| in_session(&refusal, &id)));
        }
        let session = self.session(caller, headers)?;
        let id = match message.kind(&body)? {
            Kind::Request { id, .. } => Some(id),
            Kind::Notification { .. } | Kind::Response => None,
        };
        match take(&session, &body, message) {
            Ok(Begun::Answer(answer)) => Ok(reply::message(StatusCode::OK, answer)),
            Ok(Begun::Runs(running)) => Ok(first(*running).await),
            Ok(Begun::Nothing) => Ok(reply::accepted()),
            Err(refusal) => Ok(reply::refused(&refusal, id.as_ref(), Era::Sessions)),
        }
    }

    /// Begins a session: itself, and the answer.
    pub(super) fn begin_session(
        &self,
        caller: &Caller,
        view: &Arc<V>,
        asked: Option<&str>,
        id: &Bytes,
    ) -> Result<(Arc<Session<V>>, Bytes), Refusal> {
        let asked = asked.ok_or(Refusal::Params("initialize names no protocolVersion"))?;
        let revision = Revision::agreed(asked);
        let result = outgoing::initialized(revision, &view.greeting());
        let began = self
            .sessions
            .begin(caller, revision, (Arc::clone(view), view.news()));
        let (session, ended) = began?;
        end_all(ended);
        let answer = outgoing::result(id, &result, Era::Sessions, Keeping::Unsaid);
        Ok((session, answer))
    }

    fn begin(
        &self,
        caller: &Caller,
        view: &Arc<V>,
        asked: Option<&str>,
        id: &Bytes,
    ) -> Result<Response<GatewayBody>, Refusal> {
        let (session, answer) = self.begin_session(caller, view, asked, id)?;
        let mut response = reply::message(StatusCode::OK, answer);
        // Hexadecimal digits are a header.
        if let Ok(session) = HeaderValue::from_str(&session.id) {
            response.headers_mut().insert(SESSION, session);
        }
        Ok(response)
    }

    /// Messages that came together: their answers go together, without what was told meanwhile.
    async fn batch(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: &Bytes,
        batch: Vec<Message<'_>>,
    ) -> Result<Response<GatewayBody>, Refusal> {
        let begins = |message: &Message<'_>| {
            let kind = message.kind(body);
            matches!(
                kind,
                Ok(Kind::Request {
                    method: "initialize",
                    ..
                })
            )
        };
        if batch.iter().any(begins) {
            return Err(Refusal::BeginsInBatch);
        }
        let session = self.session(caller, headers)?;
        if !session.revision.has_batches() {
            return Err(Refusal::Batch);
        }
        let begun = batch.into_iter().map(|message| {
            let id = match message.kind(body) {
                Ok(Kind::Request { id, .. }) => Some(id),
                Ok(Kind::Notification { .. } | Kind::Response) | Err(_) => None,
            };
            match take(&session, body, message) {
                Ok(begun) => begun,
                Err(refusal) => {
                    let id = id.as_ref().map(|id| &id[..]);
                    Begun::Answer(outgoing::error(id, &refusal.error()))
                }
            }
        });
        let answering = begun.map(async |begun| match begun {
            Begun::Answer(answer) => Some(answer),
            Begun::Runs(running) => Some(running.last().await),
            Begun::Nothing => None,
        });
        let answers = join_all(answering).await;
        let answers: Vec<_> = answers.iter().flatten().map(|answer| &answer[..]).collect();
        if answers.is_empty() {
            return Ok(reply::accepted());
        }
        let joined = [&b"["[..], &answers.join(&b","[..]), b"]"].concat();
        Ok(reply::message(StatusCode::OK, joined.into()))
    }
}

fn in_session(refusal: &Refusal, id: &Bytes) -> Response<GatewayBody> {
    reply::refused(refusal, Some(id), Era::Sessions)
}

async fn first<G: Send + 'static>(running: Running<G>) -> Response<GatewayBody> {
    match running.first().await {
        First::Answer(answer) => reply::message(StatusCode::OK, answer),
        First::Events(events) => reply::events(events),
    }
}

/// A message in a session.
pub(super) fn take<V: View>(
    session: &Arc<Session<V>>,
    body: &Bytes,
    message: Message<'_>,
) -> Result<Begun<V>, Refusal> {
    let (id, method) = match message.kind(body)? {
        // Nothing was asked of the client.
        Kind::Response => return Ok(Begun::Nothing),
        Kind::Notification { method } => {
            if method == "notifications/cancelled"
                && let Some(id) = message.params().and_then(|params| params.request_id)
                && let Some(id) = id_of(body, id)
            {
                session.cancel(&id);
            }
            return Ok(Begun::Nothing);
        }
        Kind::Request { id, method } => (id, method.to_owned()),
    };
    let empty = |id: &Bytes| outgoing::result(id, b"{}", Era::Sessions, Keeping::Unsaid);
    if method == "ping" {
        return Ok(Begun::Answer(empty(&id)));
    }
    let params = message.into_params();
    let request = params
        .request(&method, body)
        .ok_or(Refusal::Unknown(method))?;
    let request = request?;
    match &request {
        ViewRequest::Level(level) => session.set_level(*level),
        ViewRequest::Subscribe { uri } if !session.may_subscribe(uri) => {
            return Err(Refusal::Params("there are too many subscriptions"));
        }
        ViewRequest::Subscribe { uri } => session.subscribe(uri.clone()),
        ViewRequest::Unsubscribe { uri } => session.unsubscribe(uri),
        ViewRequest::Tools { .. }
        | ViewRequest::Call { .. }
        | ViewRequest::Resources { .. }
        | ViewRequest::Templates { .. }
        | ViewRequest::Read { .. }
        | ViewRequest::Prompts { .. }
        | ViewRequest::Prompt { .. }
        | ViewRequest::Complete { .. } => {}
    }
    let (place, cancellation) = session.run(&id)?;
    let terms = terms(id, &params, body, (Era::Sessions, session.level()))?;
    let view = (Arc::clone(&session.view), request);
    Ok(Begun::Runs(Box::new(Running::new(
        view,
        terms,
        cancellation,
        place,
    ))))
}

fn terms(
    id: Bytes,
    params: &Params<'_>,
    body: &Bytes,
    (era, level): (Era, Option<LogLevel>),
) -> Result<Terms, Refusal> {
    const TOKEN: Refusal = Refusal::Params("a token of progress is text or a whole number");
    let token = params.meta.progress_token;
    let token = token
        .map(|token| id_of(body, token).ok_or(TOKEN))
        .transpose()?;
    Ok(Terms {
        id,
        era,
        token,
        level,
        meta: params.meta.rest(),
    })
}

/// Methods that went with the sessions.
const WITH_SESSIONS_ALONE: [&str; 3] = [
    "resources/subscribe",
    "resources/unsubscribe",
    "logging/setLevel",
];

/// A message of the revision where each is for itself.
async fn alone<V: View>(
    (view, turn): (
        impl FnOnce(Span) -> Arc<V>,
        impl FnOnce() -> Result<Turn, Refusal>,
    ),
    headers: &HeaderMap,
    body: &Bytes,
    message: Message<'_>,
) -> Response<GatewayBody> {
    let (id, method) = match message.kind(body) {
        Ok(Kind::Request { id, method }) => (id, method.to_owned()),
        // The revision has none that would mean anything here.
        Ok(Kind::Notification { .. }) => return reply::accepted(),
        Ok(Kind::Response) => return reply::refused(&Refusal::NoMessage, None, Era::Requests),
        Err(refusal) => return reply::refused(&refusal, None, Era::Requests),
    };
    let params = message.into_params();
    match answer_alone((view, turn), headers, body, (&id, &method), &params).await {
        Ok(response) => response,
        Err(refusal) => reply::refused(&refusal, Some(&id), Era::Requests),
    }
}

async fn answer_alone<V: View>(
    (view, turn): (
        impl FnOnce(Span) -> Arc<V>,
        impl FnOnce() -> Result<Turn, Refusal>,
    ),
    headers: &HeaderMap,
    body: &Bytes,
    (id, method): (&Bytes, &str),
    params: &Params<'_>,
) -> Result<Response<GatewayBody>, Refusal> {
    mirrored(headers, method, params)?;
    if method == "server/discover" {
        let result = outgoing::discovered(&view(Span::Request).greeting());
        let answer = outgoing::result(id, &result, Era::Requests, Keeping::Private);
        return Ok(reply::message(StatusCode::OK, answer));
    }
    if method == "subscriptions/listen" {
        let (turn, view) = (turn()?, view(Span::Request));
        let wanted = params.notifications.as_ref();
        let events = streams::of_request((view, turn), id.clone(), wanted);
        return Ok(reply::events(events.await));
    }
    if WITH_SESSIONS_ALONE.contains(&method) {
        return Err(Refusal::Unknown(method.to_owned()));
    }
    let request = params.request(method, body);
    let request = request.ok_or_else(|| Refusal::Unknown(method.to_owned()))??;
    let level = params.meta.level.as_deref().map(LogLevel::of);
    if level == Some(None) {
        return Err(Refusal::Params("there is no such level"));
    }
    let terms = terms(id.clone(), params, body, (Era::Requests, level.flatten()))?;
    let view = (view(Span::Request), request);
    let running = Running::new(view, terms, CancellationToken::new(), turn()?);
    Ok(first(running).await)
}

/// Whether the headers say what the message says (2026-07-28, Streamable HTTP, "Server Validation").
fn mirrored(headers: &HeaderMap, method: &str, params: &Params<'_>) -> Result<(), Refusal> {
    let version =
        header(headers, VERSION).ok_or(Refusal::Header("MCP-Protocol-Version is missing"))?;
    let said = params.meta.revision.as_deref();
    let said = said.ok_or(Refusal::Meta("the revision of the protocol"))?;
    if said != version {
        return Err(Refusal::Header(
            "MCP-Protocol-Version and the message do not say the same revision",
        ));
    }
    let known = Revision::of(version).filter(|revision| revision.era() == Era::Requests);
    known.ok_or_else(|| Refusal::Revision(version.to_owned()))?;
    if header(headers, METHOD) != Some(method) {
        return Err(Refusal::Header(
            "Mcp-Method does not say the method of the message",
        ));
    }
    let name = match method {
        "tools/call" | "prompts/get" => params.name.as_deref(),
        "resources/read" => params.uri.as_deref(),
        _ => None,
    };
    if let Some(name) = name
        && header(headers, NAME).and_then(plain).as_deref() != Some(name)
    {
        return Err(Refusal::Header(
            "Mcp-Name does not say the name in the message",
        ));
    }
    match params.meta.capabilities {
        Some(capabilities) if capabilities.get().starts_with('{') => Ok(()),
        Some(_) | None => Err(Refusal::Meta("what the client is capable of")),
    }
}

/// What a header stands for (2026-07-28, Streamable HTTP, "Value Encoding").
fn plain(value: &str) -> Option<Cow<'_, str>> {
    let encoded = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match encoded {
        Some(encoded) => {
            let decoded = STANDARD.decode(encoded).ok()?;
            String::from_utf8(decoded).ok().map(Cow::Owned)
        }
        None => Some(Cow::Borrowed(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_be_encoded() {
        assert_eq!(plain("us-west1").as_deref(), Some("us-west1"));
        assert_eq!(
            plain("=?base64?IHBhZGRlZCA=?=").as_deref(),
            Some(" padded ")
        );
        let literal = "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=";
        assert_eq!(plain(literal).as_deref(), Some("=?base64?literal?="));
        assert_eq!(plain("=?base64?!?="), None);
    }
}
