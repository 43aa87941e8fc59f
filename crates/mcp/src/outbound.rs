//! One request to a server that somebody named: under a policy, within a time, followed within its origin and no further.

use bailiwick_model::limits::{OUTBOUND_REDIRECTS, OUTBOUND_TIME};
use bailiwick_outbound::{Body, HttpUrl, Message, Outbound, OutboundError, Permit, Waited, Way};
use bailiwick_policy::Policy;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Response};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::answer::{Answer, Wanted};

/// Whether redirections are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// Those that keep method and body (307, 308), within the origin.
    WithinOrigin,
    /// None.
    Never,
}

/// One request.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Values that are secret are marked so.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    pub(crate) redirects: Redirects,
}

/// An answer whose body is still to come. Its connection ends with it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) answer: Response<Body>,
    pub(crate) reached: Reached,
}

/// Where an answer came from, after redirections, and what the policy said of the connection: so that another one can be asked about it.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    pub(crate) url: HttpUrl,
    permit: Option<Permit>,
}

impl Reached {
    /// Whether this policy would have let the same connection be made.
    pub(crate) fn is_within(&self, (outbound, policy): (&Outbound, &Policy)) -> bool {
        self.permit
            .as_ref()
            .is_some_and(|permit| outbound.would_reach(policy, &self.url, permit))
    }
}

/// Why a server is not known to be allowed, if it is not; see [`crate::McpClient::allowed`].
pub(crate) async fn allowed(
    (outbound, policy): (&Outbound, &Policy),
    url: &Url,
) -> Result<(), OutboundError> {
    let url = HttpUrl::try_from(url.clone())?;
    let reaching = outbound.reach(Way::Policy(policy), &url);
    let reached = timeout(OUTBOUND_TIME, reaching).await;
    match reached.map_err(|_| OutboundError::Timeout(Waited::Connection))? {
        Ok(_) => Ok(()),
        Err(error) if error.is_allowed() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends a request and reads what is wanted of the answer, within [`OUTBOUND_TIME`] and before `end`. Wherever it leads, the policy is asked
/// first.
pub(crate) async fn ask(
    (outbound, policy): (&Outbound, &Policy),
    request: Request,
    wanted: Wanted,
    end: Option<Instant>,
) -> Result<Answer, OutboundError> {
    let own = Instant::now() + OUTBOUND_TIME;
    let deadline = end.map_or(own, |end| end.min(own));
    let opened = open((outbound, policy), request, deadline).await?;
    Ok(Answer::read(opened.answer, deadline, wanted).await)
}

/// Sends a request, and returns once it begins to be answered.
pub(crate) async fn open(
    (outbound, policy): (&Outbound, &Policy),
    request: Request,
    deadline: Instant,
) -> Result<Opened, OutboundError> {
    let mut url = HttpUrl::try_from(request.url.clone())?;
    let mut followed = 0;
    loop {
        let message = Message {
            method: request.method.clone(),
            headers: request.headers.iter().cloned().collect(),
            body: Full::new(request.body.clone()),
        };
        let reaching = outbound.reach(Way::Policy(policy), &url);
        let reached = timeout_at(deadline, reaching).await;
        let reached = reached.map_err(|_| OutboundError::Timeout(Waited::Connection))??;
        let permit = reached.permit().cloned();
        let answer = reached.ask(message, deadline).await?;
        match next(&url, request.redirects, &answer) {
            Some(other) if followed < OUTBOUND_REDIRECTS => url = other,
            Some(_) | None => {
                let reached = Reached { url, permit };
                return Ok(Opened { answer, reached });
            }
        }
        followed += 1;
    }
}

/// Where an answer leads, if it may be followed.
fn next(from: &HttpUrl, redirects: Redirects, answer: &Response<Body>) -> Option<HttpUrl> {
    let status = answer.status().as_u16();
    if redirects == Redirects::Never || !matches!(status, 307 | 308) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let url = from.url().join(location).ok()?;
    let is_within = url.origin() == from.url().origin();
    is_within.then(|| url.try_into().ok())?
}
