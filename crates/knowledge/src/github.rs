//! The issues of a repository on GitHub, with their comments, through its REST API (version 2022-11-28).
//!
//! A list of all issues tells by their times which have changed, and by what is not in it which may be gone; a list of those that changed since tells
//! the first alone, so the other is asked for once in a while ([`KNOWLEDGE_LISTING_AGE`]). An issue that is closed is there. One that is not in a
//! whole list is asked for by itself before it counts as gone: lists shift while they are read.

mod issue;

use std::sync::OnceLock;
use std::time::Duration;

use bailiwick_model::SecretText;
use bailiwick_model::limits::{
    KNOWLEDGE_API_BYTES, KNOWLEDGE_API_PAGES, KNOWLEDGE_COMMENTS, KNOWLEDGE_LISTING_AGE,
    KNOWLEDGE_TEXT_BYTES,
};
use bailiwick_outbound::HttpUrl;
use hyper::header::{ACCEPT, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::connector::{Extent, Finder, Found, Known, Listing, Now, Presence, Reading};
use crate::error::host_of;
use crate::http::{Answer, Credential, Few, Question, Redirects, Wanted, is_same_origin};
use crate::{
    Access, BoxFuture, Connector, Cursor, DocumentError, DocumentKey, InsecureBase, ReadError,
    RequestError, Revision, SyncError,
};
use issue::{Comment, Issue};

/// What a page of the API holds at most.
const PER_PAGE: &str = "100";

/// Which issues are read.
#[derive(Debug, Clone)]
pub struct GitHubSource {
    /// Where the API is: `https://api.github.com`, or `https://HOST/api/v3` of GitHub Enterprise Server.
    pub api: HttpUrl,
    /// Whose repository it is.
    pub owner: String,
    /// What the repository is called.
    pub repository: String,
    /// A token that may read it; none for what is public.
    pub token: Option<SecretText>,
    /// Whether pull requests are issues.
    pub pull_requests: PullRequests,
}

/// Whether pull requests are issues, as the API has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRequests {
    /// They are left out.
    LeftOut,
    /// They are read too: what is said in them, not what they change.
    Read,
}

/// Reads issues. A key is `issues/` and the number of one.
#[derive(Debug)]
pub struct GitHubConnector {
    access: Access,
    source: GitHubSource,
    credential: Credential,
    /// What the list of issues says that their repository is: one that was renamed is asked under its old name all the same.
    repository: OnceLock<String>,
}

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// When the newest change was that was seen, as GitHub writes it.
    #[serde(default)]
    since: Option<String>,
    /// When everything was last listed, in seconds since 1970.
    listed_at: i64,
    /// Whether pull requests were read.
    has_pulls: bool,
    /// What the server called the list of changes since then.
    #[serde(default)]
    tag: Option<String>,
}

/// One page of a list.
struct Page<T> {
    items: Vec<T>,
    /// Where the next one is.
    next: Option<HttpUrl>,
    /// What the server calls this version of it.
    tag: Option<String>,
}

/// What a list told.
#[derive(Default)]
struct Told {
    /// The time of the newest change.
    newest: Option<String>,
    tag: Option<String>,
}

/// What is listed.
enum Scope {
    All,
    /// What changed since then; it is not sent again where it still has this tag.
    Since(String, Option<String>),
}

impl GitHubConnector {
    /// By this way out.
    ///
    /// # Errors
    ///
    /// There is a token, and the API is not asked over TLS.
    pub fn new(access: Access, source: GitHubSource) -> Result<Self, InsecureBase> {
        if source.token.is_some() && source.api.is_open() {
            return Err(InsecureBase);
        }
        let credential = match &source.token {
            Some(token) => Credential::of(&format!("Bearer {}", token.reveal())),
            None => Credential::Nobodys,
        };
        Ok(Self {
            access,
            source,
            credential,
            repository: OnceLock::new(),
        })
    }

    fn headers(&self) -> Result<HeaderMap, SyncError> {
        let mut headers = HeaderMap::from_iter([
            (
                ACCEPT,
                HeaderValue::from_static("application/vnd.github+json"),
            ),
            (
                HeaderName::from_static("x-github-api-version"),
                HeaderValue::from_static("2022-11-28"),
            ),
        ]);
        self.credential.add_to(&mut headers, &self.source.api)?;
        Ok(headers)
    }

    /// An address below that of the repository.
    fn url(&self, parts: &[&str], query: &[(&str, &str)]) -> Result<HttpUrl, RequestError> {
        let mut url = self.source.api.url().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            let GitHubSource {
                owner, repository, ..
            } = &self.source;
            path.pop_if_empty();
            path.extend(["repos", owner, repository]).extend(parts);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let text = url.to_string();
        HttpUrl::try_from(url).map_err(|_| RequestError::Address(text))
    }

    async fn get(&self, url: HttpUrl, tag: Option<&str>) -> Result<Answer, ReadError> {
        let mut headers = self.headers()?;
        let tag = tag.and_then(|tag| HeaderValue::from_str(tag).ok());
        headers.extend(tag.map(|tag| (IF_NONE_MATCH, tag)));
        let question = Question {
            url,
            headers,
            redirects: Redirects::WithinOrigin,
            most_bytes: KNOWLEDGE_API_BYTES,
            wanted: Wanted::Anything,
        };
        self.access.get_api(&question).await
    }

    /// The page of a list. The token goes nowhere but where it is for, whatever an answer says.
    async fn page<T: DeserializeOwned>(
        &self,
        url: HttpUrl,
        tag: Option<&str>,
    ) -> Result<Result<Page<T>, Answer>, ReadError> {
        let answer = self.get(url, tag).await?;
        if !answer.is_success() {
            return Ok(Err(answer));
        }
        let next = answer.header("link").and_then(next_link);
        let next = match next.map(str::parse::<HttpUrl>) {
            None => None,
            Some(Ok(next)) if is_same_origin(&self.source.api, &next) => Some(next),
            Some(_) => {
                let why = "the next page of a list is on another host";
                return Err(malformed(&answer, why).into());
            }
        };
        let Few(items) = answer.json()?;
        Ok(Ok(Page {
            items,
            next,
            tag: answer.header(ETAG).map(str::to_owned),
        }))
    }

    /// Tells of issues.
    async fn tell(&self, scope: &Scope, finder: &Finder) -> Result<Told, SyncError> {
        let mut query = vec![
            ("state", "all"),
            ("per_page", PER_PAGE),
            ("direction", "asc"),
        ];
        match scope {
            // The oldest first: what is new meanwhile comes at the end.
            Scope::All => query.push(("sort", "created")),
            Scope::Since(since, _) => query.extend([("sort", "updated"), ("since", since)]),
        }
        let mut known = match scope {
            Scope::All => None,
            Scope::Since(_, tag) => tag.as_deref(),
        };
        let mut next = Some(self.url(&["issues"], &query)?);
        let (mut told, mut pages) = (Told::default(), 0);
        while let Some(url) = next {
            pages += 1;
            if pages > KNOWLEDGE_API_PAGES {
                let host = host_of(&url);
                return Err(SyncError::TooManyPages { host });
            }
            let tag = known.take();
            let page = match self.page::<Issue>(url, tag).await.map_err(whole)? {
                Ok(page) => page,
                Err(answer) if answer.status == 304 => {
                    told.tag = tag.map(str::to_owned);
                    break;
                }
                Err(answer) => return Err(self.refused(&answer)),
            };
            if pages == 1 {
                told.tag = page.tag;
            }
            for issue in page.items {
                told.newest = told.newest.max(Some(issue.updated_at.clone()));
                if let Some(repository) = &issue.repository_url {
                    self.repository.get_or_init(|| repository.clone());
                }
                if issue.is_wanted(self.source.pull_requests) {
                    let found = self.found(&issue)?;
                    finder.found(found).await?;
                }
            }
            next = page.next;
        }
        Ok(told)
    }

    fn found(&self, issue: &Issue) -> Result<Found, SyncError> {
        let malformed = |why: &str| SyncError::Malformed {
            host: host_of(&self.source.api),
            why: why.to_owned(),
        };
        let key = format!("issues/{}", issue.number);
        let revision = issue.updated_at.parse();
        Ok(Found {
            key: key.parse().map_err(|_| malformed("a number"))?,
            now: Now::Has(revision.map_err(|_| malformed("a time"))?),
        })
    }

    /// Why the list of issues is none.
    fn refused(&self, answer: &Answer) -> SyncError {
        let GitHubSource {
            owner, repository, ..
        } = &self.source;
        match answer.status {
            // What one may not see is said not to be there; without issues it is gone.
            404 | 410 => SyncError::NotFound(format!("the repository {owner}/{repository}")),
            status => SyncError::Status {
                host: host_of(&answer.url),
                status,
                what: "a list of issues",
            },
        }
    }

    /// An issue, if it is there and one that is read. One that was moved to another repository is answered with a redirection to it.
    async fn issue(&self, number: u64) -> Result<Option<Issue>, ReadError> {
        let url = self.url(&["issues", &number.to_string()], &[])?;
        let answer = self.get(url, None).await?;
        if matches!(answer.status, 404 | 410) {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(answer.status_error().into());
        }
        let issue: Issue = answer.json()?;
        let is_elsewhere = match (self.repository.get(), &issue.repository_url) {
            (Some(own), Some(other)) => own != other,
            (None, _) | (_, None) => false,
        };
        let is_it = issue.number == number && !is_elsewhere;
        Ok(Some(issue).filter(|issue| is_it && issue.is_wanted(self.source.pull_requests)))
    }

    /// The first comments of an issue.
    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ReadError> {
        let query = [("per_page", PER_PAGE)];
        let mut next = Some(self.url(&["issues", &number.to_string(), "comments"], &query)?);
        let (mut comments, mut bytes) = (Vec::new(), 0);
        while let Some(url) = next {
            let page = self.page::<Comment>(url, None).await?;
            let page = page.map_err(|answer| answer.status_error())?;
            next = page.next.filter(|_| !page.items.is_empty());
            bytes += page.items.iter().map(Comment::bytes).sum::<usize>();
            comments.extend(page.items);
            // What is more than a document may be is not asked for.
            if comments.len() >= KNOWLEDGE_COMMENTS || bytes > KNOWLEDGE_TEXT_BYTES {
                comments.truncate(KNOWLEDGE_COMMENTS);
                break;
            }
        }
        Ok(comments)
    }

    async fn whole_issue(
        &self,
        key: &DocumentKey,
        known: Option<&Revision>,
    ) -> Result<Reading, ReadError> {
        let Some(number) = number(key) else {
            return Ok(Reading::Gone);
        };
        let Some(issue) = self.issue(number).await? else {
            return Ok(Reading::Gone);
        };
        if known.is_some_and(|known| known.as_str() == issue.updated_at) {
            return Ok(Reading::Unchanged);
        }
        let comments = if issue.comments == 0 {
            Vec::new()
        } else {
            self.comments(number).await?
        };
        let raw = issue
            .document(&comments)
            .map_err(|why| DocumentError::Malformed {
                host: host_of(&self.source.api),
                why,
            })?;
        Ok(Reading::Changed(Box::new(raw)))
    }

    fn place(&self, known: &Known) -> Option<Place> {
        let cursor = known.cursor.as_ref()?;
        let place: Place = serde_json::from_str(cursor.as_str()).ok()?;
        let has_pulls = self.source.pull_requests == PullRequests::Read;
        (place.has_pulls == has_pulls).then_some(place)
    }

    /// What is to be listed now.
    fn scope(&self, place: Option<&Place>, now: Timestamp) -> Scope {
        let Some(place) = place else {
            return Scope::All;
        };
        let age = now.as_second().saturating_sub(place.listed_at);
        let age = u64::try_from(age).map(Duration::from_secs);
        match (&place.since, age) {
            (Some(since), Ok(age)) if age < KNOWLEDGE_LISTING_AGE => {
                Scope::Since(since.clone(), place.tag.clone())
            }
            // A clock that was set back says nothing.
            _ => Scope::All,
        }
    }

    async fn all(&self, known: &Known, finder: &Finder) -> Result<Listing, SyncError> {
        let now = (self.access.now)();
        let place = self.place(known);
        let scope = self.scope(place.as_ref(), now);
        let told = self.tell(&scope, finder).await?;
        let (extent, listed_at) = match &scope {
            Scope::All => (Extent::Everything, now.as_second()),
            Scope::Since(..) => {
                let listed_at = place.as_ref().map_or(0, |place| place.listed_at);
                (Extent::Changes, listed_at)
            }
        };
        let before = place.and_then(|place| place.since);
        let since = told.newest.max(before);
        // A tag is for the list that was asked for, which is the same next time only if nothing was newer.
        let tag = match &scope {
            Scope::Since(asked, _) if since.as_ref() == Some(asked) => told.tag,
            Scope::Since(..) | Scope::All => None,
        };
        let place = Place {
            since,
            tag,
            listed_at,
            has_pulls: self.source.pull_requests == PullRequests::Read,
        };
        let cursor = serde_json::to_string(&place).ok();
        let cursor = cursor.and_then(|cursor| Cursor::try_from(cursor).ok());
        Ok(Listing { extent, cursor })
    }
}

impl Connector for GitHubConnector {
    fn list<'a>(
        &'a self,
        known: &'a Known,
        finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>> {
        Box::pin(self.all(known, finder))
    }

    fn read<'a>(
        &'a self,
        key: &'a DocumentKey,
        known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>> {
        Box::pin(self.whole_issue(key, known))
    }

    fn check<'a>(&'a self, key: &'a DocumentKey) -> BoxFuture<'a, Result<Presence, ReadError>> {
        Box::pin(async move {
            let Some(number) = number(key) else {
                return Ok(Presence::Gone);
            };
            let issue = self.issue(number).await?;
            Ok(issue.map_or(Presence::Gone, |_| Presence::There))
        })
    }
}

fn number(key: &DocumentKey) -> Option<u64> {
    key.as_str().strip_prefix("issues/")?.parse().ok()
}

fn malformed(answer: &Answer, why: &str) -> DocumentError {
    DocumentError::Malformed {
        host: host_of(&answer.url),
        why: why.to_owned(),
    }
}

/// What fails of a list fails the list.
pub(crate) fn whole(error: ReadError) -> SyncError {
    match error {
        ReadError::Sync(error) => error,
        ReadError::Document(DocumentError::Request(error)) => error.into(),
        ReadError::Document(DocumentError::Status { host, status }) => SyncError::Status {
            host,
            status,
            what: "a list",
        },
        ReadError::Document(DocumentError::Malformed { host, why }) => {
            SyncError::Malformed { host, why }
        }
        ReadError::Document(error) => SyncError::Malformed {
            host: "the source".to_owned(),
            why: error.to_string(),
        },
    }
}

/// The next page of a list (RFC 8288). A comma in an address ends no link.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, link) = rest.split_once('<')?;
        let (target, after) = link.split_once('>')?;
        let parameters = after.split('<').next().unwrap_or_default();
        let is_next = parameters
            .split([';', ','])
            .map(str::trim)
            .any(|parameter| parameter == "rel=\"next\"" || parameter == "rel=next");
        if is_next {
            return Some(target);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_the_others() {
        let header = "<https://a.test/?page=1>; rel=\"prev\", <https://a.test/?page=3>; rel=\"next\", <https://a.test/?page=9>; rel=\"last\"";
        assert_eq!(next_link(header), Some("https://a.test/?page=3"));
        assert_eq!(next_link("<https://a.test/?page=1>; rel=\"first\""), None);
        let comma = "<https://a.test/?x=0,1>; rel=\"first\", <https://a.test/?x=1,2>; rel=\"next\"";
        assert_eq!(next_link(comma), Some("https://a.test/?x=1,2"));
        for nonsense in ["nonsense", "<a", "<a>", ">; rel=next", ""] {
            assert_eq!(next_link(nonsense), None);
        }
    }
}
