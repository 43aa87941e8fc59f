//! Credentials that people get at the authorization server of an MCP server, an honest one and ones that lie.

use std::time::Duration;

use bailiwick_testkit::{Authority, HttpsServer};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{encoded, parameter};
use crate::outbound::outbound;
use crate::vaults::vault;
use crate::{Answer, Server, answer};

/// Where the servers are, by the name that is pinned to them.
const NAME: &str = "mcp.example.com";

/// A server of Bailiwick's, and one that it is a client of.
struct World {
    server: Server,
    oauth: HttpsServer,
    issuer: String,
    vault: String,
}

impl World {
    async fn on(postgres: bool) -> Self {
        let authority = Authority::new();
        let oauth = HttpsServer::oauth(&authority, &[NAME]);
        let outbound = outbound(&authority, &format!("{NAME}={}", oauth.address()));
        let server = Server::with_outbound(postgres, outbound).await;
        let issuer = format!("http://{}", server.address);
        server.control.is_reached_at(&issuer);
        let vault = vault(&server, "v").await;
        Self {
            server,
            oauth,
            issuer,
            vault,
        }
    }

    fn base(&self) -> String {
        format!("https://{NAME}:{}", self.oauth.address().port())
    }

    async fn begun(&self, path: &str, more: &Value) -> Answer {
        let mut body = json!({"vault_id": self.vault, "url": format!("{}{path}", self.base())});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.server.post("/api/mcp-connections", body).await
    }

    /// Comes back from the authorization server as an honest one would have it, with some of it changed.
    async fn back(&self, begun: &Answer, changes: &[(&str, Option<&str>)]) -> Answer {
        let url = begun.text("authorize_url");
        let code = format!("code-{}", parameter(url, "code_challenge").unwrap());
        let (state, issuer) = (parameter(url, "state").unwrap(), begun.text("issuer"));
        let usual = [("code", code.as_str()), ("state", &state), ("iss", issuer)];
        let change = |name: &str| changes.iter().find(|(changed, _)| *changed == name);
        let mut query: Vec<_> = usual
            .into_iter()
            .filter_map(|(name, value)| match change(name) {
                None => Some((name, value)),
                Some((_, other)) => other.map(|other| (name, other)),
            })
            .collect();
        let is_new = |name: &str| usual.iter().all(|(known, _)| *known != name);
        let new = changes.iter().filter(|(name, _)| is_new(name));
        query.extend(new.filter_map(|(name, value)| Some((*name, (*value)?))));
        let browser = Client::builder().redirect(reqwest::redirect::Policy::none());
        let url = format!("{}/oauth/callback?{}", self.issuer, encoded(&query));
        answer(browser.build().unwrap().get(url)).await
    }

    async fn finished_as(&self, key: &str, begun: &Answer, word: &str) -> Answer {
        let path = format!("/api/mcp-connections/{}/finish", begun.text("id"));
        let body = Some(json!({"confirmation": word}));
        self.server.send_as(key, Method::POST, &path, body).await
    }

    async fn finished(&self, begun: &Answer, word: &str) -> Answer {
        self.finished_as(&self.server.key, begun, word).await
    }

    async fn credentials(&self) -> Vec<Value> {
        let path = format!("/v1/vaults/{}/credentials", self.vault);
        let found = self.server.get(&path).await.ok();
        found["data"].as_array().unwrap().clone()
    }

    fn asked(&self, path: &str) -> usize {
        let all = self.oauth.requests();
        all.iter().filter(|request| request["path"] == path).count()
    }
}

/// The word that a page shows.
fn word(page: &Answer) -> &str {
    let (_, behind) = page
        .raw
        .split_once("<code>")
        .unwrap_or_else(|| panic!("{page:?}"));
    behind.split_once("</code>").unwrap().0
}

macro_rules! on_both_with_oauth {
    ($($fact:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(super::World::on(false).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(super::World::on(true).await).await;
            })+
        }
    };
}

on_both_with_oauth!(
    a_person_signs_in_at_an_mcp_server_and_the_vault_has_its_token,
    what_a_browser_brings_back_is_good_for_who_began_with_the_word_alone,
    an_answer_is_taken_once_and_from_the_server_that_was_asked,
    servers_that_lie_about_who_they_are_get_nobody,
    nothing_on_this_machine_or_of_metadata_is_asked,
    what_was_granted_is_kept_although_nobody_waits_for_it,
    a_token_of_no_lifetime_is_kept,
    nobody_is_sent_for_what_no_credential_can_have,
);

async fn a_person_signs_in_at_an_mcp_server_and_the_vault_has_its_token(world: World) {
    let begun = world.begun("/mcp", &json!({"name": "docs"})).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
    let url = begun.text("authorize_url");
    assert!(
        url.starts_with(&format!("{}/authorize?tenant=1&", world.base())),
        "{url}"
    );
    assert_eq!(parameter(url, "client_id").unwrap(), "none");
    assert_eq!(parameter(url, "code_challenge_method").unwrap(), "S256");
    assert_eq!(
        parameter(url, "resource").unwrap(),
        format!("{}/mcp", world.base())
    );
    let callback = format!("{}/oauth/callback", world.issuer);
    assert_eq!(parameter(url, "redirect_uri").unwrap(), callback);
    let early = world.finished(&begun, "2345-6789").await;
    assert_eq!(early.text("code"), "not_answered");
    let page = world.back(&begun, &[]).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(page.raw.contains(NAME));
    assert!(world.credentials().await.is_empty());
    let finished = world.finished(&begun, &word(&page).to_lowercase()).await;
    assert_eq!(finished.status, StatusCode::CREATED, "{finished:?}");
    let made = &world.credentials().await[0];
    assert_eq!(made["id"], finished.body["credential_id"]);
    assert_eq!(made["auth"]["type"], "mcp_oauth");
    assert_eq!(made["display_name"], "docs");
    let id = made["id"].as_str().unwrap();
    let path = format!(
        "/v1/vaults/{}/credentials/{id}/mcp_oauth_validate",
        world.vault
    );
    let valid = world.server.send(Method::POST, &path, None).await;
    assert_eq!(valid.body["status"], "valid", "{valid:?}");
    // Another one is not got by mistake.
    let taken = world.begun("/mcp", &json!({})).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let again = world.begun("/mcp", &json!({"replace": true})).await;
    let page = world.back(&again, &[]).await;
    let finished = world.finished(&again, word(&page)).await;
    assert_eq!(finished.status, StatusCode::CREATED, "{finished:?}");
    let log = world.server.get("/api/audit-log").await.raw;
    for action in [
        "mcp_connection.begin",
        "mcp_connection.answer",
        "mcp_connection.finish",
    ] {
        assert!(log.contains(action), "{action}");
    }
    assert!(!log.contains("access-1") && !log.contains("refresh-1"));
}

async fn what_a_browser_brings_back_is_good_for_who_began_with_the_word_alone(world: World) {
    let begun = world.begun("/mcp", &json!({})).await;
    let page = world.back(&begun, &[]).await;
    let shown = word(&page).to_owned();
    // Somebody else of the organization, who has the word, and somebody of another one.
    super::member(&world.server, "eve@example.com", "admin").await;
    let sign_in = json!({"email": "eve@example.com", "password": super::PASSWORD});
    let request = world
        .server
        .request(Method::POST, "/api/sign-in")
        .json(&sign_in);
    let eve = answer(request).await;
    let cookie = eve.header("set-cookie").split(';').next().unwrap();
    let path = format!("/api/mcp-connections/{}/finish", begun.text("id"));
    let request = world
        .server
        .request(Method::POST, &path)
        .header("cookie", cookie);
    let request = request.header("x-csrf-token", eve.text("csrf_token"));
    let refused = answer(request.json(&json!({"confirmation": shown}))).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let stranger = world.server.other_organization().await;
    let refused = world.finished_as(&stranger, &begun, &shown).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    // Who began, without the word: they sent somebody else there.
    for _ in 0..4 {
        let refused = world.finished(&begun, "2345-6789").await;
        assert_eq!(refused.text("code"), "wrong_confirmation");
    }
    assert_eq!(world.asked("/token"), 0);
    let other = world.begun("/mcp", &json!({})).await;
    let page = world.back(&other, &[]).await;
    assert_eq!(
        world.finished(&other, word(&page)).await.status,
        StatusCode::CREATED
    );
    // The fifth mistake is the last one.
    world.finished(&begun, "2345-6789").await;
    let refused = world.finished(&begun, &shown).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(world.asked("/token"), 1);
}

async fn an_answer_is_taken_once_and_from_the_server_that_was_asked(world: World) {
    for (changes, shown) in [
        (
            vec![("iss", Some("https://evil.example"))],
            "not the answer of the server",
        ),
        (vec![("iss", None)], "not the answer of the server"),
        (vec![("error", Some("access_denied"))], "access_denied"),
        (vec![("code", None)], "no code"),
        (vec![("code", Some("a\r\nb"))], "no code"),
        (vec![("state", Some("bwcs_nonsense"))], "Nobody waits"),
        (vec![("state", None)], "Nobody waits"),
    ] {
        let begun = world.begun("/mcp", &json!({})).await;
        let page = world.back(&begun, &changes).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{changes:?}");
        assert!(
            page.raw.to_lowercase().contains(&shown.to_lowercase()),
            "{changes:?} {page:?}"
        );
        assert_eq!(page.header("location"), "");
        let refused = world.finished(&begun, "2345-6789").await;
        assert!(refused.status.is_client_error());
    }
    let begun = world.begun("/mcp", &json!({})).await;
    let page = world.back(&begun, &[]).await;
    let second = world.back(&begun, &[]).await;
    assert_eq!(second.status, StatusCode::BAD_REQUEST);
    let finished = world.finished(&begun, word(&page)).await;
    assert_eq!(finished.status, StatusCode::CREATED);
    let again = world.finished(&begun, word(&page)).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

async fn servers_that_lie_about_who_they_are_get_nobody(world: World) {
    for (lie, why) in [
        ("other", "calls itself"),
        ("plain", "PKCE"),
        ("http", "token endpoint"),
        ("script", "authorization endpoint"),
        ("resource", "is about"),
        ("moved", "307"),
    ] {
        let refused = world.begun(&format!("/mcp/as-{lie}"), &json!({})).await;
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{lie} {refused:?}");
        assert!(refused.text("detail").contains(why), "{lie} {refused:?}");
    }
    assert_eq!(world.asked("/register"), 0);
    let honest = world.begun("/mcp/as-honest", &json!({})).await;
    assert_eq!(honest.status, StatusCode::CREATED, "{honest:?}");
    assert_eq!(world.asked("/register"), 1);
}

async fn nothing_on_this_machine_or_of_metadata_is_asked(world: World) {
    for lie in ["metadata", "loopback"] {
        let refused = world.begun(&format!("/mcp/as-{lie}"), &json!({})).await;
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{lie} {refused:?}");
        assert!(
            refused.text("detail").contains("may not be reached"),
            "{lie} {refused:?}"
        );
    }
    assert_eq!(world.asked("/register"), 0);
    let port = world.oauth.address().port();
    for url in [
        format!("https://127.0.0.1:{port}/mcp"),
        "https://169.254.169.254/mcp".to_owned(),
        format!("https://localhost:{port}/mcp"),
    ] {
        let body = json!({"vault_id": world.vault, "url": url});
        let refused = world.server.post("/api/mcp-connections", body).await;
        assert!(
            matches!(
                refused.status,
                StatusCode::BAD_GATEWAY | StatusCode::BAD_REQUEST
            ),
            "{url} {refused:?}"
        );
    }
    // A policy of the organization's counts, too.
    let floor = json!({"denied_hosts": [NAME], "denied_cidrs": []});
    let set = world
        .server
        .send(Method::PATCH, "/api/organization", Some(floor))
        .await;
    assert!(set.status.is_success(), "{set:?}");
    let refused = world.begun("/mcp", &json!({})).await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{refused:?}");
}

/// The token endpoint takes a second, and who asked has gone by then.
async fn what_was_granted_is_kept_although_nobody_waits_for_it(world: World) {
    let begun = world.begun("/mcp/as-late", &json!({})).await;
    let page = world.back(&begun, &[]).await;
    let asked = until(async || world.asked("/token/late") > 0);
    tokio::select! {
        finished = world.finished(&begun, word(&page)) => panic!("it waits for the tokens: {finished:?}"),
        () = asked => {}
    }
    until(async || !world.credentials().await.is_empty()).await;
    assert_eq!(world.asked("/token/late"), 1);
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = timeout(Duration::from_secs(20), look).await;
    assert!(found.is_ok(), "it never came");
}

async fn a_token_of_no_lifetime_is_kept(world: World) {
    let begun = world.begun("/mcp/as-zero", &json!({})).await;
    let page = world.back(&begun, &[]).await;
    let finished = world.finished(&begun, word(&page)).await;
    assert_eq!(finished.status, StatusCode::CREATED, "{finished:?}");
    let made = &world.credentials().await[0];
    assert_eq!(made["auth"]["expires_at"], Value::Null, "{made}");
}

async fn nobody_is_sent_for_what_no_credential_can_have(world: World) {
    for (lie, field) in [
        ("scopes", "scope"),
        ("accent", "scope"),
        ("long", "resource"),
        ("client", "client_id"),
    ] {
        let refused = world.begun(&format!("/mcp/as-{lie}"), &json!({})).await;
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{lie} {refused:?}");
        assert!(refused.text("detail").contains(field), "{lie} {refused:?}");
    }
    // What a person says themselves takes the place of it, and is theirs to mend.
    for (lie, said) in [
        ("scopes", json!({"scope": "read"})),
        ("accent", json!({"scope": "read"})),
        ("client", json!({"client_id": "none"})),
    ] {
        let begun = world.begun(&format!("/mcp/as-{lie}"), &said).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{lie} {begun:?}");
    }
    let refused = world.begun("/mcp", &json!({"scope": "\u{e9}"})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert_eq!(world.asked("/token"), 0);
}
