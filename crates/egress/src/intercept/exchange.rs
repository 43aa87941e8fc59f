//! Requests of one connection on their way out, and their answers on their way back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_model::{Decision, limits};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::ext::ReasonPhrase;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    HeaderValue, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, oneshot};

use super::body::{Relayed, Stream};
use super::credentials::{Credentials, Redacting};
use super::request::{self, Checked, Refusal};
use super::rewrite::Rewriter;
use super::rules::{self, Rules};
use super::tasks::Tasks;
use super::tunnel;
use crate::relay::refusal_body;
use crate::sandbox::Sandbox;

/// One connection.
pub(super) struct Exchange {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) destination: bailiwick_model::Destination,
    pub(super) credentials: Arc<Credentials>,
    pub(super) upstream: Upstream,
    pub(super) tasks: Tasks,
    pub(super) state: Arc<State>,
}

/// What became of a connection, for whoever waits for its end.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Told when no further request is to be taken.
    pub(super) ending: Notify,
    pub(super) requests: AtomicU64,
    refusal: Mutex<Option<Refusal>>,
    tunnel: Mutex<Option<oneshot::Receiver<()>>>,
}

impl State {
    /// The first refusal is the one that counts.
    pub(super) fn refuse(&self, refusal: Refusal) {
        let mut first = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(refusal);
        self.ending.notify_one();
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Ends with the bytes that go through after a switch of protocols.
    pub(super) fn tunnel(&self) -> Option<oneshot::Receiver<()>> {
        self.tunnel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The connection to the server.
pub(super) enum Upstream {
    Http1(tokio::sync::Mutex<http1::SendRequest<Relayed>>),
    Http2(http2::SendRequest<Relayed>),
}

impl Upstream {
    async fn send(&self, request: Request<Relayed>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                let answer = sender.send_request(request);
                drop(sender);
                answer.await
            }
            Self::Http2(sender) => {
                let mut sender = sender.clone();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

impl Exchange {
    /// One request and its answer. An error closes the connection, or ends the stream of it: that is what the client would have seen
    /// without anybody between.
    pub(super) async fn forward(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> hyper::Result<Response<Relayed>> {
        self.state.requests.fetch_add(1, Ordering::Relaxed);
        let switched = hyper::upgrade::on(&mut request);
        let Checked {
            mut parts,
            body,
            path,
            websocket,
        } = match request::check(request, &self.destination) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(self.refuse(refusal)),
        };
        let rules = self.credentials.now();
        let encoded = rules.project(&mut parts.headers, &path);
        let mut redacting = self.credentials.redacted(encoded);
        if !redacting.texts().is_empty() {
            ask_for_plain_bytes(&mut parts.headers);
        }
        let body = self.body(&mut parts, body, rules).await?;
        let answer = self.upstream.send(Request::from_parts(parts, body)).await?;
        Ok(self.answer(answer, redacting, websocket.then_some(switched)))
    }

    /// The body of a request: looked at only if placeholders are replaced in bodies, and it is not packed.
    async fn body(
        &self,
        parts: &mut Parts,
        body: Incoming,
        rules: Arc<Rules>,
    ) -> hyper::Result<Relayed> {
        if rules.in_bodies.is_empty() || body.is_end_stream() || is_encoded(&parts.headers) {
            return Ok(Relayed::Unchanged(body));
        }
        let length = body.size_hint().exact();
        parts.headers.remove(CONTENT_LENGTH);
        if length.is_some_and(|length| length <= limits::PROJECTED_WHOLE_BYTES) {
            // Many servers want to know the length of a small body.
            let whole = body.collect().await?.to_bytes();
            let projected = rules.in_bodies.replaced(&whole, |_| true);
            let whole =
                projected.map_or(whole, |mut bytes| Bytes::from(std::mem::take(&mut *bytes)));
            parts.headers.insert(CONTENT_LENGTH, whole.len().into());
            return Ok(Relayed::Whole(Full::new(whole)));
        }
        let stream = Stream::new(body, Rewriter::new(Arc::clone(&rules.in_bodies)));
        Ok(Relayed::Projected(
            stream,
            Arc::clone(&self.credentials),
            rules,
        ))
    }

    fn answer(
        &self,
        mut answer: Response<Incoming>,
        mut redacting: Redacting,
        websocket: Option<OnUpgrade>,
    ) -> Response<Relayed> {
        let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let switched = switched.then(|| hyper::upgrade::on(&mut answer));
        let (mut parts, body) = answer.into_parts();
        let closes = parts.version == Version::HTTP_10 || says_close(&parts.headers);
        request::remove_hop_by_hop(&mut parts.headers);
        let redacted = redacting.texts();
        rules::redact(redacted, &mut parts.headers);
        let reflects = |phrase: &ReasonPhrase| redacted.are_in(phrase.as_bytes());
        if parts.extensions.get().is_some_and(reflects) {
            parts.extensions.remove::<ReasonPhrase>();
        }
        if parts.version != Version::HTTP_2 {
            parts.version = Version::HTTP_11;
        }
        if let Some(server) = switched {
            return match websocket {
                Some(client) => self.switch(parts, client, server, redacting),
                // A server that switches unasked is none that this relay understands.
                None => self.refuse(Refusal::Framing),
            };
        }
        if closes {
            parts
                .headers
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // Also what is said to be packed: a server that was asked for plain bytes may call plain bytes anything.
        // What there is nothing to look for in now may be open when there is.
        let stream = Stream::new(body, redacting.rewriter());
        Response::from_parts(parts, Relayed::Redacted(stream, redacting))
    }

    /// From here on bytes go through as they are: no secret goes along, and none comes back.
    fn switch(
        &self,
        mut parts: hyper::http::response::Parts,
        client: OnUpgrade,
        server: OnUpgrade,
        redacting: Redacting,
    ) -> Response<Relayed> {
        let (over, tunnel) = oneshot::channel();
        *self
            .state
            .tunnel
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
        self.tasks.spawn(async move {
            if let (Ok(client), Ok(server)) = tokio::join!(client, server) {
                tunnel::carry(TokioIo::new(client), TokioIo::new(server), redacting).await;
            }
            let _ = over.send(());
        });
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts
            .headers
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
        Response::from_parts(parts, Relayed::Whole(Full::default()))
    }

    fn refuse(&self, refusal: Refusal) -> Response<Relayed> {
        let decision = Decision {
            hint: Some(refusal.to_string()),
            ..self.sandbox.denial(&self.destination, refusal.reason())
        };
        let environment = self.sandbox.network.environment.as_ref();
        let body = refusal_body(&self.destination, environment, &decision);
        self.state.refuse(refusal);
        let mut response = Response::new(Relayed::Whole(Full::new(body.into())));
        *response.status_mut() = StatusCode::FORBIDDEN;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Messages within a body, or within a WebSocket, are packed by agreements of their own: RFC 7692, gRPC, Connect.
const PACKINGS_OF_MESSAGES: [&str; 3] = [
    "sec-websocket-extensions",
    "grpc-accept-encoding",
    "connect-accept-encoding",
];

/// What is packed cannot be looked into.
fn ask_for_plain_bytes(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for name in PACKINGS_OF_MESSAGES {
        headers.remove(name);
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}
