//! Passing a request on: to one upstream after the other, until one answers.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use bailiwick_dial::DialError;
use bailiwick_model::limits::{
    LLM_ERROR_BYTES, LLM_PROXY_ERROR_TIME, LLM_PROXY_ROUNDS, LLM_PROXY_WAIT_MOST, LLM_QUERY_BYTES,
};
use bailiwick_outbound::{Body, HttpUrl, Message, OutboundError, Waited};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{HeaderMap, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout};

use super::meter::Meter;
use super::route::version_of;
use super::settlement::Settling;
use super::{Asks, Endpoint, ProxyBody, Refusal, Route, SettledAs, Settlement, edit, headers};
use crate::{Backoff, Phase, Usage, refusal};

/// A request of a client, which was read and may be passed on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What is asked for.
    pub endpoint: Endpoint,
    /// The client's headers; only those on a list go out.
    pub headers: &'a HeaderMap,
    /// The query of its URL; only fields on a list go out.
    pub query: Option<&'a str>,
    /// The body.
    pub body: &'a Bytes,
    /// What it says, of [`read`](super::read).
    pub asks: &'a Asks<'a>,
}

/// Passes a request on to the first of these that answers, and its answer back.
///
/// An upstream that cannot be connected to, or answers that it cannot do it now (408, 429, 5xx), is passed over for the next; after all of them
/// there is one wait, and one more round. The last answer of that kind passes if there is no better one, and every other answer passes as it is.
/// What may have been worked on is never asked for again: an upstream that breaks off or takes too long is the end.
///
/// `settle` is called exactly once, with what came of it: also if this future, or the answer's body, is dropped. It must not block.
pub async fn forward(
    routes: &[Route],
    asked: Asked<'_>,
    settle: impl FnOnce(Settlement) + Send + 'static,
) -> Response<ProxyBody> {
    let mut settling = Settling::new(Box::new(settle), asked.endpoint.costs());
    let mut last = Failure {
        is_worth_another: false,
        ..Failure::own(Refusal::Unreachable)
    };
    for round in 0..LLM_PROXY_ROUNDS {
        for (index, route) in routes.iter().enumerate() {
            let Some(url) = url(route, &asked) else {
                continue;
            };
            match attempt(route, &url, index, &asked, &mut settling).await {
                Attempt::Passes(head, body, first) => {
                    return passing(route, &asked, settling, head, body, first);
                }
                Attempt::Refuses(held) => {
                    settling.told.status = Some(held.status.as_u16());
                    settling.tell();
                    return held.response();
                }
                Attempt::Ends(refusal) => {
                    settling.tell();
                    return refusal.response(asked.endpoint.provider());
                }
                Attempt::Fails(failure) => last = last.or(failure),
            }
        }
        let is_last = round + 1 == LLM_PROXY_ROUNDS;
        let wait = Backoff::default().wait(round, random(), last.retry_after);
        if is_last || wait > LLM_PROXY_WAIT_MOST || !last.is_worth_another {
            break;
        }
        sleep(wait).await;
    }
    settling.told.status = last.upstream_status();
    settling.tell();
    last.response(asked.endpoint)
}

/// What one upstream made of it.
#[expect(
    clippy::large_enum_variant,
    reason = "the largest is what nearly every attempt comes to"
)]
enum Attempt {
    /// It answers.
    Passes(hyper::http::response::Parts, Body, Instant),
    /// It does not take the request, and nobody else would.
    Refuses(Held),
    /// It cannot now; another may.
    Fails(Failure),
    /// Nobody else is to be asked.
    Ends(Refusal),
}

/// Why an upstream was passed over.
struct Failure {
    answer: Result<Held, Refusal>,
    retry_after: Option<Duration>,
    is_worth_another: bool,
}

/// An answer that passes if there is no better one.
struct Held {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Failure {
    fn own(refusal: Refusal) -> Self {
        Self {
            is_worth_another: refusal == Refusal::Unreachable,
            answer: Err(refusal),
            retry_after: None,
        }
    }

    /// What an upstream says is better than what the proxy says of one; the shortest wait counts.
    fn or(self, later: Self) -> Self {
        let retry_after = match (&self.answer, self.retry_after, later.retry_after) {
            (Ok(_), Some(one), Some(other)) => Some(one.min(other)),
            (Ok(_) | Err(_), _, other) => other,
        };
        let is_worth_another = self.is_worth_another || later.is_worth_another;
        let answer = match (self.answer, later.answer) {
            (Ok(held), Err(_)) => Ok(held),
            (_, answer) => answer,
        };
        Self {
            answer,
            retry_after,
            is_worth_another,
        }
    }

    fn upstream_status(&self) -> Option<u16> {
        let held = self.answer.as_ref().ok()?;
        Some(held.status.as_u16())
    }

    fn response(self, endpoint: Endpoint) -> Response<ProxyBody> {
        match self.answer {
            Ok(held) => held.response(),
            Err(refusal) => refusal.response(endpoint.provider()),
        }
    }
}

impl Held {
    fn response(self) -> Response<ProxyBody> {
        let mut response = Response::new(ProxyBody::own(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

async fn attempt(
    route: &Route,
    url: &HttpUrl,
    index: usize,
    asked: &Asked<'_>,
    settling: &mut Settling,
) -> Attempt {
    let client = route.target.client();
    settling.is_asking(index);
    let asking = client
        .pool()
        .ask(url, message(route, asked), client.timeouts().first_byte);
    let (answer, first) = match asking.await {
        Ok(answered) => answered,
        Err(error) => return failed(&error, settling),
    };
    let (head, body) = answer.into_parts();
    if head.status.is_success() {
        return Attempt::Passes(head, body, first);
    }
    settling.is(SettledAs::Nothing, Usage::default());
    let retry_after = refusal::retry_after(&head.headers);
    let held = held(route, head, body).await;
    if !may_succeed_elsewhere(held.status) {
        return Attempt::Refuses(held);
    }
    Attempt::Fails(Failure {
        retry_after,
        answer: Ok(held),
        is_worth_another: true,
    })
}

/// Whether another upstream, or the same a little later, may well do what this one cannot now.
fn may_succeed_elsewhere(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500..=599)
}

/// Where to ask: the query has only what the API has there, so that no key in it goes along.
fn url<'r>(route: &'r Route, asked: &Asked<'_>) -> Option<Cow<'r, HttpUrl>> {
    const FIELDS: [&str; 6] = ["after", "after_id", "before_id", "beta", "limit", "order"];
    let url = route.target.url(asked.endpoint)?;
    let query = asked.query.filter(|query| query.len() <= LLM_QUERY_BYTES);
    let passed = query.unwrap_or_default().split('&').filter(|field| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        FIELDS.contains(&name) && value.bytes().all(is_word)
    });
    let passed: Vec<_> = passed.collect();
    Some(if passed.is_empty() {
        Cow::Borrowed(url)
    } else {
        Cow::Owned(url.asking(&passed.join("&")))
    })
}

fn message(route: &Route, asked: &Asked<'_>) -> Message<Full<Bytes>> {
    let has_body = asked.endpoint.has_body();
    let mut headers = headers::of_request(asked.headers, has_body);
    if let Some(version) = version_of(asked.endpoint.provider()) {
        headers::with_version(&mut headers, version);
    }
    if let Some((name, value)) = route.target.key() {
        headers.insert(name, value.clone());
    }
    Message {
        method: asked.endpoint.method(),
        headers,
        body: Full::new(edit::outgoing(
            asked.body,
            asked.asks,
            route.model.as_deref(),
        )),
    }
}

/// Why there is no answer, and whether somebody else may be asked.
fn failed(error: &OutboundError, settling: &mut Settling) -> Attempt {
    let unsent = |settling: &mut Settling, refusal| {
        settling.is(SettledAs::Nothing, Usage::default());
        Attempt::Fails(Failure::own(refusal))
    };
    match error {
        OutboundError::Dial(dial) => match &**dial {
            DialError::Denied(_) => unsent(settling, Refusal::Denied),
            DialError::NameNotFound | DialError::Unreachable(_) => {
                unsent(settling, Refusal::Unreachable)
            }
        },
        OutboundError::Tls(_)
        | OutboundError::Url(_)
        | OutboundError::Timeout(Waited::Connection) => unsent(settling, Refusal::Unreachable),
        OutboundError::Http(_) => Attempt::Ends(Refusal::Broken),
        OutboundError::Timeout(Waited::Answer) => {
            Attempt::Ends(Refusal::TimedOut(Phase::FirstByte))
        }
    }
}

/// An error's answer, whole: it is short, and must not have the key.
async fn held(route: &Route, head: hyper::http::response::Parts, body: Body) -> Held {
    let key = route.target.secret();
    let whole = timeout(LLM_PROXY_ERROR_TIME, body.whole(LLM_ERROR_BYTES)).await;
    // The status says most of it, so a body that is too long or does not end is as good as none.
    let whole = whole.map_or_else(|_| Bytes::new(), Result::unwrap_or_default);
    Held {
        status: head.status,
        headers: headers::of_answer(head.headers, key),
        body: key.map_or(whole.clone(), |key| key.cut_out_of(whole)),
    }
}

fn passing(
    route: &Route,
    asked: &Asked<'_>,
    mut settling: Settling,
    head: hyper::http::response::Parts,
    body: Body,
    first: Instant,
) -> Response<ProxyBody> {
    settling.told.status = Some(head.status.as_u16());
    let headers = headers::of_answer(head.headers, route.target.secret());
    let drops_usage = asked.asks.usage != super::asks::AsksUsage::Anyway;
    let meter = Meter::new(
        asked.endpoint,
        &headers,
        asked.asks.likely_input(),
        drops_usage,
    );
    let body = ProxyBody::passing(body, meter, settling, first, route.target.client());
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = headers;
    response
}

/// So that many that failed together do not come back together; nothing secret depends on it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
