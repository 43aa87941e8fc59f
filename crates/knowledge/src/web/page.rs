//! One page.

use bailiwick_html::{Indexing, Page, Purpose, decode, is_html, page};
use bailiwick_model::limits::{
    KNOWLEDGE_DOCUMENT_BYTES, KNOWLEDGE_MEDIA_TYPE_BYTES, KNOWLEDGE_PAGE_LINKS,
    KNOWLEDGE_REVISION_BYTES, KNOWLEDGE_TEXT_BYTES,
};
use bailiwick_outbound::HttpUrl;
use hyper::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use jiff::Timestamp;
use url::Url;

use super::Site;
use crate::connector::{Body, Raw, Reading};
use crate::extract::{ExtractError, Material, kept};
use crate::git::hex;
use crate::http::{Answer, Question, Redirects, Wanted, http_date};
use crate::{DocumentError, Kind, RequestError, Revision, Skip};

const WANTED: &str = "text/html, text/markdown, text/plain, application/pdf, */*;q=0.1";

/// What became of visiting a page.
pub(super) struct Visited {
    pub(super) reading: Result<Reading, DocumentError>,
    /// Where it leads within the site.
    pub(super) links: Vec<Url>,
    /// Which page of the site it says to be, if that is another one.
    pub(super) canonical: Option<Url>,
    /// Where it redirects within the site.
    pub(super) redirect: Option<Url>,
}

impl Visited {
    /// It leads nowhere.
    fn only(reading: Result<Reading, DocumentError>) -> Self {
        Self {
            reading,
            links: Vec::new(),
            canonical: None,
            redirect: None,
        }
    }
}

impl Site<'_> {
    /// Asks for a page, unless the site asks not to; it is not sent again where it has not changed.
    pub(super) async fn visit(&self, url: &Url, known: Option<&Revision>) -> Visited {
        if !self.robots.allow(url) {
            return Visited::only(Ok(Reading::Skipped(Skip::Robots)));
        }
        self.pace().await;
        match self.ask(url, known).await {
            Ok(answer) => self.read(url, answer, known).await,
            // A link that leads to another site is no fault of the page. A page that was one of the site is not gone because it does that now.
            Err(RequestError::Elsewhere { to, .. }) if known.is_none() => {
                Visited::only(Ok(Reading::Skipped(Skip::Elsewhere(to))))
            }
            Err(error) => Visited::only(Err(error.into())),
        }
    }

    async fn ask(&self, url: &Url, known: Option<&Revision>) -> Result<Answer, RequestError> {
        let url = HttpUrl::try_from(url.clone());
        let url = url.map_err(|error| RequestError::Address(error.to_string()))?;
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(WANTED))]);
        headers.extend(known.and_then(condition));
        let question = Question {
            url,
            headers,
            redirects: Redirects::WithinSite,
            most_bytes: KNOWLEDGE_DOCUMENT_BYTES,
            wanted: Wanted::Texts,
        };
        self.access.get(&question).await
    }

    async fn read(&self, asked: &Url, answer: Answer, known: Option<&Revision>) -> Visited {
        match answer.status {
            304 => return Visited::only(Ok(Reading::Unchanged)),
            404 | 410 => return Visited::only(Ok(Reading::Gone)),
            200..300 => {}
            _ => return Visited::only(Err(answer.status_error())),
        }
        let url = answer.url.url().clone();
        // Where a redirection within the site leads is a page of its own.
        if url != *asked {
            return Visited {
                reading: Ok(Reading::Skipped(Skip::SameAs(url.to_string()))),
                links: Vec::new(),
                canonical: Some(url.clone()),
                redirect: Some(url),
            };
        }
        if answer.is_unread {
            return Visited::only(Ok(Reading::Skipped(Skip::Binary)));
        }
        let media_type = answer.header(CONTENT_TYPE).unwrap_or_default().to_owned();
        let revision = revision(&answer);
        let version = Version {
            is_known: known == Some(&revision),
            revision,
            updated_at: answer.header(LAST_MODIFIED).and_then(http_date),
            said: said(&answer.headers),
        };
        if is_page(&media_type, &answer.body) {
            return self.read_page(url, media_type, answer.body, version).await;
        }
        let body = material(&url, media_type, answer.body);
        Visited::only(Ok(version.reading(url, body)))
    }

    async fn read_page(
        &self,
        url: Url,
        media_type: String,
        bytes: Vec<u8>,
        mut version: Version,
    ) -> Visited {
        let reading = tokio::task::spawn_blocking(move || {
            let html = decode(Some(&media_type), &bytes);
            (html.len() <= KNOWLEDGE_TEXT_BYTES).then(|| page(&html, KNOWLEDGE_PAGE_LINKS))
        });
        let page = match reading.await {
            Ok(Some(page)) => page,
            Ok(None) => return Visited::only(Err(ExtractError::TooMuchText.into())),
            Err(_) => return Visited::only(Err(ExtractError::Interrupted.into())),
        };
        version.said = version.said.and(page.indexing);
        let (links, canonical) = self.leads(&url, &page, version.said);
        let link = canonical.clone().unwrap_or(url);
        let extracted = kept(Kind::Html, page.title, &page.text);
        let reading = extracted.map(|extracted| version.reading(link, Body::Text(extracted)));
        Visited {
            reading: reading.map_err(DocumentError::from),
            links,
            canonical,
            redirect: None,
        }
    }

    /// The pages of the site that a page leads to, and the one that it says to be.
    fn leads(&self, url: &Url, page: &Page, said: Indexing) -> (Vec<Url>, Option<Url>) {
        let base = page.base.as_ref().and_then(|base| url.join(base).ok());
        let base = base.as_ref().unwrap_or(url);
        let canonical = page.canonical.as_ref();
        let canonical = canonical.and_then(|canonical| self.page(base, canonical));
        let canonical = canonical.filter(|canonical| canonical != url);
        if said.no_follow {
            return (Vec::new(), canonical);
        }
        let wanted = page.links.iter();
        let wanted = wanted.filter(|link| link.purpose == Purpose::Follow);
        let links = wanted.filter_map(|link| self.page(base, &link.address));
        (links.collect(), canonical)
    }
}

/// What a server says of a page beside the page.
struct Version {
    revision: Revision,
    is_known: bool,
    updated_at: Option<Timestamp>,
    said: Indexing,
}

impl Version {
    /// What is told of a page that people find at `link`.
    fn reading(self, link: Url, body: Body) -> Reading {
        if self.said.no_index {
            return Reading::Skipped(Skip::NoIndex);
        }
        if self.is_known {
            return Reading::Unchanged;
        }
        Reading::Changed(Box::new(Raw {
            title: None,
            link: Some(link),
            revision: self.revision,
            updated_at: self.updated_at,
            body,
        }))
    }
}

/// What a server asks of those who gather pages.
fn said(headers: &HeaderMap) -> Indexing {
    let said = headers.get_all("x-robots-tag").iter();
    let said = said.filter_map(|said| said.to_str().ok());
    said.map(Indexing::parse)
        .fold(Indexing::default(), Indexing::and)
}

/// Whether links are looked for.
fn is_page(media_type: &str, body: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&body[..body.len().min(64)]);
    is_html(media_type, &start)
}

fn material(url: &Url, media_type: String, bytes: Vec<u8>) -> Body {
    let name = url.path_segments().and_then(|mut parts| parts.next_back());
    let media_type = Some(media_type)
        .filter(|text| !text.is_empty() && text.len() <= KNOWLEDGE_MEDIA_TYPE_BYTES);
    Body::Material(Material {
        bytes,
        media_type,
        name: name.unwrap_or_default().to_owned(),
    })
}

/// What the server calls this version, or when it was made, or else its contents.
fn revision(answer: &Answer) -> Revision {
    let named = |what: &str, value: Option<&str>| {
        let value = value.filter(|value| value.len() + 16 < KNOWLEDGE_REVISION_BYTES)?;
        format!("{what} {value}").parse().ok()
    };
    named("etag", answer.header(ETAG))
        .or_else(|| named("modified", answer.header(LAST_MODIFIED)))
        .unwrap_or_else(|| {
            let digits = format!("sha256 {}", hex(&answer.body));
            digits.parse().expect("digits are a revision")
        })
}

/// Whether it is one that this makes of a page: of what another source was, it is none.
pub(super) fn is_of_a_page(known: &Revision) -> bool {
    let what = known.as_str().split_once(' ').map(|(what, _)| what);
    matches!(what, Some("etag" | "modified" | "sha256"))
}

/// The header by which a server says that nothing has changed (RFC 9110, section 13.1).
fn condition(known: &Revision) -> Option<(hyper::header::HeaderName, HeaderValue)> {
    let (what, value) = known.as_str().split_once(' ')?;
    let value = HeaderValue::from_str(value).ok()?;
    match what {
        "etag" => Some((IF_NONE_MATCH, value)),
        "modified" => Some((IF_MODIFIED_SINCE, value)),
        _ => None,
    }
}
