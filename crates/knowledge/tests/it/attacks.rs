//! What a site does to whoever reads it.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_knowledge::{
    BoxFuture, Event, Gather, Known, PdfError, PdfText, ReadPdf, Room, Sink, SinkError,
    WebConnector, WebSource, sync,
};
use bailiwick_outbound::HttpUrl;
use bailiwick_testkit::{Said, SaidManner, StandIn};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio_util::sync::CancellationToken;

use crate::crawls::Site;
use crate::world::{Kept, World, numbers};

#[tokio::test]
async fn a_page_that_redirects_to_metadata_or_to_another_host_is_not_followed() {
    let site = Site::new(&[(
        "/",
        "<a href=/m>m</a><a href=/e>e</a><a href=/l>l</a><a href=/r>r</a>home",
    )]);
    for (path, to) in [
        ("/m", "http://169.254.169.254/latest/meta-data/"),
        ("/e", "https://evil.test/"),
        ("/l", "http://127.0.0.1:1/"),
        ("/r", "/r"),
    ] {
        site.put(path, Said::status(302).with("location", to));
    }
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.crawl(1)).await, [1, 0, 0, 3, 1]);
    let why = |path: &str| kept.skipped[&site.url(path).parse().unwrap()].clone();
    assert_eq!(
        why("/m"),
        "it leads to 169.254.169.254, which is no part of the source"
    );
    assert_eq!(
        why("/e"),
        "it leads to evil.test, which is no part of the source"
    );
    assert_eq!(kept.failure(), "site.test redirects more than 5 times");
    let flows = site.world.flows.lock().unwrap();
    assert!(
        flows
            .iter()
            .all(|flow| flow.destination.host.to_string() == "site.test")
    );
}

#[tokio::test]
async fn a_redirection_of_all_pages_to_a_login_or_another_site_has_nothing_forgotten() {
    let away = || Said::status(302).with("location", "https://login.test/");
    let login = |path: &str| Said::status(302).with("location", &format!("/login?next={path}"));
    let home = "<a href=/a>a</a><a href=/b>b</a><a href=/c>c</a>home";
    let pages = [("/", home), ("/a", "a"), ("/b", "b"), ("/c", "c")];
    let site = Site::new(&pages);
    let paths = ["/", "/a", "/b", "/c"];
    for path in paths {
        site.html(&format!("/login?next={path}"), "Who are you?");
    }
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.crawl(1)).await, [4, 0, 0, 0, 0]);
    for path in ["/a", "/b", "/c"] {
        site.put(path, away());
    }
    assert_eq!(kept.synced(&site.crawl(1)).await, [0, 1, 0, 0, 3]);
    let why = |kept: &Kept, path: &str| kept.failed[&site.url(path).parse().unwrap()].to_string();
    assert_eq!(
        why(&kept, "/a"),
        "site.test redirects to login.test, which is no part of the source"
    );
    for path in paths {
        site.put(path, login(path));
    }
    assert_eq!(kept.synced(&site.crawl(1)).await, [4, 0, 0, 0, 4]);
    assert!(why(&kept, "/c").contains("as other documents do"));
    assert_eq!(site.paths(&kept)[..4], paths);
    // The control: what is not there is forgotten, and one page that has moved is where it is now.
    for (path, html) in pages {
        site.html(path, html);
    }
    site.remove("/a");
    for path in paths {
        site.remove(&format!("/login?next={path}"));
    }
    site.put("/b", Said::status(301).with("location", "/d"));
    site.html("/d", "b, elsewhere");
    assert_eq!(kept.synced(&site.crawl(1)).await, [1, 2, 6, 0, 0]);
    assert_eq!(site.paths(&kept), ["/", "/c", "/d"]);
}

#[tokio::test]
async fn a_site_that_leads_to_another_one_at_once_has_nothing_forgotten() {
    let site = Site::new(&[("/", "<a href=/a>a</a>home"), ("/a", "a")]);
    let login = StandIn::start(|_| Said::page("text/html", "Who are you?"));
    let mut world = World::allowing(&["site.test", "login.test"]);
    world.pin("site.test", site.server.address());
    let to = world.site("login.test", &login, "/");
    let crawl = |start: HttpUrl| WebSource {
        start,
        gather: Gather::Crawl { depth: 1 },
        most_pages: 10,
    };
    let start: HttpUrl = site.url("/").parse().unwrap();
    let connector = WebConnector::new(world.access(), crawl(start.clone()));
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&connector).await, [2, 0, 0, 0, 0]);
    site.put("/", Said::status(302).with("location", &to.to_string()));
    let outcome = kept
        .sync(&WebConnector::new(world.access(), crawl(start)))
        .await;
    let error = outcome.listing.unwrap_err().to_string();
    assert!(
        error.starts_with("site.test redirects to login.test now"),
        "{error}"
    );
    assert_eq!(site.paths(&kept), ["/", "/a"]);
    // The control: what was of another source, before the connector was changed, is forgotten.
    for revision in kept.known.documents.values_mut() {
        *revision = "of another source".parse().unwrap();
    }
    let connector = WebConnector::new(world.access(), crawl(to));
    assert_eq!(kept.synced(&connector).await, [1, 0, 2, 0, 0]);
}

/// Reads for ever, and takes everything.
struct Busy;

impl ReadPdf for Busy {
    fn read(&self, _bytes: Vec<u8>) -> BoxFuture<'_, Result<PdfText, PdfError>> {
        Box::pin(std::future::pending())
    }
}

impl Sink for Busy {
    fn take(&self, _event: Event) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn packed_documents_that_nobody_reads_are_not_asked_for() {
    const PAGES: usize = 12;
    let links: String = (0..PAGES).map(|n| format!("<a href=/{n}>x</a>")).collect();
    let site = Site::new(&[("/", &format!("{links}home"))]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"%PDF-").unwrap();
    encoder.write_all(&vec![b' '; (16 << 20) - 5]).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(packed.len() < 1 << 20);
    for page in 0..PAGES {
        let said = Said::page("application/pdf", packed.clone()).with("content-encoding", "gzip");
        site.put(&format!("/{page}"), said);
    }
    let asked = || site.server.targets().len();
    let (known, room) = (Known::default(), Room::default());
    let (connector, cancel) = (site.crawl(1), CancellationToken::new());
    let means: (Arc<dyn ReadPdf>, &Room) = (Arc::new(Busy), &room);
    let syncing = sync(&connector, &known, &Busy, means, &cancel);
    let stopping = async {
        let mut before = 0;
        while asked() > before || before < 3 {
            before = asked();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(syncing, stopping);
    assert!(outcome.listing.is_err());
    // Four wait, and two are in the hands of who asked; robots.txt, and twice where it begins.
    assert!(asked() <= 4 + 2 + 3, "{:?}", site.server.targets());
    // The control: where they are read all are asked for. None is a document.
    let outcome = Kept::default().sync(&site.crawl(1)).await;
    assert_eq!(numbers(outcome.counts), [1, 0, 0, 0, PAGES as u64]);
}

#[tokio::test]
async fn a_start_that_redirects_to_metadata_is_denied_by_the_floor() {
    let old = StandIn::start(|asked| {
        if asked.target == "/robots.txt" {
            return Said::status(404);
        }
        Said::status(302).with("location", "http://169.254.169.254/latest/meta-data/")
    });
    let mut world = World::allowing(&["site.test"]);
    let start = world.site("site.test", &old, "/");
    let gather = Gather::Crawl { depth: 1 };
    let source = WebSource {
        start,
        gather,
        most_pages: 10,
    };
    let outcome = Kept::default()
        .sync(&WebConnector::new(world.access(), source))
        .await;
    let error = outcome.listing.unwrap_err().to_string();
    assert!(
        error.starts_with("169.254.169.254 is denied (floor)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_that_leads_to_metadata_is_denied_by_the_floor() {
    let mut world = World::allowing(&["site.test"]);
    world.pin("site.test", "169.254.169.254:80".parse().unwrap());
    let source = WebSource {
        start: "http://site.test/".parse().unwrap(),
        gather: Gather::Sitemap(None),
        most_pages: 10,
    };
    let outcome = Kept::default()
        .sync(&WebConnector::new(world.access(), source))
        .await;
    let error = outcome.listing.unwrap_err().to_string();
    assert!(error.starts_with("site.test is denied (floor)"), "{error}");
}

#[tokio::test]
async fn a_policy_that_is_tightened_holds_for_the_next_request() {
    let site = Site::new(&[
        ("/robots.txt", "User-agent: *\nCrawl-delay: 0.3\n"),
        ("/", "<a href=/a>a</a><a href=/b>b</a>home"),
        ("/a", "a"),
        ("/b", "b"),
    ]);
    let connector = site.crawl(1);
    let mut kept = Kept::default();
    let tightening = async {
        while !site.server.targets().contains(&"/a".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        site.world.deny_all();
    };
    let (outcome, ()) = tokio::join!(kept.sync(&connector), tightening);
    assert!(outcome.listing.is_ok());
    assert_eq!(site.paths(&kept), ["/", "/a"]);
    let failure = kept.failure();
    assert!(
        failure.starts_with("site.test is denied (no_rule) by the policy of environment docs"),
        "{failure}"
    );
    assert!(!site.server.targets().contains(&"/b".to_owned()));
}

#[tokio::test]
async fn a_page_that_is_deep_or_full_of_links_costs_no_more_than_it_is_long() {
    let site = Site::new(&[("/", "<a href=/deep>d</a><a href=/links>l</a>home")]);
    let deep = format!("<body>{}x", "<div><nav><ul><li>".repeat(200_000));
    site.html("/deep", &format!("{deep}<main>said"));
    let links: String = (0..50_000)
        .map(|n| format!("<a href=/missing{n}>x</a>"))
        .collect();
    site.html("/links", &format!("links{links}"));
    let began = Instant::now();
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.crawl(1)).await, [3, 0, 0, 0, 0]);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(kept.document(&site.url("/deep")).text, "said");
}

#[tokio::test]
async fn an_answer_that_never_ends_ends_at_its_bound() {
    let site = Site::new(&[("/", "<a href=/endless>e</a>home")]);
    let endless = Said::page("text/html", vec![b'x'; 1 << 20]).in_manner(SaidManner::Endless);
    site.put("/endless", endless);
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.crawl(1)).await, [1, 0, 0, 0, 1]);
    let failure = kept.failure();
    assert!(
        failure.contains("has more than 33554432 bytes") || failure.contains("no whole answer"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_document_of_hostile_bytes_fails_or_says_little() {
    let site = Site::new(&[(
        "/",
        "<a href=/a.pdf>a</a><a href=/b.pdf>b</a><a href=/c>c</a>home",
    )]);
    let pdf = |bytes: Vec<u8>| Said::page("application/pdf", bytes);
    site.put("/a.pdf", pdf(b"%PDF-1.7\n".repeat(10_000)));
    let nested = format!("%PDF-1.7\n1 0 obj\n{}", "[<<".repeat(200_000));
    site.put("/b.pdf", pdf(nested.into_bytes()));
    site.put("/c", Said::page("application/octet-stream", vec![0; 4096]));
    let mut kept = Kept::default();
    let counts = kept.synced(&site.crawl(1)).await;
    assert_eq!(counts, [1, 0, 0, 1, 2], "{:?}", kept.failed);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = StandIn::start(|_| Said::status(200).in_manner(SaidManner::Silent));
    let mut world = World::allowing(&["site.test"]);
    let start = world.site("site.test", &server, "/");
    let gather = Gather::Crawl { depth: 1 };
    let source = WebSource {
        start,
        gather,
        most_pages: 10,
    };
    let connector = WebConnector::new(world.access(), source);
    let mut kept = Kept::default();
    // Once it was asked nothing happens any more but that time passes.
    let passing = async {
        while server.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::pause();
    };
    let (outcome, ()) = tokio::join!(kept.sync(&connector), passing);
    let error = outcome.listing.unwrap_err().to_string();
    assert!(error.contains("gave no whole answer in 30 s"), "{error}");
}

#[tokio::test]
async fn addresses_that_are_longer_than_a_key_are_not_made() {
    // Each link would be a copy of a base of 7 MiB.
    let base = "x/".repeat(7 << 19);
    let links = "<a href=y>y</a>".repeat(2000);
    let site = Site::new(&[(
        "/",
        "<a href=/long>l</a><a href=/links>k</a><a href=/last>z</a>home",
    )]);
    site.html("/long", &format!("<base href='/{base}'>{links}long"));
    let links: String = (0..200)
        .map(|n| format!("<a href=/{n}{}>x</a>", "é".repeat(500)))
        .collect();
    site.html("/links", &format!("{links}links"));
    site.html("/last", "last");
    let began = Instant::now();
    let mut kept = Kept::default();
    // None of the long ones is visited, and none takes the place of another.
    assert_eq!(kept.synced(&site.crawl(2)).await, [4, 0, 0, 0, 0]);
    assert_eq!(site.paths(&kept), ["/", "/last", "/links", "/long"]);
    assert!(began.elapsed() < Duration::from_secs(30));
}
