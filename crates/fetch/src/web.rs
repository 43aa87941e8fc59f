//! One GET.

use std::sync::Arc;

use bailiwick_model::limits::WEB_FETCH_TIME;
use bailiwick_outbound::{Account, HttpUrl, Message, Outbound, Way};
use bailiwick_policy::Policy;
use http_body_util::Empty;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{FetchError, body};

const WANTED: &str = "text/html, text/*;q=0.9, application/pdf;q=0.9, */*;q=0.8";

/// The way to pages. Nothing is kept between two fetches, no connection either: what one policy allowed serves no other.
#[derive(Debug, Clone)]
pub struct Web {
    outbound: Outbound,
}

/// For whom something is fetched.
#[derive(Debug, Clone)]
pub struct Visitor<'a> {
    /// Which policy decides.
    pub policy: &'a Policy,
    /// Who is told what came of it.
    pub account: Arc<Account>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The status of HTTP.
    pub status: u16,
    /// `Content-Type`, as it was sent.
    pub media_type: Option<String>,
    /// `Location`, as it was sent.
    pub location: Option<String>,
    /// The body without its content encoding, of a success; nothing of any other answer.
    pub body: Vec<u8>,
}

impl Web {
    /// By this way out.
    pub fn new(outbound: Outbound) -> Self {
        Self { outbound }
    }

    /// Asks for a page with GET, within [`WEB_FETCH_TIME`], and reads at most `most_bytes` of it. A redirect is an answer like any other.
    ///
    /// # Errors
    ///
    /// See [`FetchError`].
    pub async fn get(
        &self,
        visitor: &Visitor<'_>,
        url: &Url,
        most_bytes: usize,
    ) -> Result<Page, FetchError> {
        let url = HttpUrl::try_from(url.clone())?;
        let outbound = self.outbound.on_account(Arc::clone(&visitor.account));
        let way = Way::Policy(visitor.policy);
        let deadline = Instant::now() + WEB_FETCH_TIME;
        let fetching = async {
            let answer = outbound.ask(way, &url, question(), deadline).await?;
            let (head, body) = answer.into_parts();
            let text = |name: HeaderName| {
                let value = head.headers.get(name)?;
                Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            let body = if head.status.is_success() {
                body::read_body(&head.headers, body, most_bytes).await?
            } else {
                Vec::new()
            };
            Ok(Page {
                status: head.status.as_u16(),
                media_type: text(CONTENT_TYPE),
                location: text(LOCATION),
                body,
            })
        };
        let fetched = timeout_at(deadline, fetching).await;
        fetched.unwrap_or(Err(FetchError::Timeout))
    }
}

/// All that is ever sent.
fn question() -> Message<Empty<Bytes>> {
    Message {
        method: Method::GET,
        headers: HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static(WANTED)),
            (
                ACCEPT_ENCODING,
                HeaderValue::from_static(body::ACCEPTED_ENCODINGS),
            ),
        ]),
        body: Empty::new(),
    }
}
