//! One GET.

use std::fmt;
use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_model::limits::WEB_FETCH_TIME;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderName, LOCATION, USER_AGENT,
};
use rustls::ClientConfig;
use tokio::time::timeout;
use url::{Position, Url};

use crate::flow::Recording;
use crate::{FetchError, Visitor, body, connection};

const AGENT: &str = concat!("bailiwick/", env!("CARGO_PKG_VERSION"));
const WANTED: &str = "text/html, text/*;q=0.9, application/pdf;q=0.9, */*;q=0.8";

/// The way to pages. Nothing is kept between two fetches, no connection either: what one policy allowed serves no other.
#[derive(Clone)]
pub struct Web {
    dialer: Arc<Dialer>,
    tls: Arc<ClientConfig>,
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

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

impl Web {
    /// Dials with this dialer, and trusts whom these settings trust.
    pub fn new(dialer: Arc<Dialer>, tls: Arc<ClientConfig>) -> Self {
        Self { dialer, tls }
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
        let destination = connection::destination(url)?;
        let mut recording = Recording::begin(visitor, &destination);
        let fetching = async {
            let request = request(url)?;
            let way = (self.dialer.as_ref(), &self.tls);
            let whither = (visitor.policy, &destination);
            let asked = connection::ask(way, whither, (url, request), &mut recording).await;
            let (answer, _connection) = asked?;
            let (head, body) = answer.into_parts();
            let text = |name: HeaderName| {
                let value = head.headers.get(name)?;
                Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            let body = if head.status.is_success() {
                body::read(&head.headers, body, most_bytes).await?
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
        let fetched = timeout(WEB_FETCH_TIME, fetching).await;
        fetched.unwrap_or(Err(FetchError::Timeout))
    }
}

/// All that is ever sent.
fn request(url: &Url) -> Result<Request<Empty<Bytes>>, FetchError> {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let request = Request::builder()
        .uri(target)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, WANTED)
        .header(ACCEPT_ENCODING, body::ACCEPTED);
    request.body(Empty::new()).map_err(|_| FetchError::Url)
}
