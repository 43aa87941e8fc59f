//! Asking upstreams.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::Dialer;
use bailiwick_model::limits::{
    CONNECT_TIMEOUT, LLM_ANSWER_HEAD_BYTES, LLM_ANSWER_HEADERS, LLM_ANSWER_TIMEOUT,
    LLM_CHUNK_TIMEOUT, LLM_ERROR_BYTES, LLM_FIRST_BYTE_TIMEOUT, LLM_IDLE_CONNECTIONS,
    LLM_IDLE_TIME, LLM_PING, LLM_REQUEST_BYTES,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request as HttpRequest, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

pub use crate::connector::Way;
use crate::connector::{ConnectError, Connector};
use crate::{Decoder, Events, Malformed, Phase, Request, Upstream, UpstreamError, refusal};

const AGENT: &str = concat!("bailiwick/", env!("CARGO_PKG_VERSION"));

/// Asks upstreams, over connections that it keeps.
///
/// One client is for one [`Way`]: what one policy allowed must not serve requests under another. When a policy changes, a new client is made
/// (it shares nothing but the dialer and the TLS configuration, and is cheap) and the old one dropped, with the connections that nobody uses.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    timeouts: Timeouts,
}

/// How long an upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To be connected to, before TLS, which has a time of its own.
    pub connect: Duration,
    /// From when there is a connection until the first bytes of the answer's body.
    pub first_byte: Duration,
    /// Between two pieces of the answer; pings count.
    pub between_chunks: Duration,
    /// From the head of the answer to its end.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            first_byte: LLM_FIRST_BYTE_TIMEOUT,
            between_chunks: LLM_CHUNK_TIMEOUT,
            whole: LLM_ANSWER_TIMEOUT,
        }
    }
}

impl Client {
    /// A client for one way; nothing is connected to until it is used. HTTP/2 is offered over TLS.
    pub fn new(dialer: Arc<Dialer>, way: Way, tls: &Arc<ClientConfig>, timeouts: Timeouts) -> Self {
        let mut tls = ClientConfig::clone(tls);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = Connector {
            dialer,
            way,
            tls: Arc::new(tls),
            connect_timeout: timeouts.connect,
        };
        let head_bytes = u32::try_from(LLM_ANSWER_HEAD_BYTES).unwrap_or(u32::MAX);
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(LLM_IDLE_TIME)
            .pool_max_idle_per_host(LLM_IDLE_CONNECTIONS)
            .http1_max_headers(LLM_ANSWER_HEADERS)
            .http1_max_buf_size(LLM_ANSWER_HEAD_BYTES)
            .http2_max_header_list_size(head_bytes)
            .http2_keep_alive_interval(LLM_PING)
            .http2_keep_alive_timeout(LLM_PING)
            .build(connector);
        Self { http, timeouts }
    }

    /// Asks, and returns once the upstream begins to answer.
    ///
    /// # Errors
    ///
    /// See [`UpstreamError`]; errors within the answer come from [`Events`].
    pub async fn stream(
        &self,
        upstream: &Upstream,
        request: &Request,
    ) -> Result<Events, UpstreamError> {
        let body = upstream.body(request)?;
        if body.len() > LLM_REQUEST_BYTES {
            return Err(UpstreamError::RequestTooLarge { bytes: body.len() });
        }
        let mut http = HttpRequest::new(Full::new(Bytes::from(body)));
        *http.method_mut() = hyper::Method::POST;
        *http.uri_mut() = upstream.uri();
        let headers = http.headers_mut();
        headers.extend(upstream.headers(request));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let (answer, deadline) = self.send(http).await?;
        self.events(upstream, answer, deadline).await
    }

    /// The answer's head, and until when its body has to begin. The time for it runs from when there is a connection: making one has its own
    /// bounds, in `Connector`.
    async fn send(
        &self,
        mut request: HttpRequest<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Instant), UpstreamError> {
        let mut connection = capture_connection(&mut request);
        let mut answering = pin!(self.http.request(request));
        let early = tokio::select! {
            answer = &mut answering => Some(answer),
            _ = connection.wait_for_connection_metadata() => None,
        };
        let deadline = Instant::now() + self.timeouts.first_byte;
        let answer = match early {
            Some(answer) => answer,
            None => timeout_at(deadline, answering)
                .await
                .map_err(|_| UpstreamError::Timeout(Phase::FirstByte))?,
        };
        Ok((answer.map_err(cause)?, deadline))
    }

    async fn events(
        &self,
        upstream: &Upstream,
        answer: Response<Incoming>,
        deadline: Instant,
    ) -> Result<Events, UpstreamError> {
        if answer.status() != 200 {
            return Err(refused(upstream, answer, deadline).await);
        }
        let media_type = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let is_stream = media_type
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
        if !is_stream {
            let shown = media_type.chars().take(100).collect();
            return Err(Malformed::MediaType(shown).into());
        }
        let decoder = Decoder::new(upstream.protocol, upstream.key().cloned());
        Ok(Events::new(
            answer.into_body(),
            decoder,
            deadline,
            &self.timeouts,
        ))
    }
}

async fn refused(
    upstream: &Upstream,
    answer: Response<Incoming>,
    deadline: Instant,
) -> UpstreamError {
    let (head, body) = answer.into_parts();
    let body = timeout_at(deadline, Limited::new(body, LLM_ERROR_BYTES).collect()).await;
    // The status says most of it, so a body that is too long or does not end is as good as none.
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    refusal::of_answer(head.status.as_u16(), &head.headers, &body, upstream.key())
}

/// What the client's error came from.
fn cause(error: legacy::Error) -> UpstreamError {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        if let Some(connecting) = inner.downcast_ref::<ConnectError>() {
            return match connecting {
                ConnectError::Dial(error) => UpstreamError::Dial(Arc::clone(error)),
                ConnectError::Tls(error) => UpstreamError::Tls(Arc::clone(error)),
                ConnectError::Timeout => UpstreamError::Timeout(Phase::Connect),
            };
        }
        source = inner.source();
    }
    UpstreamError::Http(Arc::new(error))
}
