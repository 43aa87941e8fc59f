//! Against a fetcher that plays a small web.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;

/// Pages by URL, and what was asked for.
#[derive(Default)]
struct Web {
    pages: BTreeMap<String, Result<Fetched, FetchProblem>>,
    asked: Mutex<Vec<String>>,
}

impl Web {
    fn page(mut self, url: &str, media_type: &str, body: &[u8]) -> Self {
        let fetched = Fetched {
            status: 200,
            media_type: Some(media_type.to_owned()),
            location: None,
            body: body.to_owned(),
        };
        self.pages.insert(url.to_owned(), Ok(fetched));
        self
    }

    fn redirect(mut self, url: &str, location: &str) -> Self {
        let fetched = Fetched {
            status: 302,
            media_type: None,
            location: Some(location.to_owned()),
            body: Vec::new(),
        };
        self.pages.insert(url.to_owned(), Ok(fetched));
        self
    }

    fn problem(mut self, url: &str, problem: FetchProblem) -> Self {
        self.pages.insert(url.to_owned(), Err(problem));
        self
    }
}

impl Fetcher for Web {
    fn fetch<'a>(
        &'a self,
        url: &'a Url,
        _limit_bytes: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchProblem>> {
        self.asked.lock().unwrap().push(url.to_string());
        let page = self.pages.get(url.as_str()).cloned();
        Box::pin(async move {
            match page {
                Some(page) => page,
                None => std::future::pending().await,
            }
        })
    }
}

fn tool(web: Web, domains: Domains) -> (WebFetch, Arc<Web>) {
    let web = Arc::new(web);
    let tool = WebFetch {
        fetcher: Arc::clone(&web) as Arc<dyn Fetcher>,
        domains,
        max_content_tokens: None,
        known: None,
    };
    (tool, web)
}

async fn fetch(tool: &WebFetch, url: &str) -> ToolResult {
    let url = url.to_owned();
    tool.run(&Request { url }).await
}

fn names(names: &[&str]) -> Vec<bailiwick_model::HostName> {
    let name = |name: &&str| bailiwick_model::HostName::from_normalised(name).expect("a name");
    names.iter().map(name).collect()
}

const HTML: &str = "text/html; charset=utf-8";

#[tokio::test]
async fn a_page_is_shown_as_text() {
    let html = b"<!doctype html><html><head><title>T</title><script>alert(1)</script></head>\
        <body><h1>Head</h1><p>Some <b>text</b>.</p><ul><li>one</li></ul></body></html>";
    let (tool, _) = tool(
        Web::default()
            .page("https://a.example/", HTML, html)
            .page("https://a.example/j", "application/json", b"{\"a\":1}")
            .page(
                "https://a.example/l",
                "text/plain; charset=iso-8859-1",
                b"gr\xfc\xdfe",
            )
            .page("https://a.example/p", "application/pdf", b"%PDF-1.7")
            .page("https://a.example/b", "application/zip", b"PK\x03\x04\0\0"),
        Domains::Any,
    );
    let page = fetch(&tool, "https://a.example/#part").await.as_text();
    assert_eq!(
        page,
        "T\n\n# Head\n\nSome text.\n\n* one\n[fetched from https://a.example/]"
    );
    let json = fetch(&tool, "https://a.example/j").await;
    assert!(json.as_text().starts_with("{\"a\":1}\n"));
    let latin = fetch(&tool, "https://a.example/l").await;
    assert!(latin.as_text().starts_with("grüße\n"));
    let pdf = fetch(&tool, "https://a.example/p").await;
    assert!(matches!(pdf.content[..], [crate::Block::Document { .. }]));
    let zip = fetch(&tool, "https://a.example/b").await;
    assert!(zip.is_error && zip.as_text().contains("application/zip"));
}

#[tokio::test]
async fn a_redirect_to_a_domain_that_is_not_allowed_is_blocked() {
    let web = || {
        Web::default()
            .redirect("https://docs.a.example/", "/next")
            .redirect("https://docs.a.example/next", "https://evil-a.example/")
            .page("https://evil-a.example/", "text/plain", b"secret")
    };
    let (control, _) = tool(web(), Domains::Any);
    let shown = fetch(&control, "https://docs.a.example/").await;
    assert!(shown.as_text().contains("secret"), "control");

    let (tool, web) = tool(web(), Domains::Allowed(names(&["a.example"])));
    let refused = fetch(&tool, "https://docs.a.example/").await;
    assert!(refused.is_error);
    insta::assert_snapshot!(refused.as_text(), @"evil-a.example is not among the domains that this agent may fetch from: a.example");
    let asked = web.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        ["https://docs.a.example/", "https://docs.a.example/next"]
    );
}

#[tokio::test]
async fn a_blocked_domain_has_no_other_name() {
    let (tool, web) = tool(Web::default(), Domains::Blocked(names(&["a.example"])));
    for url in [
        "https://a.example/",
        "https://A.EXAMPLE./",
        "http://x.a.example:8080/",
        "http://192.0.2.7/",
        "http://[2001:db8::1]/",
        "http://0x7f000001/",
        "file:///etc/passwd",
        "ftp://b.example/",
        "https://user:word@b.example/",
        "//b.example/",
        "javascript:alert(1)",
        "",
    ] {
        assert!(fetch(&tool, url).await.is_error, "{url}");
    }
    assert!(web.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn fetching_ends() {
    let denied = FetchProblem::Denied {
        reason: bailiwick_model::Reason::NoRule,
        environment: "environment payments".to_owned(),
        hint: Some("add `a.example` to `allowed_hosts`".to_owned()),
    };
    let (tool, web) = tool(
        Web::default()
            .redirect("https://loop.example/", "/")
            .problem("https://a.example/", denied),
        Domains::Any,
    );
    let looped = fetch(&tool, "https://loop.example/").await;
    insta::assert_snapshot!(looped.as_text(), @"more than 10 redirects");
    assert_eq!(
        web.asked.lock().unwrap().len(),
        limits::WEB_FETCH_REDIRECTS + 1
    );
    let slow = fetch(&tool, "https://slow.example/").await;
    insta::assert_snapshot!(slow.as_text(), @"https://slow.example/: no whole answer in 30 s");
    let denied = fetch(&tool, "https://a.example/").await;
    insta::assert_snapshot!(denied.as_text(), @"https://a.example/: denied (no_rule) by the policy of environment payments; what would change that: add `a.example` to `allowed_hosts`");
}

#[tokio::test]
async fn a_page_is_cut_to_its_tokens() {
    let body = "word ".repeat(10_000);
    let web = Web::default().page("https://a.example/", "text/plain", body.as_bytes());
    let (mut tool, _) = tool(web, Domains::Any);
    tool.max_content_tokens = Some(100);
    let result = fetch(&tool, "https://a.example/").await;
    let [crate::Block::Text { text }, _] = &result.content[..] else {
        panic!("{result:?}")
    };
    assert_eq!(text.len(), 100 * limits::WEB_TOKEN_BYTES);
}

#[tokio::test]
async fn a_url_that_nobody_mentioned_is_not_fetched() {
    let sources = UrlSources {
        user_input: UrlSource::All,
        client_tool_results: UrlSource::None,
        server_tool_results: UrlSource::None,
    };
    let known = Arc::new(KnownUrls::new(sources));
    known.note(Origin::User, "look at https://a.example/x please");
    let web = Web::default()
        .page("https://a.example/x", "text/plain", b"good")
        .page("https://a.example/y", "text/plain", b"bad");
    let (mut tool, _) = tool(web, Domains::Any);
    tool.known = Some(known);
    assert!(
        !fetch(&tool, "https://a.example/x").await.is_error,
        "control"
    );
    assert!(fetch(&tool, "https://a.example/y").await.is_error);
}

/// Against a conversion that takes time or stack out of proportion.
#[tokio::test]
async fn html_of_any_depth_is_read_at_once() {
    let begun = std::time::Instant::now();
    for tag in [
        "<div>",
        "<b>",
        "<table><tr><td>",
        "<ul><li>",
        "<a href=\"",
        "<!--",
        "<head>",
        "<pre>",
        "<script>",
        "&",
        "<",
    ] {
        let html = format!("<html><body>{}x", tag.repeat(100_000));
        let web = Web::default().page("https://a.example/", HTML, html.as_bytes());
        let (tool, _) = tool(web, Domains::Any);
        assert!(!fetch(&tool, "https://a.example/").await.is_error, "{tag}");
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
}
