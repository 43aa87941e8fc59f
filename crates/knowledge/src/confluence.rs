//! The pages of Confluence Cloud, through its REST API (version 2).
//!
//! Each sync lists all pages with their versions, which is one request for 250 of them, and reads those whose version is another one.

mod answers;

use std::sync::OnceLock;

use bailiwick_html::storage;
use bailiwick_model::SecretText;
use bailiwick_model::limits::{KNOWLEDGE_API_BYTES, KNOWLEDGE_API_PAGES, KNOWLEDGE_SPACES};
use bailiwick_outbound::HttpUrl;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use url::Url;

use crate::connector::{Body, Extent, Finder, Found, Known, Listing, Now, Presence, Raw, Reading};
use crate::error::host_of;
use crate::extract::kept;
use crate::github::whole;
use crate::http::{Answer, Credential, Question, Redirects, Wanted, is_same_origin};
use crate::{
    Access, BoxFuture, Connector, DocumentError, DocumentKey, InsecureBase, Kind, ReadError,
    RequestError, Revision, SyncError,
};
use answers::{List, Page, Space};

/// What a page of the API holds at most.
const PER_PAGE: &str = "250";

/// Which pages are read.
#[derive(Debug, Clone)]
pub struct ConfluenceSource {
    /// Where the site is: `https://NAME.atlassian.net/wiki`.
    pub site: HttpUrl,
    /// Who asks.
    pub access: ConfluenceAccess,
    /// Of which spaces.
    pub spaces: Spaces,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum ConfluenceAccess {
    /// Somebody with an API token.
    Token {
        /// The address by which Confluence knows them.
        email: String,
        /// Their token.
        token: SecretText,
    },
    /// Whoever has this token of OAuth, or of Data Center.
    Bearer(SecretText),
    /// Anybody.
    Anonymous,
}

/// Which spaces are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spaces {
    /// All that whoever asks may see.
    All,
    /// Those with these keys; at most [`KNOWLEDGE_SPACES`].
    Only(Vec<String>),
}

/// Reads pages. A key is `pages/` and the id of one.
#[derive(Debug)]
pub struct ConfluenceConnector {
    access: Access,
    source: ConfluenceSource,
    credential: Credential,
    /// The ids of the spaces that are read, once they are known.
    space_ids: OnceLock<Vec<String>>,
}

impl ConfluenceConnector {
    /// By this way out.
    ///
    /// # Errors
    ///
    /// There is a credential, and the site is not asked over TLS.
    pub fn new(access: Access, source: ConfluenceSource) -> Result<Self, InsecureBase> {
        let credential = match &source.access {
            ConfluenceAccess::Token { email, token } => {
                let pair = STANDARD.encode(format!("{email}:{}", token.reveal()));
                Credential::of(&format!("Basic {pair}"))
            }
            ConfluenceAccess::Bearer(token) => {
                Credential::of(&format!("Bearer {}", token.reveal()))
            }
            ConfluenceAccess::Anonymous => Credential::Nobodys,
        };
        if credential.is_somebodys() && source.site.is_open() {
            return Err(InsecureBase);
        }
        Ok(Self {
            access,
            source,
            credential,
            space_ids: OnceLock::new(),
        })
    }

    fn host(&self) -> String {
        host_of(&self.source.site)
    }

    /// An address of the API.
    fn url(&self, parts: &[&str], query: &[(&str, &str)]) -> Result<HttpUrl, RequestError> {
        let mut url = self.source.site.url().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            path.extend(["api", "v2"]).extend(parts);
        }
        url.query_pairs_mut().extend_pairs(query);
        let text = url.to_string();
        HttpUrl::try_from(url).map_err(|_| RequestError::Address(text))
    }

    async fn get(&self, url: HttpUrl) -> Result<Answer, ReadError> {
        let accept = (ACCEPT, HeaderValue::from_static("application/json"));
        let mut headers = HeaderMap::from_iter([accept]);
        self.credential.add_to(&mut headers, &self.source.site)?;
        let question = Question {
            url,
            headers,
            redirects: Redirects::WithinOrigin,
            most_bytes: KNOWLEDGE_API_BYTES,
            wanted: Wanted::Anything,
        };
        self.access.get_api(&question).await
    }

    /// One page of a list, and where the next is: relative to the site's host, and never on another.
    async fn list_page<T: DeserializeOwned>(
        &self,
        url: HttpUrl,
        what: &str,
    ) -> Result<(List<T>, Option<HttpUrl>), SyncError> {
        let answer = self.get(url).await.map_err(whole)?;
        match answer.status {
            200..300 => {}
            404 => return Err(SyncError::NotFound(what.to_owned())),
            status => {
                return Err(SyncError::Status {
                    host: self.host(),
                    status,
                    what: "a list of pages",
                });
            }
        }
        let list: List<T> = answer.json().map_err(|error| whole(error.into()))?;
        let next = match list.next() {
            None => None,
            Some(next) => {
                let next = answer.url.url().join(next).ok();
                let next = next.and_then(|next| HttpUrl::try_from(next).ok());
                let next = next.filter(|next| is_same_origin(&self.source.site, next));
                Some(next.ok_or_else(|| SyncError::Malformed {
                    host: self.host(),
                    why: "the next page of a list is on another host".to_owned(),
                })?)
            }
        };
        Ok((list, next))
    }

    /// The ids of the spaces that are read. One that is not to be seen fails the sync: its pages would else count as gone.
    async fn space_ids(&self, keys: &[String]) -> Result<Vec<String>, SyncError> {
        if keys.len() > KNOWLEDGE_SPACES {
            return Err(SyncError::NotFound(format!(
                "more than {KNOWLEDGE_SPACES} spaces"
            )));
        }
        let mut ids = Vec::new();
        for key in keys {
            let what = format!("the space {key}");
            let url = self.url(&["spaces"], &[("keys", key), ("limit", PER_PAGE)])?;
            let (list, _) = self.list_page::<Space>(url, &what).await?;
            let space = list.results.0.into_iter().find(|space| space.key == *key);
            ids.push(space.ok_or(SyncError::NotFound(what))?.id);
        }
        Ok(ids)
    }

    async fn tell(&self, first: HttpUrl, what: &str, finder: &Finder) -> Result<(), SyncError> {
        let (mut next, mut pages) = (Some(first), 0);
        while let Some(url) = next {
            pages += 1;
            if pages > KNOWLEDGE_API_PAGES {
                return Err(SyncError::TooManyPages { host: self.host() });
            }
            let (list, following) = self.list_page::<Page>(url, what).await?;
            for page in list.results.0 {
                let malformed = |why: &str| SyncError::Malformed {
                    host: self.host(),
                    why: why.to_owned(),
                };
                let id = page.number().ok_or_else(|| malformed("an id of a page"))?;
                let key = format!("pages/{id}");
                finder
                    .found(Found {
                        key: key.parse().map_err(|_| malformed("an id of a page"))?,
                        now: page.revision().map_or(Now::Unclear, Now::Has),
                    })
                    .await?;
            }
            next = following;
        }
        Ok(())
    }

    async fn all(&self, finder: &Finder) -> Result<Listing, SyncError> {
        let query = [("limit", PER_PAGE), ("status", "current")];
        match &self.source.spaces {
            Spaces::All => {
                let first = self.url(&["pages"], &query)?;
                self.tell(first, "the site", finder).await?;
            }
            Spaces::Only(keys) => {
                let ids = self.space_ids(keys).await?;
                for id in self.space_ids.get_or_init(|| ids) {
                    let first = self.url(&["spaces", id, "pages"], &query)?;
                    self.tell(first, "a space", finder).await?;
                }
            }
        }
        Ok(Listing {
            extent: Extent::Everything,
            cursor: None,
        })
    }

    /// A page, if it is there: deleted ones are, for a while, in the trash.
    async fn page(&self, key: &DocumentKey) -> Result<Option<Page>, ReadError> {
        let id = key.as_str().strip_prefix("pages/");
        let Some(id) = id.filter(|id| id.parse::<u64>().is_ok()) else {
            return Ok(None);
        };
        let url = self.url(&["pages", id], &[("body-format", "storage")])?;
        let answer = self.get(url).await?;
        if matches!(answer.status, 404 | 410) {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(answer.status_error().into());
        }
        let page: Page = answer.json()?;
        Ok(Some(page).filter(Page::is_current))
    }

    async fn whole_page(
        &self,
        key: &DocumentKey,
        known: Option<&Revision>,
    ) -> Result<Reading, ReadError> {
        let Some(page) = self.page(key).await? else {
            return Ok(Reading::Gone);
        };
        let malformed = |why: &str| DocumentError::Malformed {
            host: self.host(),
            why: why.to_owned(),
        };
        let revision = page.revision();
        let revision = revision.ok_or_else(|| malformed("a page has no version"))?;
        if known == Some(&revision) {
            return Ok(Reading::Unchanged);
        }
        let link = page.link().and_then(|link| self.link(link));
        let (title, updated_at) = (page.title.clone(), page.updated_at());
        let body = page.into_body();
        let body = body.ok_or_else(|| malformed("a page has no body"))?;
        let reading = tokio::task::spawn_blocking(move || kept(Kind::Html, None, &storage(&body)));
        let extracted = reading.await;
        let extracted = extracted.unwrap_or(Err(crate::ExtractError::Interrupted));
        Ok(Reading::Changed(Box::new(Raw {
            title: Some(title),
            link,
            revision,
            updated_at,
            body: Body::Text(extracted.map_err(DocumentError::from)?),
        })))
    }

    /// Where people find a page: below the site, whatever an answer says.
    fn link(&self, path: &str) -> Option<Url> {
        let path = path.strip_prefix('/')?;
        let mut site = self.source.site.url().clone();
        site.path_segments_mut().ok()?.pop_if_empty().push("");
        let link = site.join(path).ok()?;
        (link.origin() == site.origin()).then_some(link)
    }
}

impl Connector for ConfluenceConnector {
    fn list<'a>(
        &'a self,
        _known: &'a Known,
        finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>> {
        Box::pin(self.all(finder))
    }

    fn read<'a>(
        &'a self,
        key: &'a DocumentKey,
        known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>> {
        Box::pin(self.whole_page(key, known))
    }

    /// A list may miss what was moved while it was read. A page that is in no space any more that is read is gone all the same.
    fn check<'a>(&'a self, key: &'a DocumentKey) -> BoxFuture<'a, Result<Presence, ReadError>> {
        Box::pin(async move {
            let Some(page) = self.page(key).await? else {
                return Ok(Presence::Gone);
            };
            let is_read = match self.space_ids.get() {
                None => true,
                Some(ids) => page
                    .space()
                    .is_some_and(|own| ids.iter().any(|id| id == own)),
            };
            Ok(if is_read {
                Presence::There
            } else {
                Presence::Gone
            })
        })
    }
}
