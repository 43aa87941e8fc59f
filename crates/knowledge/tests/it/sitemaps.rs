//! Sites that list their pages.

use std::io::Write as _;

use bailiwick_knowledge::{Extent, Gather, Kind};
use bailiwick_testkit::{Said, SaidManner};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::crawls::Site;
use crate::world::{Kept, numbers};

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn list(site: &Site, paths: &[&str]) -> String {
    let entries = paths
        .iter()
        .map(|path| format!("<url><loc>{}</loc></url>", site.url(path)));
    format!("<urlset>{}</urlset>", entries.collect::<String>())
}

fn index(site: &Site, paths: &[&str]) -> Said {
    let entries = paths
        .iter()
        .map(|path| format!("<sitemap><loc>{}</loc></sitemap>", site.url(path)));
    let xml = format!(
        "<sitemapindex>{}</sitemapindex>",
        entries.collect::<String>()
    );
    Said::page("application/xml", xml)
}

const LISTED: Gather = Gather::Sitemap(None);

#[tokio::test]
async fn listed_pages_are_read_and_what_is_listed_no_more_is_forgotten() {
    let site = Site::new(&[
        ("/", "home<a href=/unlisted>x</a>"),
        ("/a", "<title>A</title>a"),
        ("/b", "b"),
        ("/unlisted", "x"),
    ]);
    site.put("/notes.md", Said::page("text/plain", "# Notes\n\nwords"));
    let robots = format!("Sitemap: {}\n", site.url("/index.xml"));
    site.put("/robots.txt", Said::page("text/plain", robots));
    site.put("/index.xml", index(&site, &["/one.xml", "/two.xml.gz"]));
    site.put(
        "/one.xml",
        Said::page("text/xml", list(&site, &["/a", "/notes.md"])),
    );
    let two = packed(list(&site, &["/b", "/a", "/missing"]).as_bytes());
    site.put("/two.xml.gz", Said::page("application/x-gzip", two));
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.connector(LISTED)).await, [3, 0, 0, 0, 0]);
    assert_eq!(site.paths(&kept), ["/a", "/b", "/notes.md"]);
    let notes = kept.document(&site.url("/notes.md"));
    assert_eq!(
        (notes.title.as_str(), notes.kind),
        ("Notes", Kind::Markdown)
    );
    assert_eq!(kept.synced(&site.connector(LISTED)).await, [0, 3, 0, 0, 0]);

    site.put(
        "/one.xml",
        Said::page("text/xml", list(&site, &["/notes.md"])),
    );
    site.put("/two.xml.gz", Said::page("text/xml", list(&site, &["/b"])));
    assert_eq!(kept.synced(&site.connector(LISTED)).await, [0, 2, 1, 0, 0]);
    assert!(!site.server.targets().contains(&"/unlisted".to_owned()));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_deletes_nothing() {
    let site = Site::new(&[("/a", "a"), ("/b", "b")]);
    site.put("/sitemap.xml", index(&site, &["/one.xml", "/two.xml"]));
    site.put("/one.xml", Said::page("text/xml", list(&site, &["/a"])));
    site.put("/two.xml", Said::page("text/xml", list(&site, &["/b"])));
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.connector(LISTED)).await, [2, 0, 0, 0, 0]);
    site.put("/two.xml", Said::status(500));
    let outcome = kept.sync(&site.connector(LISTED)).await;
    assert_eq!(outcome.listing.unwrap(), Extent::Cut);
    site.remove("/sitemap.xml");
    let outcome = kept.sync(&site.connector(LISTED)).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert_eq!(
        error,
        "site.test has no list of pages that can be read: status 404"
    );
    assert_eq!(site.paths(&kept), ["/a", "/b"]);
}

#[tokio::test]
async fn pages_and_lists_of_other_sites_are_not_read() {
    let site = Site::new(&[("/a", "a")]);
    let here = list(&site, &["/a"]);
    let entries = "<url><loc>https://elsewhere.test/x</loc></url><url><loc>http://169.254.169.254/latest/</loc></url><url><loc>file:///etc/passwd</loc></url>";
    let all = here.replace("</urlset>", &format!("{entries}</urlset>"));
    site.put("/sitemap.xml", Said::page("text/xml", all));
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.connector(LISTED)).await, [1, 0, 0, 0, 0]);
    let flows = site.world.flows.lock().unwrap();
    assert!(
        flows
            .iter()
            .all(|flow| flow.destination.host.to_string() == "site.test")
    );
}

#[tokio::test]
async fn a_list_that_is_packed_to_a_thousandth_is_refused() {
    let site = Site::new(&[("/a", "a")]);
    let bomb = packed(&vec![b' '; 60 << 20]);
    site.put("/sitemap.xml", Said::page("application/gzip", bomb));
    let outcome = Kept::default().sync(&site.connector(LISTED)).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert!(
        error.contains("more than 52428800 bytes, unpacked"),
        "{error}"
    );
}

#[tokio::test]
async fn lists_that_list_each_other_end() {
    let site = Site::new(&[("/a", "a")]);
    site.put(
        "/sitemap.xml",
        index(&site, &["/sitemap.xml", "/other.xml"]),
    );
    site.put("/other.xml", index(&site, &["/sitemap.xml", "/third.xml"]));
    site.put("/third.xml", index(&site, &["/fourth.xml"]));
    site.put("/fourth.xml", Said::page("text/xml", list(&site, &["/a"])));
    let outcome = Kept::default().sync(&site.connector(LISTED)).await;
    assert_eq!(outcome.listing.unwrap(), Extent::Cut);
    assert_eq!(numbers(outcome.counts), [0; 5]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_document() {
    let site = Site::new(&[("/a", "a")]);
    site.put(
        "/sitemap.xml",
        Said::page("text/xml", list(&site, &["/a", "/cut"])),
    );
    let cut = Said::page("text/html", "half of it is sent").in_manner(SaidManner::Cut);
    site.put("/cut", cut);
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.connector(LISTED)).await, [1, 0, 0, 0, 1]);
    assert!(kept.failure().contains("ended early"), "{}", kept.failure());
}

#[tokio::test]
async fn addresses_that_are_longer_than_a_key_are_not_counted_as_pages() {
    let site = Site::new(&[("/a", "a")]);
    let long = format!("/{}", "x".repeat(3000));
    let all = list(&site, &["/a", &long]);
    site.put("/sitemap.xml", Said::page("text/xml", all));
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&site.connector(LISTED)).await, [1, 0, 0, 0, 0]);
    assert_eq!(kept.progress, Some((1, Some(1))));
}
