//! Asking upstreams.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits::{
    CONNECT_TIMEOUT, LLM_ANSWER_HEAD_BYTES, LLM_ANSWER_HEADERS, LLM_ANSWER_TIMEOUT,
    LLM_CHUNK_TIMEOUT, LLM_ERROR_BYTES, LLM_FIRST_BYTE_TIMEOUT, LLM_IDLE_CONNECTIONS,
    LLM_IDLE_TIME, LLM_PING, LLM_READING_ON, LLM_REQUEST_BYTES, LLM_TLS_TIMEOUT,
};
use bailiwick_outbound::{Body, Message, Outbound, Pool, PoolLimits, Way};
use bailiwick_policy::Policy;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::{Decoder, Events, Malformed, Request, Upstream, UpstreamError, refusal};

/// Asks upstreams, over connections that it keeps.
///
/// One client is for one [`Way`]: what one policy allowed must not serve requests under another. When a policy changes, a new client is made
/// and the old one dropped, with the connections that nobody uses.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool<Full<Bytes>>,
    timeouts: Timeouts,
    /// Turns of those who read answers on whose clients have gone.
    reading_on: Arc<Semaphore>,
}

/// How long an upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    pub fn new(outbound: &Outbound, way: Way, timeouts: Timeouts) -> Self {
        let limits = PoolLimits {
            connect: timeouts.connect,
            tls: LLM_TLS_TIMEOUT,
            idle_connections: LLM_IDLE_CONNECTIONS,
            idle_time: LLM_IDLE_TIME,
            head_bytes: LLM_ANSWER_HEAD_BYTES,
            headers: LLM_ANSWER_HEADERS,
            ping: LLM_PING,
        };
        let pool = Pool::new(outbound, way, limits);
        Self {
            pool,
            timeouts,
            reading_on: Arc::new(Semaphore::new(LLM_READING_ON)),
        }
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
        let mut headers = upstream.headers(request);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let message = Message {
            method: Method::POST,
            headers,
            body: Full::new(Bytes::from(body)),
        };
        let url = upstream.url();
        let asking = self.pool.ask(&url, message, self.timeouts.first_byte);
        let (answer, deadline) = asking.await?;
        self.events(upstream, answer, deadline).await
    }

    /// The same client, with connections of its own, that reaches nothing that this policy denies expressly: for a server that the operator chose.
    #[must_use]
    pub fn within(&self, policy: Arc<Policy>) -> Self {
        Self {
            pool: self.pool.within(policy),
            timeouts: self.timeouts,
            reading_on: Arc::clone(&self.reading_on),
        }
    }

    pub(crate) fn pool(&self) -> &Pool<Full<Bytes>> {
        &self.pool
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    pub(crate) fn reading_on(&self) -> &Arc<Semaphore> {
        &self.reading_on
    }

    async fn events(
        &self,
        upstream: &Upstream,
        answer: Response<Body>,
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

async fn refused(upstream: &Upstream, answer: Response<Body>, deadline: Instant) -> UpstreamError {
    let (head, body) = answer.into_parts();
    let body = timeout_at(deadline, body.whole(LLM_ERROR_BYTES)).await;
    // The status says most of it, so a body that is too long or does not end is as good as none.
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    refusal::of_answer(head.status.as_u16(), &head.headers, &body, upstream.key())
}
