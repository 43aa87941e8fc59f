//! Servers that die in the middle of a sync, and several that have one database.

use std::thread::sleep;
use std::time::Duration;

use bailiwick_testkit::{Asked, Postgres, Said, StandIn, eventually};
use rustix::process::Signal;
use serde_json::Value;

use super::{Place, resolve};
use crate::{PATIENCE, Up, machine};

const PAGES: usize = 40;
/// A lease has to end before another server goes on.
const TAKEOVER: Duration = Duration::from_secs(150);
const KEY: &str = "replicas-0123456789-0123456789-0123456789";
const SECRET_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// A site whose pages take their time, and are of several pieces: the first says `alphaN`, the last `omegaN`.
fn slow_site() -> StandIn {
    let words = "what stands between the two of them and says nothing at all. ".repeat(40);
    StandIn::start(move |asked: &Asked| {
        let own = asked.header("host").unwrap_or_default().to_owned();
        match asked.target.as_str() {
            "/robots.txt" => Said::status(404),
            "/sitemap.xml" => {
                let pages = (0..PAGES).map(|n| format!("<url><loc>http://{own}/p{n}</loc></url>"));
                let list = format!("<urlset>{}</urlset>", pages.collect::<String>());
                Said::page("application/xml", list)
            }
            page => {
                let number = page.trim_start_matches("/p");
                let tag = format!("\"{number}\"");
                if asked.header("if-none-match") == Some(&tag) {
                    return Said::status(304);
                }
                sleep(Duration::from_millis(200));
                let html = format!(
                    "<title>Page {number}</title><h1>One</h1><p>alpha{number} {words}</p><h1>Two</h1><p>{words}</p><h1>Three</h1><p>{words} omega{number}</p>"
                );
                Said::page("text/html", html).with("etag", &tag)
            }
        }
    })
}

/// How often each page was asked for, at most.
fn most_asked(site: &StandIn) -> usize {
    let targets = site.targets();
    let times = |n: usize| {
        let page = format!("/p{n}");
        targets.iter().filter(|target| **target == page).count()
    };
    (0..PAGES).map(times).max().unwrap()
}

impl Place {
    /// A server with a connector of the site, whose sync has begun.
    fn reading(site: &StandIn, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let pin = resolve("handbook.test", site.address());
        let options = [&["--resolve", &pin], options].concat();
        let place = Self::trusting(&options, variables);
        let port = site.address().port();
        place
            .creates(&format!(
                "site --environment dev --web http://handbook.test:{port}/"
            ))
            .exits(0);
        place
    }

    fn site(&self) -> Value {
        self.connector(&["get", "site"])
    }

    /// Until some pages are known, and not all.
    fn is_half_way(&self) {
        eventually("the first pages", PATIENCE, || {
            let known = self.site()["documents"].as_u64()?;
            (known >= 5).then_some(())
        });
        let site = self.site();
        assert_eq!(site["sync"]["state"], "running", "{site}");
    }

    /// Every page that is known is known whole; how many are.
    fn known_whole(&self) -> usize {
        let found = |word: String| !self.titles("dev", &word).is_empty();
        let whole = (0..PAGES).map(|n| {
            let (first, last) = (found(format!("alpha{n}")), found(format!("omega{n}")));
            assert_eq!(first, last, "page {n} is known by half");
            usize::from(first)
        });
        whole.sum()
    }

    fn ends(&self, within: Duration) -> Value {
        eventually("the end of the sync", within, || {
            let site = self.site();
            (site["sync"]["state"] == "done").then(|| site.clone())
        })
    }
}

#[test]
fn system_a_server_that_is_killed_in_a_sync_leaves_nothing_half_and_goes_on() {
    let site = slow_site();
    let mut place = Place::reading(&site, &[], &[("BAILIWICK_SECRET_KEY", SECRET_KEY)]);
    place.is_half_way();
    place.up.process.signal(Signal::KILL);
    place.up.process.wait(PATIENCE);
    let pin = resolve("handbook.test", site.address());
    let options = [
        "--config",
        "server.yaml",
        "--no-sandboxes",
        "--resolve",
        &pin,
    ];
    let variables = [("BAILIWICK_SECRET_KEY", SECRET_KEY)];
    let again = Up::start_with(&place.machine, &options, &variables);
    place.up = Up {
        key: std::mem::take(&mut place.up.key),
        ..again
    };
    let before = place.site()["documents"].as_u64().unwrap();
    assert!((5..40).contains(&before), "{before}");
    // Searches take their time, in which others may have been read.
    assert!(place.known_whole() >= 5);
    let ended = place.ends(TAKEOVER);
    assert_eq!(ended["documents"], PAGES, "{ended}");
    assert_eq!(place.known_whole(), PAGES);
    // What was read before is not read again, but for what was on its way.
    let counts = &ended["sync"]["counts"];
    assert!(counts["unchanged"].as_u64().unwrap() >= 5, "{ended}");
    assert_eq!(counts["failed"], 0, "{ended}");
    place.up.stop();
}

/// A database, and how a server comes by it.
fn on(database: &Postgres) -> (String, [(&'static str, &'static str); 2]) {
    let variables = [
        ("BAILIWICK_BOOTSTRAP_KEY", KEY),
        ("BAILIWICK_SECRET_KEY", SECRET_KEY),
    ];
    (database.url(), variables)
}

#[test]
fn system_of_two_servers_of_one_database_one_syncs_and_once() {
    let (database, site) = (Postgres::start(), slow_site());
    let (url, variables) = on(&database);
    let pin = resolve("handbook.test", site.address());
    let options = ["--database-url", &url];
    // The other one is there from the beginning.
    let elsewhere = machine();
    let other = [&options[..], &["--no-sandboxes", "--resolve", &pin]].concat();
    let other = Up::start_with(&elsewhere, &other, &variables);
    let place = Place::reading(&site, &options, &variables);
    let ended = place.ends(PATIENCE);
    assert_eq!(ended["documents"], PAGES, "{ended}");
    assert_eq!(most_asked(&site), 1);
    assert_eq!(place.known_whole(), PAGES);
    // Asked for on both at once it runs once more, or twice, one after the other.
    let asks = |up: &Up| {
        let mut command = elsewhere.command(["knowledge-connector", "sync", "site"]);
        command
            .env("BAILIWICK_SERVER", &up.url)
            .env("BAILIWICK_API_KEY", KEY);
        crate::finish(&mut command).exits(0)
    };
    std::thread::scope(|scope| {
        for up in [&place.up, &other] {
            scope.spawn(move || asks(up));
        }
    });
    eventually("the next sync", PATIENCE, || {
        let found = place.site();
        let counts = &found["sync"]["counts"];
        (found["sync"]["state"] == "done" && counts["unchanged"] == PAGES).then_some(())
    });
    assert!(most_asked(&site) <= 3);
    place.up.stop();
    other.stop();
}

#[test]
fn system_when_a_server_dies_in_a_sync_another_one_of_its_database_ends_it() {
    let (database, site) = (Postgres::start(), slow_site());
    let (url, variables) = on(&database);
    let pin = resolve("handbook.test", site.address());
    let options = ["--database-url", &url];
    let mut place = Place::reading(&site, &options, &variables);
    place.is_half_way();
    let elsewhere = machine();
    let other = [&options[..], &["--no-sandboxes", "--resolve", &pin]].concat();
    let other = Up::start_with(&elsewhere, &other, &variables);
    place.up.process.signal(Signal::KILL);
    place.up.process.wait(PATIENCE);
    place.up = Up {
        key: KEY.to_owned(),
        ..other
    };
    let before = place.site()["documents"].as_u64().unwrap();
    assert!((5..40).contains(&before), "{before}");
    // Searches take their time, in which others may have been read.
    assert!(place.known_whole() >= 5);
    let ended = place.ends(TAKEOVER);
    assert_eq!(ended["documents"], PAGES, "{ended}");
    assert_eq!(place.known_whole(), PAGES);
    assert!(most_asked(&site) <= 2);
    place.up.stop();
}
