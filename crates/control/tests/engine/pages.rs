//! Pages that agents fetch: by the server, and no further than the session's sandbox would get.

use bailiwick_control::{EnvironmentChange, NewEnvironmentRequest, PoliciesChange};
use bailiwick_fetch::Web;
use bailiwick_testkit::{HttpServer, ModelStep};
use serde_json::{Value, json};

use super::{Place, Running, object, of_kind, outbound, text};

/// A call of `web_fetch`.
fn fetch(url: &str) -> ModelStep {
    ModelStep::tool("web_fetch", json!({"url": url}))
}

impl Place {
    /// An engine that fetches, with a name that leads to a server.
    fn start_fetching(&self, name: &str, server: &HttpServer) -> Running {
        let pin = format!("{name}={}", server.address());
        self.start_with(self.models(&[]), Some(Web::new(outbound(&[pin]))))
    }
}

/// The last result of a tool: its text, and whether it is an error.
fn result(events: &[Value]) -> (String, bool) {
    let results = of_kind(events, "agent.tool_result");
    let last = results.last().expect("a result");
    (text(last).to_owned(), last["is_error"] == true)
}

#[tokio::test]
async fn a_page_is_fetched_without_any_sandbox() {
    let server = HttpServer::start();
    let url = format!("http://docs.test:{}/guide", server.address().port());
    let place = Place::new([fetch(&url), ModelStep::text("Read.")]).await;
    let engine = place.start_fetching("docs.test", &server);
    let session = place.session("Read the guide.").await;
    let events = place.rested(&session).await;
    let (page, is_error) = result(&events);
    assert!(!is_error && page.contains("GET /guide HTTP/1.1"), "{page}");
    assert_eq!(place.workplace.calls(), []);
    let head = server.requests().remove(0).to_lowercase();
    for field in ["authorization:", "cookie:", "x-api-key:", "referer:"] {
        assert!(!head.contains(field), "{head}");
    }
    let view = place.control.session(&place.caller, &session).await;
    assert_eq!(view.unwrap().session.usage.web_fetches, 1);
    let asked = &place.model.asked()[0]["tools"];
    let offered: Vec<_> = asked
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert!(offered.contains(&&json!("web_fetch")) && !offered.contains(&&json!("web_search")));
    engine.stop().await;
}

#[tokio::test]
async fn where_nothing_fetches_nothing_is_offered() {
    let place = Place::new([fetch("https://docs.test"), ModelStep::text("Then not.")]).await;
    let engine = place.start();
    let session = place.session("Read.").await;
    let (words, is_error) = result(&place.rested(&session).await);
    assert!(is_error);
    assert_eq!(words, "the agent does not have this tool");
    assert!(
        !place.model.asked()[0]["tools"]
            .to_string()
            .contains("web_fetch")
    );
    engine.stop().await;
}

#[tokio::test]
async fn a_search_says_that_nobody_searches() {
    let search = ModelStep::tool("web_search", json!({"query": "x"}));
    let place = Place::new([search, ModelStep::text("Then not.")]).await;
    let engine = place.start();
    let session = place.session("Search.").await;
    let (words, is_error) = result(&place.rested(&session).await);
    assert!(is_error && words.contains("no search provider"), "{words}");
    engine.stop().await;
}

#[tokio::test]
async fn the_policy_that_the_session_pinned_decides_whatever_becomes_of_the_environment() {
    let server = HttpServer::start();
    let port = server.address().port();
    let (allowed, denied) = (
        format!("http://docs.test:{port}/"),
        format!("http://other.test:{port}/"),
    );
    let steps = [
        fetch(&denied),
        fetch(&allowed),
        ModelStep::text("A."),
        fetch(&denied),
        ModelStep::text("B."),
    ];
    let mut place = Place::new(steps).await;
    let limited = json!({"name": "narrow", "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["docs.test"]}}});
    let request = NewEnvironmentRequest {
        body: object(limited),
        ..NewEnvironmentRequest::default()
    };
    let made = place
        .control
        .create_environment(&place.caller, request)
        .await
        .unwrap();
    place.environment = made.environment.id.to_string();
    let engine = place.start_fetching("docs.test", &server);
    let session = place.session("Read both.").await;
    let events = place.rested(&session).await;
    let results = of_kind(&events, "agent.tool_result");
    let words = text(results[0]);
    assert!(
        words.contains("denied (no_rule) by the policy of environment narrow"),
        "{words}"
    );
    assert!(
        words.contains("other.test"),
        "what would change that: {words}"
    );
    assert_eq!(results[1]["is_error"], false);
    let open = json!({"config": {"type": "cloud", "networking": {"type": "unrestricted"}}});
    let change = EnvironmentChange {
        body: object(open),
        ..EnvironmentChange::default()
    };
    place
        .control
        .update_environment(&place.caller, &made.environment.id, change)
        .await
        .unwrap();
    place
        .send(&session, json!([super::message("Again.")]))
        .await;
    let (words, is_error) = result(&place.rested(&session).await);
    assert!(is_error && words.contains("no_rule"), "{words}");
    assert_eq!(server.requests().len(), 1);
    engine.stop().await;
}

#[tokio::test]
async fn a_floor_that_was_raised_meanwhile_holds_at_once() {
    let server = HttpServer::start();
    let url = format!("http://docs.test:{}/", server.address().port());
    let steps = [
        fetch(&url),
        ModelStep::text("A."),
        fetch(&url),
        ModelStep::text("B."),
    ];
    let place = Place::new(steps).await;
    let engine = place.start_fetching("docs.test", &server);
    let session = place.session("Read.").await;
    assert!(!result(&place.rested(&session).await).1, "the control");
    let floor = PoliciesChange {
        denied_hosts: Some(vec!["docs.test".to_owned()]),
        ..PoliciesChange::default()
    };
    place
        .control
        .change_policies(&place.caller, floor)
        .await
        .unwrap();
    place
        .send(&session, json!([super::message("Again.")]))
        .await;
    let (words, is_error) = result(&place.rested(&session).await);
    assert!(is_error && words.contains("organization_floor"), "{words}");
    assert_eq!(server.requests().len(), 1);
    engine.stop().await;
}

#[tokio::test]
async fn what_no_rule_opens_is_closed_to_pages_too() {
    let server = HttpServer::start();
    let port = server.address().port();
    let urls = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("http://user:key@docs.test:{port}/"),
        "file:///etc/passwd".to_owned(),
    ];
    let steps = urls
        .iter()
        .map(|url| fetch(url))
        .chain([ModelStep::text("None.")]);
    let place = Place::new(steps).await;
    let engine = place.start_fetching("docs.test", &server);
    let session = place.session("Read.").await;
    let events = place.rested(&session).await;
    for result in of_kind(&events, "agent.tool_result") {
        assert_eq!(result["is_error"], true, "{result}");
    }
    assert_eq!(server.connections(), 0);
    engine.stop().await;
}

#[tokio::test]
async fn an_agent_can_be_held_to_urls_and_domains() {
    let server = HttpServer::start();
    let port = server.address().port();
    let known = format!("http://docs.test:{port}/known");
    let other = format!("http://docs.test:{port}/other");
    let web = json!({"name": "web_fetch", "url_sources": {"user_input": "all", "client_tool_results": "none", "server_tool_results": "none"},
        "allowed_domains": ["docs.test"]});
    let toolset = json!([{"type": "agent_toolset_20260401", "configs": [web]}]);
    let steps = [
        fetch(&other),
        fetch(&known),
        fetch(&other),
        ModelStep::text("So."),
    ];
    let place = Place::with_agent(steps, json!({"tools": toolset})).await;
    let engine = place.start_fetching("docs.test", &server);
    let session = place.session(&format!("Read {known}.")).await;
    let events = place.rested(&session).await;
    let errors: Vec<_> = of_kind(&events, "agent.tool_result")
        .iter()
        .map(|result| result["is_error"] == true)
        .collect();
    assert_eq!(errors, [true, false, true]);
    assert_eq!(server.requests().len(), 1);
    engine.stop().await;
}
