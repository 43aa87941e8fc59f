//! Sources that are asked over HTTP: under the policy of their environment, with credentials that are for their hosts, and as they like to be asked.

use std::sync::{Arc, Mutex};

use bailiwick_testkit::{
    Asked, Authority, ConfluencePage, ConfluenceServer, GitHubIssue, GitHubLimit, GitHubServer,
    Said, SaidManner, StandIn, eventually,
};

use super::{Place, resolve};
use crate::PATIENCE;

/// A site that lists pages, the first of which says what is in `says`.
fn site(says: Arc<Mutex<String>>) -> StandIn {
    StandIn::start(move |asked: &Asked| {
        let own = asked.header("host").unwrap_or_default().to_owned();
        let paths = ["a", "private", "away", "metadata", "broken", "slow"];
        let listed = paths.map(|path| format!("<url><loc>http://{own}/{path}</loc></url>"));
        match asked.target.as_str() {
            "/robots.txt" => Said::page("text/plain", "User-agent: *\nDisallow: /private\n"),
            "/sitemap.xml" => {
                let list = format!("<urlset>{}</urlset>", listed.concat());
                Said::page("application/xml", list)
            }
            "/a" => Said::page("text/html", says.lock().unwrap().clone()),
            "/private" => Said::page("text/html", page("Nobody reads the forbiddenpage.")),
            "/away" => Said::status(302).with("location", "http://elsewhere.test/"),
            "/metadata" => Said::status(302).with("location", "http://169.254.169.254/latest/"),
            "/broken" => Said::status(500),
            "/slow" => Said {
                manner: SaidManner::Cut,
                ..Said::page("text/html", page("Only half of it comes."))
            },
            _ => Said::status(404),
        }
    })
}

fn page(words: &str) -> String {
    format!(
        "<html><head><title>Page</title></head><body><h1>Handbook</h1><p>{words}</p></body></html>"
    )
}

#[test]
fn a_site_is_read_under_the_policy_of_its_environment() {
    let says = Arc::new(Mutex::new(page("Escalate to the duty officer.")));
    let server = site(Arc::clone(&says));
    let pin = resolve("handbook.test", server.address());
    let place = Place::new(&["--resolve", &pin]);
    let url = format!("http://handbook.test:{}/", server.address().port());
    // The other environment's policy denies the host: the field, the reason's code and the way out are told.
    let refused = place.creates(&format!("site --environment prod --web {url}"));
    let refused = refused.exits(2).stderr;
    assert!(
        refused.contains("source.url") && refused.contains("no_rule"),
        "{refused}"
    );
    let made = place.creates(&format!("site --environment dev --web {url}"));
    made.exits(0);
    let sync = place.synced("site");
    assert_eq!(sync["state"], "done", "{sync}");
    assert_eq!(place.titles("dev", "duty officer"), ["Page"]);
    assert!(place.titles("dev", "forbiddenpage").is_empty());
    assert!(place.titles("prod", "duty officer").is_empty());
    // Nor can it be moved to where it could not have been made.
    let moved = [
        "knowledge-connector",
        "update",
        "site",
        "--environment",
        "prod",
    ];
    let moved = place.up.asks(&place.machine, &moved).exits(2).stderr;
    assert!(moved.contains("no_rule"), "{moved}");
    *says.lock().unwrap() = page("Escalate to nobody.");
    place.synced("site");
    assert!(place.titles("dev", "duty").is_empty());
    assert_eq!(place.titles("dev", "nobody"), ["Page"]);
    // Its connections are flows of the environment, and of no session.
    eventually("flows are kept", PATIENCE, || {
        let flows = place.json(&["flow", "list", "--environment", "dev"]);
        let mut flows = flows.as_array().unwrap().iter();
        let is_it =
            |flow: &&serde_json::Value| flow["session_id"].is_null() && flow["verdict"] == "allow";
        flows.find(is_it).cloned()
    });
    // A policy that is tightened ends what is read.
    place.machine.write(
        "dev.yaml",
        "name: dev\nconfig: {type: cloud, networking: {type: limited}}\n",
    );
    place.does(&["environment", "update", "dev", "-f", "dev.yaml"]);
    let sync = place.synced("site");
    assert_eq!(sync["state"], "failed");
    assert!(
        sync["error"].as_str().unwrap().contains("no_rule"),
        "{sync}"
    );
    assert_eq!(place.titles("dev", "nobody"), ["Page"]);
}

#[test]
fn what_a_page_leads_to_is_not_followed_and_why_it_is_not_known_is_shown() {
    let server = site(Arc::new(Mutex::new(page("Escalate."))));
    let pin = resolve("handbook.test", server.address());
    let place = Place::new(&["--resolve", &pin]);
    let url = format!("http://handbook.test:{}/", server.address().port());
    place
        .creates(&format!("site --environment dev --web {url}"))
        .exits(0);
    let sync = place.synced("site");
    assert_eq!(sync["state"], "done", "{sync}");
    let failed = place.failed("site");
    let why = |path: &str| {
        let found = failed.iter().find(|(key, _)| key.ends_with(path));
        found
            .unwrap_or_else(|| panic!("{path}: {failed:?}"))
            .1
            .as_str()
    };
    assert!(
        why("/away").contains("leads to elsewhere.test"),
        "{failed:?}"
    );
    assert!(
        why("/metadata").contains("leads to 169.254.169.254"),
        "{failed:?}"
    );
    assert!(why("/broken").contains("status 500"), "{failed:?}");
    assert!(!why("/slow").is_empty());
    assert_eq!(failed.len(), 4, "{failed:?}");
    let asked = server.targets();
    assert!(asked.contains(&"/a".to_owned()) && !asked.contains(&"/private".to_owned()));
    let flows = place
        .json(&["flow", "list", "--environment", "dev"])
        .to_string();
    assert!(
        !flows.contains("169.254") && !flows.contains("elsewhere"),
        "{flows}"
    );
    // A whole site that moved to where nothing is allowed is one error of the connector.
    let moved = StandIn::start(|asked: &Asked| match asked.target.as_str() {
        "/robots.txt" => Said::status(404),
        _ => Said::status(302).with("location", "http://169.254.169.254/latest/"),
    });
    let pin = resolve("handbook.test", moved.address());
    let place = Place::new(&["--resolve", &pin]);
    let url = format!("http://handbook.test:{}/", moved.address().port());
    let line = format!("site --environment dev --web {url} --crawl");
    place.creates(&line).exits(0);
    let sync = place.synced("site");
    assert_eq!(sync["state"], "failed", "{sync}");
    let error = sync["error"].as_str().unwrap();
    assert!(
        error.contains("169.254.169.254 is denied (floor)"),
        "{error}"
    );
}

/// A vault with one credential for this host, and its id.
fn credential(place: &Place, vault: &str, host: &str, secret: &str) -> String {
    let file = format!("{vault}.secret");
    place.machine.write(&file, secret);
    place.does(&["vault", "create", "--name", vault]);
    let line = format!(
        "vault credential create {vault} --variable TOKEN --allowed-host {host} --secret-file {file}"
    );
    let line: Vec<_> = line.split_whitespace().collect();
    let made = place.json(&line);
    made["id"].as_str().unwrap().to_owned()
}

/// GitHub and Confluence, which want credentials, and a server that may ask them.
struct Apis {
    github: GitHubServer,
    wiki: ConfluenceServer,
    place: Place,
}

impl Apis {
    fn new() -> Self {
        let authority = Authority::new();
        let github = GitHubServer::start(&authority, "api.github.test", Some("gh-secret"));
        let pair = "Basic YW5uQHdpa2kudGVzdDp3aWtpLXNlY3JldA==";
        let wiki = ConfluenceServer::start(&authority, "wiki.test", Some(pair));
        let pins = [
            resolve("api.github.test", github.address()),
            resolve("wiki.test", wiki.address()),
        ];
        let certificate = authority.certificate().display().to_string();
        let place = Place::trusting(
            &["--resolve", &pins[0], "--resolve", &pins[1]],
            &[("SSL_CERT_FILE", &certificate)],
        );
        Self {
            github,
            wiki,
            place,
        }
    }

    fn issues(&self, credential: &str) -> String {
        let port = self.github.address().port();
        format!(
            "issues --environment dev --github acme/app --api https://api.github.test:{port} --credential {credential}"
        )
    }

    fn pages(&self, credential: &str) -> String {
        let port = self.wiki.address().port();
        format!(
            "wiki --environment dev --confluence https://wiki.test:{port}/wiki --email ann@wiki.test --vault wiki --credential {credential}"
        )
    }
}

fn issue(title: &str, body: &str) -> GitHubIssue {
    GitHubIssue {
        title: title.to_owned(),
        body: body.to_owned(),
        updated_at: "2026-01-01T00:00:00Z".to_owned(),
        ..GitHubIssue::default()
    }
}

fn on_call(body: &str) -> ConfluencePage {
    ConfluencePage {
        space: "1".to_owned(),
        title: "On-call".to_owned(),
        body: format!("<p>{body}</p>"),
        version: 1,
        is_trashed: false,
    }
}

#[test]
fn issues_and_pages_are_read_with_credentials_that_are_for_their_hosts() {
    let apis = Apis::new();
    let place = &apis.place;
    apis.github
        .put(7, issue("Flaky deploys", "The canary never settles."));
    apis.wiki.put(9, on_call("Hand over the pager on Mondays."));
    let for_github = credential(place, "github", "api.github.test", "gh-secret");
    let for_wiki = credential(place, "wiki", "wiki.test", "wiki-secret");
    // A secret goes to no other host than those that it is for.
    let wrong = format!("{} --vault wiki", apis.issues(&for_wiki));
    let refused = place.creates(&wrong).exits(2).stderr;
    assert!(refused.contains("other_host"), "{refused}");
    let right = format!("{} --vault github", apis.issues(&for_github));
    place.creates(&right).exits(0);
    let sync = place.synced("issues");
    assert_eq!(sync["state"], "done", "{sync}");
    assert_eq!(place.titles("dev", "canary settles").len(), 1);
    place.creates(&apis.pages(&for_wiki)).exits(0);
    let sync = place.synced("wiki");
    assert_eq!(sync["state"], "done", "{sync}");
    assert_eq!(place.titles("dev", "pager mondays"), ["On-call"]);
    // What is gone there is gone here.
    apis.wiki.purge(9);
    place.synced("wiki");
    assert!(place.titles("dev", "pager").is_empty());
    assert!(place.titles("prod", "canary").is_empty());
    // No answer shows a secret.
    for name in ["issues", "wiki"] {
        let shown = place.connector(&["get", name]).to_string();
        assert!(!shown.contains("secret"), "{shown}");
    }
    // A credential that is gone ends what is read with it.
    place.does(&["vault", "credential", "archive", "wiki", &for_wiki]);
    let sync = place.synced("wiki");
    assert_eq!(sync["state"], "failed", "{sync}");
}

#[test]
fn apis_that_fail_or_limit_are_waited_for_and_delete_nothing() {
    let apis = Apis::new();
    let place = &apis.place;
    apis.github
        .put(7, issue("Flaky deploys", "The canary never settles."));
    apis.wiki.put(9, on_call("Hand over the pager on Mondays."));
    let for_github = credential(place, "github", "api.github.test", "gh-secret");
    let for_wiki = credential(place, "wiki", "wiki.test", "wiki-secret");
    // A moment's trouble and a short limit are waited for.
    apis.github.limit_next(1, GitHubLimit::Secondary(1));
    apis.wiki.fail_next(503);
    let issues = format!("{} --vault github", apis.issues(&for_github));
    place.creates(&issues).exits(0);
    place.creates(&apis.pages(&for_wiki)).exits(0);
    for name in ["issues", "wiki"] {
        let sync = place.synced(name);
        assert_eq!(sync["state"], "done", "{name}: {sync}");
    }
    // A long one, and an API that takes the credential no more, end the sync with why; what was known stays.
    apis.github.limit_next(100, GitHubLimit::Primary(3600));
    let sync = place.synced("issues");
    assert_eq!(sync["state"], "failed", "{sync}");
    assert!(!sync["error"].as_str().unwrap().is_empty());
    apis.wiki.fail_next(401);
    let sync = place.synced("wiki");
    assert_eq!(sync["state"], "failed", "{sync}");
    assert!(sync["error"].as_str().unwrap().contains("401"), "{sync}");
    assert_eq!(place.titles("dev", "canary settles").len(), 1);
    assert_eq!(place.titles("dev", "pager mondays"), ["On-call"]);
    // It goes on as soon as it can.
    apis.github.limit_next(0, GitHubLimit::Primary(1));
    for name in ["issues", "wiki"] {
        let sync = place.synced(name);
        assert_eq!(sync["state"], "done", "{name}: {sync}");
    }
}
