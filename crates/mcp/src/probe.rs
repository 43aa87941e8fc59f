//! Whether an MCP server takes a token: a session is begun and its tools are listed, as a client does (Streamable HTTP of the revisions up to
//! 2025-11-25). A server that knows no sessions any more (2026-07-28) is asked for its tools at once.

use bailiwick_model::limits::PROBE_TIME;
use bailiwick_outbound::{NotHttpUrl, Outbound, OutboundError};
use bailiwick_policy::Policy;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use crate::answer::{Answer, ShownAnswer, Wanted};
use crate::message::MessageId;
use crate::outbound::{Redirects, Request, ask};
use crate::secrets::Secrets;

/// The last revision that has sessions.
const WITH_SESSIONS: &str = "2025-11-25";
/// The first that has none.
const WITHOUT_SESSIONS: &str = "2026-07-28";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// What a server makes of a token.
#[derive(Debug)]
pub enum Probe {
    /// It works with it.
    Accepted,
    /// It does not take it (401).
    Unauthorized(FailedStep),
    /// It knows it, and does not let its bearer in (403).
    Forbidden(FailedStep),
    /// Nothing is known: it did not answer, or with something else.
    Unknown(FailedStep),
}

/// Where a probe ended.
#[derive(Debug)]
pub struct FailedStep {
    /// The method of MCP.
    pub method: &'static str,
    /// What came back.
    pub failure: StepFailure,
}

/// Why a probe ended.
#[derive(Debug)]
pub enum StepFailure {
    /// With this answer.
    Answer(ShownAnswer),
    /// Without one.
    NoAnswer(OutboundError),
}

/// Asks an MCP server whether it takes this token.
pub async fn probe(outbound: &Outbound, policy: &Policy, server: &Url, token: &str) -> Probe {
    let Ok(conversation) = Conversation::new(outbound, policy, server, token) else {
        // It cannot be sent in a header: no server can take it.
        let failure = StepFailure::NoAnswer(NotHttpUrl::Form.into());
        return Probe::Unknown(failed("initialize", failure));
    };
    match conversation.with_session().await {
        Ok(()) => Probe::Accepted,
        Err(Ended::NoSessions(step)) => match conversation.without_session().await {
            Ok(()) => Probe::Accepted,
            Err(Ended::NoSessions(_)) => Probe::Unknown(step),
            Err(Ended::Because(probe)) => probe,
        },
        Err(Ended::Because(probe)) => probe,
    }
}

fn failed(method: &'static str, failure: StepFailure) -> FailedStep {
    FailedStep { method, failure }
}

/// Why a conversation did not come to its end.
enum Ended {
    /// The server answered, but not to this: it may be of another revision.
    NoSessions(FailedStep),
    Because(Probe),
}

struct Conversation<'a> {
    outbound: &'a Outbound,
    policy: &'a Policy,
    server: &'a Url,
    authorization: HeaderValue,
    secrets: Secrets,
    /// When all of it has to have ended.
    end: Instant,
}

impl<'a> Conversation<'a> {
    fn new(
        outbound: &'a Outbound,
        policy: &'a Policy,
        server: &'a Url,
        token: &str,
    ) -> Result<Self, hyper::header::InvalidHeaderValue> {
        let value = Zeroizing::new(format!("Bearer {token}"));
        let mut authorization = HeaderValue::from_str(&value)?;
        authorization.set_sensitive(true);
        let mut secrets = Secrets::default();
        secrets.add(token);
        Ok(Self {
            outbound,
            policy,
            server,
            authorization,
            secrets,
            end: Instant::now() + PROBE_TIME,
        })
    }

    async fn with_session(&self) -> Result<(), Ended> {
        const BEGIN: &str = "initialize";
        let begin = json!({"jsonrpc": "2.0", "id": 1, "method": BEGIN, "params": {
            "protocolVersion": WITH_SESSIONS,
            "capabilities": {},
            "clientInfo": client(),
        }});
        let (answer, result) = self.call(BEGIN, &begin, MessageId(1), &[]).await?;
        let version = result["protocolVersion"].as_str().unwrap_or(WITH_SESSIONS);
        let mut headers: Vec<_> = HeaderValue::from_str(version)
            .map(|version| (VERSION, version))
            .into_iter()
            .collect();
        let session = answer
            .header(SESSION)
            .and_then(|id| HeaderValue::from_str(id).ok());
        headers.extend(session.clone().map(|id| (SESSION, id)));
        let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        // What is answered to it says nothing; the next step does.
        let _ = self.post(&begun, &headers, Wanted::Head).await;
        let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
        let listed = self.call("tools/list", &list, MessageId(2), &headers).await;
        if session.is_some() {
            // For politeness: servers end sessions by themselves too.
            let _ = self
                .send(Method::DELETE, Bytes::new(), &headers, Wanted::Head)
                .await;
        }
        match listed {
            Ok(_) => Ok(()),
            // It has begun a session.
            Err(Ended::NoSessions(step)) => Err(Ended::Because(Probe::Unknown(step))),
            Err(ended) => Err(ended),
        }
    }

    async fn without_session(&self) -> Result<(), Ended> {
        const LIST: &str = "tools/list";
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": LIST, "params": {"_meta": {
            "io.modelcontextprotocol/protocolVersion": WITHOUT_SESSIONS,
            "io.modelcontextprotocol/clientInfo": client(),
            "io.modelcontextprotocol/clientCapabilities": {},
        }}});
        let headers = [
            (VERSION, HeaderValue::from_static(WITHOUT_SESSIONS)),
            (METHOD, HeaderValue::from_static(LIST)),
        ];
        self.call(LIST, &list, MessageId(1), &headers)
            .await
            .map(|_| ())
    }

    /// A request and its result.
    async fn call(
        &self,
        method: &'static str,
        request: &Value,
        id: MessageId,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<(Answer, Value), Ended> {
        let answer = self
            .post(request, headers, Wanted::Event(id))
            .await
            .map_err(|error| {
                let step = failed(method, StepFailure::NoAnswer(error));
                Ended::Because(Probe::Unknown(step))
            })?;
        let step = || failed(method, StepFailure::Answer(answer.shown(&self.secrets)));
        match answer.status {
            200 => {}
            401 => return Err(Ended::Because(Probe::Unauthorized(step()))),
            403 => return Err(Ended::Because(Probe::Forbidden(step()))),
            400 | 404 | 405 => return Err(Ended::NoSessions(step())),
            _ => return Err(Ended::Because(Probe::Unknown(step()))),
        }
        let said = id.find(&answer.body);
        match said.as_ref().and_then(|said| said.get("result")) {
            Some(result) if result.is_object() => {
                let result = result.clone();
                Ok((answer, result))
            }
            Some(_) | None => Err(Ended::NoSessions(step())),
        }
    }

    async fn post(
        &self,
        message: &Value,
        headers: &[(HeaderName, HeaderValue)],
        wanted: Wanted,
    ) -> Result<Answer, OutboundError> {
        let body = Bytes::from(message.to_string());
        self.send(Method::POST, body, headers, wanted).await
    }

    async fn send(
        &self,
        method: Method,
        body: Bytes,
        headers: &[(HeaderName, HeaderValue)],
        wanted: Wanted,
    ) -> Result<Answer, OutboundError> {
        let both = HeaderValue::from_static("application/json, text/event-stream");
        let mut all = vec![
            (AUTHORIZATION, self.authorization.clone()),
            (ACCEPT, both),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ];
        all.extend_from_slice(headers);
        let request = Request {
            method,
            url: self.server.clone(),
            headers: all,
            body,
            redirects: Redirects::WithinOrigin,
        };
        let way = (self.outbound, self.policy);
        ask(way, request, wanted, Some(self.end)).await
    }
}

fn client() -> Value {
    json!({"name": "bailiwick", "version": env!("CARGO_PKG_VERSION")})
}
