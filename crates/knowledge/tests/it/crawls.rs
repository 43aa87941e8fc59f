//! Sites that are gone through by their links.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bailiwick_knowledge::{Extent, Gather, WebConnector, WebSource};
use bailiwick_testkit::{Asked, Said, StandIn};

use crate::world::{Kept, World, numbers};

const NAME: &str = "site.test";

/// A site whose pages can be changed, with entity tags made of their contents.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) server: StandIn,
    pages: Arc<Mutex<BTreeMap<String, Said>>>,
    start: String,
}

impl Site {
    pub(crate) fn new(pages: &[(&str, &str)]) -> Self {
        let shown: Arc<Mutex<BTreeMap<String, Said>>> = Arc::default();
        let shared = Arc::clone(&shown);
        let server = StandIn::start(move |asked: &Asked| {
            let pages = shared.lock().unwrap();
            let page = pages.get(&asked.target).cloned();
            let Some(said) = page else {
                return Said::status(404);
            };
            if said.status != 200 {
                return said;
            }
            let tag = format!(
                "\"{}\"",
                said.body.len() * 1000 + usize::from(sum(&said.body))
            );
            if asked.header("if-none-match") == Some(&tag) {
                return Said::status(304);
            }
            said.with("etag", &tag)
        });
        let mut world = World::allowing(&[NAME]);
        let start = world.site(NAME, &server, "/").to_string();
        let site = Self {
            world,
            server,
            pages: shown,
            start,
        };
        for (path, html) in pages {
            site.html(path, html);
        }
        site
    }

    pub(crate) fn put(&self, path: &str, said: Said) {
        self.pages.lock().unwrap().insert(path.to_owned(), said);
    }

    pub(crate) fn html(&self, path: &str, html: &str) {
        self.put(path, Said::page("text/html; charset=utf-8", html));
    }

    pub(crate) fn remove(&self, path: &str) {
        self.pages.lock().unwrap().remove(path);
    }

    pub(crate) fn connector(&self, gather: Gather) -> WebConnector {
        let source = WebSource {
            start: self.start.parse().unwrap(),
            gather,
            most_pages: 1000,
        };
        WebConnector::new(self.world.access(), source)
    }

    pub(crate) fn crawl(&self, depth: u32) -> WebConnector {
        self.connector(Gather::Crawl { depth })
    }

    /// The address of a path of the site.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.start.trim_end_matches('/'))
    }

    /// Paths of what is kept.
    pub(crate) fn paths(&self, kept: &Kept) -> Vec<String> {
        let start = self.start.trim_end_matches('/');
        let paths = kept.keys().into_iter();
        paths
            .map(|key| key.strip_prefix(start).unwrap().to_owned())
            .collect()
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte))
}

#[tokio::test]
async fn links_are_followed_as_far_as_they_may_be() {
    let site = Site::new(&[
        ("/robots.txt", "User-agent: *\nDisallow: /private\n"),
        (
            "/",
            "<title>Home</title><nav><a href=/a#part>A</a><a href='b?x=1'>B</a><a href=/private/x>P</a>\
             <a href=https://elsewhere.test/>E</a><a rel=nofollow href=/unwanted>U</a><a href=mailto:x@y.test>M</a>\
             <a href=/picture.png>I</a><a href=/old>O</a><a href=/gone>G</a></nav><main>Welcome</main>",
        ),
        ("/a", "<title>A</title><p>about a<a href=/deep>on</a>"),
        (
            "/b?x=1",
            "<title>B</title><meta name=robots content='noindex,nofollow'><p>b<a href=/from-b>x</a>",
        ),
        ("/deep", "<title>Deep</title><p>deep<a href=/deeper>on</a>"),
        ("/deeper", "<p>deeper"),
        ("/new", "<title>New</title><p>new"),
        ("/private/x", "<p>private"),
        ("/unwanted", "<p>unwanted"),
        ("/from-b", "<p>from b"),
    ]);
    site.put("/picture.png", Said::page("image/png", vec![0; 100]));
    site.put("/old", Said::status(301).with("location", "/new"));
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.crawl(2)).await, [4, 0, 0, 4, 0]);
    assert_eq!(site.paths(&kept), ["/", "/a", "/deep", "/new"]);
    let home = kept.document(&site.url("/"));
    assert_eq!(
        (home.title.as_str(), home.text.as_str()),
        ("Home", "Welcome")
    );
    let asked = site.server.targets();
    for never in ["/private/x", "/unwanted", "/from-b", "/deeper"] {
        assert!(!asked.contains(&never.to_owned()), "{never}");
    }
    let skipped = |path: &str| kept.skipped[&site.url(path).parse().unwrap()].clone();
    assert_eq!(
        skipped("/private/x"),
        "the site's robots.txt asks not to read it"
    );
    assert_eq!(skipped("/b?x=1"), "it asks not to be found");
    assert_eq!(skipped("/picture.png"), "it is no text");
    assert_eq!(
        skipped("/old"),
        format!("it is the same as {}", site.url("/new"))
    );
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_and_what_is_gone_is_forgotten() {
    let site = Site::new(&[
        ("/", "<a href=/a>a</a><a href=/b>b</a> home"),
        ("/a", "a<a href=/c>c</a>"),
        ("/b", "b"),
        ("/c", "c"),
    ]);
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.crawl(3)).await, [4, 0, 0, 0, 0]);
    // A page that is not sent again tells no links: what was known is visited all the same.
    assert_eq!(kept.synced(&site.crawl(3)).await, [0, 4, 0, 0, 0]);
    site.html("/a", "a, changed<a href=/c>c</a><a href=/d>d</a>");
    site.html("/d", "d");
    site.remove("/b");
    site.html("/c", "<meta name=robots content=noindex>c");
    assert_eq!(kept.synced(&site.crawl(3)).await, [2, 1, 2, 0, 0]);
    assert_eq!(site.paths(&kept), ["/", "/a", "/d"]);
}

#[tokio::test]
async fn pages_of_one_address_are_one_document() {
    let site = Site::new(&[
        ("/", "<a href=/x?session=1>x</a><a href=/loop1>1</a> home"),
        ("/x?session=1", "<link rel=canonical href=/x>the x"),
        ("/x", "<link rel=canonical href=/x>the x"),
        ("/loop1", "<link rel=canonical href=/loop2>one"),
        ("/loop2", "<link rel=canonical href=/loop1>two"),
    ]);
    let mut kept = Kept::default();
    kept.synced(&site.crawl(3)).await;
    assert_eq!(site.paths(&kept), ["/", "/loop2", "/x"]);
}

#[tokio::test]
async fn a_site_that_moved_to_another_host_is_read_there_if_the_policy_lets_it() {
    let site = Site::new(&[("/", "<a href=/a>a</a>home"), ("/a", "a")]);
    let to = site.url("/");
    let old = StandIn::start(move |_| Said::status(301).with("location", &to));
    let mut world = World::allowing(&[NAME, "old.test"]);
    world.pin(NAME, site.server.address());
    let start = world.site("old.test", &old, "/");
    let source = WebSource {
        start,
        gather: Gather::Crawl { depth: 1 },
        most_pages: 10,
    };
    let mut kept = Kept::default();
    // The old host has no robots.txt of its own: that leads to the new one's, which is none.
    let connector = WebConnector::new(world.access(), source.clone());
    assert_eq!(kept.synced(&connector).await, [2, 0, 0, 0, 0]);
    assert_eq!(site.paths(&kept), ["/", "/a"]);
    let mut world = World::allowing(&["old.test"]);
    world.pin(NAME, site.server.address());
    world.pin("old.test", old.address());
    let connections = site.server.connections();
    let outcome = kept.sync(&WebConnector::new(world.access(), source)).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert!(
        error.starts_with("site.test is denied (no_rule)"),
        "{error}"
    );
    assert_eq!(site.server.connections(), connections);
    assert_eq!(site.paths(&kept), ["/", "/a"]);
}

#[tokio::test]
async fn nothing_is_read_of_a_site_that_does_not_say_what_it_allows() {
    let site = Site::new(&[("/", "home")]);
    site.put("/robots.txt", Said::status(503));
    let mut kept = Kept::default();
    let outcome = kept.sync(&site.crawl(1)).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert_eq!(
        error,
        "the robots.txt of site.test cannot be read (status 503), so nothing of the site is"
    );
    assert_eq!(site.server.targets(), ["/robots.txt"]);
    site.put(
        "/robots.txt",
        Said::page("text/plain", "User-agent: bailiwick\nDisallow: /"),
    );
    let outcome = kept.sync(&site.crawl(1)).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert_eq!(error, "the robots.txt of site.test asks not to read /");
    assert!(!site.server.targets().contains(&"/".to_owned()));
}

#[tokio::test]
async fn a_page_that_fails_fails_alone_and_stays_known() {
    let site = Site::new(&[("/", "<a href=/a>a</a>home"), ("/a", "a")]);
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.crawl(1)).await, [2, 0, 0, 0, 0]);
    site.put("/a", Said::status(500));
    assert_eq!(kept.synced(&site.crawl(1)).await, [0, 1, 0, 0, 1]);
    assert_eq!(kept.failure(), "site.test answered with status 500");
    assert_eq!(site.paths(&kept), ["/", "/a"]);
}

#[tokio::test]
async fn a_site_is_asked_no_faster_than_it_asks_for() {
    let site = Site::new(&[
        ("/robots.txt", "User-agent: *\nCrawl-delay: 0.2\n"),
        ("/", "<a href=/a>a</a><a href=/b>b</a><a href=/c>c</a>home"),
        ("/a", "a"),
        ("/b", "b"),
        ("/c", "c"),
    ]);
    let began = std::time::Instant::now();
    let outcome = Kept::default().sync(&site.crawl(1)).await;
    assert_eq!(numbers(outcome.counts)[0], 4);
    assert!(began.elapsed().as_millis() >= 600);
}

#[tokio::test]
async fn a_crawl_without_an_end_ends_at_its_bound_and_deletes_nothing() {
    let server = StandIn::start(|asked: &Asked| {
        let number = asked.target.len();
        let html = format!(
            "page {number}<a href='{}x'>next</a><a href='?{number}'>more</a>",
            asked.path()
        );
        if asked.target == "/robots.txt" {
            return Said::status(404);
        }
        Said::page("text/html", html)
    });
    let mut world = World::allowing(&[NAME]);
    let start = world.site(NAME, &server, "/");
    let source = WebSource {
        start,
        gather: Gather::Crawl { depth: 1000 },
        most_pages: 20,
    };
    let mut kept = Kept::default();
    let outcome = kept.sync(&WebConnector::new(world.access(), source)).await;
    assert_eq!(outcome.listing.unwrap(), Extent::Cut);
    assert_eq!(kept.keys().len(), 20);
}
