//! The pages of a web site: those that it lists, or those that its links lead to.

mod page;
mod robots;
mod sitemaps;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bailiwick_model::limits::{
    KNOWLEDGE_CRAWL_DEPTH, KNOWLEDGE_CRAWL_PAGES, KNOWLEDGE_DOCUMENT_BYTES, KNOWLEDGE_KEY_BYTES,
    KNOWLEDGE_ROBOTS_BYTES, KNOWLEDGE_SITE_REQUESTS,
};
use bailiwick_outbound::HttpUrl;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::HeaderMap;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::connector::{Extent, Finder, Found, Known, Listing, Now, Reading};
use crate::error::host_of;
use crate::http::{Answer, Question, Redirects, Wanted, is_same_site};
use crate::{
    Access, BoxFuture, Connector, Cursor, DocumentError, DocumentKey, ReadError, Revision, Skip,
    SyncError,
};
use page::{Visited, is_of_a_page};
use robots::Robots;

/// What is read of the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSource {
    /// A page of the site; a crawl begins there. Where it redirects to another host, that is the site.
    pub start: HttpUrl,
    /// How pages are found.
    pub gather: Gather,
    /// How many are visited at most; no more than [`KNOWLEDGE_CRAWL_PAGES`] by a crawl.
    pub most_pages: usize,
}

/// How pages are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gather {
    /// The site lists them: here, or else where its `robots.txt` says, or else at `/sitemap.xml`.
    Sitemap(Option<HttpUrl>),
    /// Links lead to them, at most so many from the start; no more than [`KNOWLEDGE_CRAWL_DEPTH`].
    Crawl {
        /// How many.
        depth: u32,
    },
}

/// Reads the pages of a site, as its `robots.txt` and its pages ask. A key is the address of a page.
#[derive(Debug)]
pub struct WebConnector {
    access: Access,
    source: WebSource,
}

/// A site, and what it asks.
struct Site<'a> {
    access: &'a Access,
    /// Where it begins, after redirections.
    start: HttpUrl,
    robots: Robots,
    /// When the next request may be made.
    next: Mutex<Instant>,
}

/// Pages that are still to be visited, and what is known of those that were.
struct Frontier {
    waiting: VecDeque<(Url, u32)>,
    seen: HashSet<String>,
    /// Pages that said to be another one.
    same_as: HashSet<String>,
    depths: BTreeMap<String, u32>,
    most_depth: u32,
    most_pages: usize,
    is_cut: bool,
    /// Pages that were known and redirect within the site now, and where to.
    moved: Vec<(DocumentKey, Url)>,
}

impl WebConnector {
    /// By this way out.
    pub fn new(access: Access, source: WebSource) -> Self {
        Self { access, source }
    }

    async fn all(&self, known: &Known, finder: &Finder) -> Result<Listing, SyncError> {
        let site = self.begin().await?;
        site.is_where_it_was(known)?;
        let (frontier, extent) = match &self.source.gather {
            Gather::Sitemap(at) => {
                let listed = site.listed(self.sitemaps(&site, at.as_ref())).await?;
                let mut frontier = Frontier::new(0, self.source.most_pages);
                for page in &listed.pages {
                    if let Some(url) = site.page(site.start.url(), page) {
                        frontier.add(url, 0);
                    }
                }
                finder.total(u64::try_from(frontier.waiting.len()).unwrap_or(u64::MAX));
                (frontier, listed.extent)
            }
            Gather::Crawl { depth } => {
                let most_pages = self.source.most_pages.min(KNOWLEDGE_CRAWL_PAGES);
                let most_depth = (*depth).min(KNOWLEDGE_CRAWL_DEPTH);
                let mut frontier = Frontier::new(most_depth, most_pages);
                frontier.add(site.start.url().clone(), 0);
                // A page that has not changed is not sent again, and with it none of its links: what was known is visited anyway.
                let depths = remembered(known);
                for key in known.documents.keys() {
                    let depth = depths.get(key.as_str()).copied().unwrap_or(most_depth);
                    if let Some(url) = site.page(site.start.url(), key.as_str()) {
                        frontier.add(url, depth);
                    }
                }
                (frontier, Extent::Everything)
            }
        };
        let frontier = site.visit_all(frontier, known, finder).await?;
        Ok(Listing {
            extent: if frontier.is_cut { Extent::Cut } else { extent },
            cursor: frontier.cursor(),
        })
    }

    /// Learns what the site asks, and where it is.
    async fn begin(&self) -> Result<Site<'_>, SyncError> {
        let (start, is_crawl) = match self.source.gather {
            Gather::Crawl { .. } => (&self.source.start, true),
            Gather::Sitemap(_) => (&self.source.start, false),
        };
        let mut robots = read_robots(&self.access, start).await?;
        let mut at = start.clone();
        match allowed(&robots, start) {
            Ok(()) => {
                let answer = self.first_page(start).await?;
                if is_crawl && !answer.is_success() {
                    return Err(SyncError::Status {
                        host: host_of(&answer.url),
                        status: answer.status,
                        what: "the page to begin with",
                    });
                }
                if !is_same_site(start, &answer.url) {
                    robots = read_robots(&self.access, &answer.url).await?;
                }
                at = answer.url;
            }
            // The pages of a list may be allowed all the same.
            Err(_) if !is_crawl => {}
            Err(error) => return Err(error),
        }
        if is_crawl {
            allowed(&robots, &at)?;
        }
        Ok(Site {
            access: &self.access,
            start: at,
            robots,
            next: Mutex::new(Instant::now()),
        })
    }

    /// The page to begin with, wherever it redirects.
    async fn first_page(&self, start: &HttpUrl) -> Result<Answer, SyncError> {
        let question = Question {
            url: start.clone(),
            headers: HeaderMap::new(),
            redirects: Redirects::Anywhere,
            most_bytes: KNOWLEDGE_DOCUMENT_BYTES,
            wanted: Wanted::Anything,
        };
        Ok(self.access.get(&question).await?)
    }

    fn sitemaps(&self, site: &Site<'_>, at: Option<&HttpUrl>) -> Vec<HttpUrl> {
        if let Some(url) = at {
            return vec![url.clone()];
        }
        let start = site.start.url();
        let named = site.robots.sitemaps.iter().map(String::as_str);
        let urls = named.filter_map(|named| start.join(named).ok());
        let urls = urls.filter_map(|url| HttpUrl::try_from(url).ok());
        let urls: Vec<_> = urls.filter(|url| site.has(url)).collect();
        if !urls.is_empty() {
            return urls;
        }
        let usual = start.join("/sitemap.xml").ok();
        let usual = usual.and_then(|url| HttpUrl::try_from(url).ok());
        usual.into_iter().collect()
    }
}

impl Connector for WebConnector {
    fn list<'a>(
        &'a self,
        known: &'a Known,
        finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>> {
        Box::pin(self.all(known, finder))
    }

    /// Pages are read as they are found: their links lead to others.
    fn read<'a>(
        &'a self,
        _key: &'a DocumentKey,
        _known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>> {
        Box::pin(async { Err(ReadError::Sync(SyncError::Used)) })
    }
}

/// What a site asks; everything is allowed where it has no such file, and nothing where nobody can tell (RFC 9309, section 2.3.1).
async fn read_robots(access: &Access, start: &HttpUrl) -> Result<Robots, SyncError> {
    let host = host_of(start);
    let failed = |why: String| SyncError::Robots {
        host: host.clone(),
        why,
    };
    let url = start.url().join("/robots.txt").ok();
    let url = url.and_then(|url| HttpUrl::try_from(url).ok());
    let url = url.ok_or_else(|| failed("no address".to_owned()))?;
    let question = Question {
        url,
        headers: HeaderMap::new(),
        redirects: Redirects::Anywhere,
        most_bytes: KNOWLEDGE_ROBOTS_BYTES,
        wanted: Wanted::Anything,
    };
    match access.get(&question).await {
        Ok(answer) if answer.is_success() => {
            Ok(Robots::parse(&String::from_utf8_lossy(&answer.body)))
        }
        Ok(answer) if (400..500).contains(&answer.status) && answer.status != 429 => {
            Ok(Robots::default())
        }
        Ok(answer) => Err(failed(format!("status {}", answer.status))),
        // That is about the site and not about its file.
        Err(error) if error.denial().is_some() => Err(error.into()),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn allowed(robots: &Robots, url: &HttpUrl) -> Result<(), SyncError> {
    if robots.allow(url.url()) {
        return Ok(());
    }
    Err(SyncError::RobotsForbid {
        host: host_of(url),
        path: url.url().path().to_owned(),
    })
}

fn remembered(known: &Known) -> BTreeMap<String, u32> {
    let cursor = known.cursor.as_ref();
    let depths = cursor.and_then(|cursor| serde_json::from_str(cursor.as_str()).ok());
    depths.unwrap_or_default()
}

impl Site<'_> {
    /// Whether an address is one of the site.
    fn has(&self, url: &HttpUrl) -> bool {
        is_same_site(&self.start, url)
    }

    /// The address of a page of the site, without the part of it that is meant. One that is longer than a key is none, and nothing is made of it.
    fn page(&self, from: &Url, address: &str) -> Option<Url> {
        if from.as_str().len().max(address.len()) > KNOWLEDGE_KEY_BYTES {
            return None;
        }
        let mut url = from.join(address.trim()).ok()?;
        url.set_fragment(None);
        let fits = url.as_str().len() <= KNOWLEDGE_KEY_BYTES;
        let url = HttpUrl::try_from(url).ok().filter(|_| fits)?;
        self.has(&url).then(|| url.url().clone())
    }

    /// Waits as long as the site asks from one request to the next.
    async fn pace(&self) {
        let Some(delay) = self.robots.delay else {
            return;
        };
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + delay;
    }

    /// Visits what waits, and where that leads, until nothing waits or a bound is reached.
    async fn visit_all(
        &self,
        mut frontier: Frontier,
        known: &Known,
        finder: &Finder,
    ) -> Result<Frontier, SyncError> {
        let at_once = match self.robots.delay {
            Some(Duration::ZERO) | None => KNOWLEDGE_SITE_REQUESTS,
            Some(_) => 1,
        };
        let mut visits = FuturesUnordered::new();
        loop {
            while visits.len() < at_once
                && let Some((url, depth)) = frontier.next()
            {
                let Ok(key) = url.as_str().parse::<DocumentKey>() else {
                    continue;
                };
                let revision = known.documents.get(&key);
                visits.push(async move {
                    let visited = self.visit(&url, revision).await;
                    (key, depth, visited)
                });
            }
            let Some((key, depth, visited)) = visits.next().await else {
                break;
            };
            let redirect = visited.redirect.clone();
            let reading = frontier.take(key.as_str(), depth, visited);
            match redirect {
                Some(to) if known.documents.contains_key(&key) => frontier.moved.push((key, to)),
                Some(_) | None => {
                    let now = Now::Read(reading);
                    finder.found(Found { key, now }).await?;
                }
            }
        }
        for (key, reading) in frontier.moved() {
            let now = Now::Read(reading);
            finder.found(Found { key, now }).await?;
        }
        Ok(frontier)
    }

    /// Goes on unless all pages that were read of it are of another site than where it redirects now: to whom these belong nobody can say, and none of
    /// them is gone because of that.
    fn is_where_it_was(&self, known: &Known) -> Result<(), SyncError> {
        let own = known.documents.iter();
        let own = own.filter(|(_, revision)| is_of_a_page(revision));
        let mut was = own.filter_map(|(key, _)| key.as_str().parse::<HttpUrl>().ok());
        let Some(first) = was.next() else {
            return Ok(());
        };
        let is_here = |was: &HttpUrl| self.has(was) || is_same_site(was, &self.start);
        if is_here(&first) || was.any(|was| is_here(&was)) {
            return Ok(());
        }
        Err(SyncError::Moved {
            from: host_of(&first),
            to: host_of(&self.start),
        })
    }
}

impl Frontier {
    fn new(most_depth: u32, most_pages: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            seen: HashSet::new(),
            same_as: HashSet::new(),
            depths: BTreeMap::new(),
            most_depth,
            most_pages,
            is_cut: false,
            moved: Vec::new(),
        }
    }

    fn add(&mut self, url: Url, depth: u32) {
        if self.seen.contains(url.as_str()) {
            return;
        }
        if self.seen.len() >= self.most_pages {
            self.is_cut = true;
            return;
        }
        self.seen.insert(url.to_string());
        self.waiting.push_back((url, depth));
    }

    fn next(&mut self) -> Option<(Url, u32)> {
        self.waiting.pop_front()
    }

    /// Takes note of where a page leads, and gives what is to be told of it.
    fn take(
        &mut self,
        address: &str,
        depth: u32,
        visited: Visited,
    ) -> Result<Reading, DocumentError> {
        let Visited {
            reading,
            links,
            canonical,
            redirect: _,
        } = visited;
        self.depths.insert(address.to_owned(), depth);
        if depth < self.most_depth {
            for link in links {
                self.add(link, depth + 1);
            }
        }
        // Two pages that each say to be the other are both themselves.
        if let Some(canonical) = canonical
            && !self.same_as.contains(canonical.as_str())
            && matches!(
                reading,
                Ok(Reading::Changed(_) | Reading::Unchanged | Reading::Skipped(Skip::SameAs(_)))
            )
        {
            self.same_as.insert(address.to_owned());
            let other = canonical.to_string();
            self.add(canonical, depth);
            return Ok(Reading::Skipped(Skip::SameAs(other)));
        }
        reading
    }

    /// What has become of pages that were known and redirect: one that has moved is the page where it is now. Where several lead to one page, such as
    /// to one that asks who is there, that is none of them, and they are not gone. From where somebody came there may be in its query.
    fn moved(&mut self) -> Vec<(DocumentKey, Result<Reading, DocumentError>)> {
        let moved = std::mem::take(&mut self.moved);
        let mut leading: HashMap<String, usize> = HashMap::new();
        for (_, to) in &moved {
            *leading.entry(to.path().to_owned()).or_default() += 1;
        }
        let became = |(key, to): (DocumentKey, Url)| {
            let is_alone = leading.get(to.path()) == Some(&1);
            let to = String::from(to);
            let reading = match is_alone {
                true => Ok(Reading::Skipped(Skip::SameAs(to))),
                false => Err(DocumentError::Redirected { to }),
            };
            (key, reading)
        };
        moved.into_iter().map(became).collect()
    }

    /// From how far away each page was found, for the next time.
    fn cursor(&self) -> Option<Cursor> {
        let depths = serde_json::to_string(&self.depths).ok()?;
        depths.try_into().ok()
    }
}
