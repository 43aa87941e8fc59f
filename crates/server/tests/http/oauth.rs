//! The authorization server of gateways: a program comes by a token with the consent of a person, and what does not come by one.

mod attacks;
mod connections;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::{Answer, Server, answer, on_both};

on_both!(
    a_program_comes_by_a_token_that_opens_one_gateway_and_nothing_else,
    who_does_not_agree_is_sent_back_without_a_code,
    tokens_are_replaced_and_an_old_one_ends_all_of_them,
    who_is_removed_or_may_no_more_opens_nothing,
    a_gateway_that_is_deleted_takes_its_grants_along,
    each_sees_and_ends_their_own_grants_and_who_administers_keys_everybodys,
    who_revokes_a_token_ends_its_family,
    nothing_of_codes_and_tokens_is_stored,
);

const PASSWORD: &str = "four words nobody puts";
const EMAIL: &str = "ann@example.com";
const CALLBACK: &str = "http://127.0.0.1:49152/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A server with two gateways, a member, their browser, and a program that registered.
struct World {
    server: Server,
    /// It goes nowhere by itself.
    browser: Client,
    issuer: String,
    member: String,
    cookies: String,
    csrf: String,
    client_id: String,
}

/// What a program asks for; `None` leaves a parameter out.
type Change<'a> = (&'a str, Option<&'a str>);

impl World {
    async fn of(server: Server) -> Self {
        let issuer = format!("http://{}", server.address);
        server.control.is_reached_at(&issuer);
        let environment = json!({"name": "dev"});
        let environment = server.post("/api/environments", environment).await;
        for name in ["door", "other"] {
            let gateway = json!({"name": name, "environment_id": environment.text("id"), "access": "all_tools"});
            server.post("/api/mcp-gateways", gateway).await.ok();
        }
        let member = member(&server, EMAIL, "member").await;
        let browser = Client::builder().redirect(Policy::none()).build().unwrap();
        let mut world = Self {
            server,
            browser,
            issuer,
            member,
            cookies: String::new(),
            csrf: String::new(),
            client_id: String::new(),
        };
        (world.cookies, world.csrf) = world.signed_in(EMAIL).await;
        world.client_id = world
            .registered(&[CALLBACK])
            .await
            .text("client_id")
            .to_owned();
        world
    }

    /// The cookies of a session, by the page that a program's person comes to.
    async fn signed_in(&self, email: &str) -> (String, String) {
        let return_to = "/oauth/authorize?client_id=x";
        let pairs = [
            ("email", email),
            ("password", PASSWORD),
            ("return_to", return_to),
        ];
        let sent = self.form("/oauth/sign-in", &pairs).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::SEE_OTHER);
        assert_eq!(sent.headers()["location"], return_to);
        let set = sent.headers().get_all("set-cookie").iter();
        let pair = |text: &str| text.split(';').next().unwrap().to_owned();
        let pairs: Vec<_> = set.map(|value| pair(value.to_str().unwrap())).collect();
        let csrf = pairs
            .iter()
            .find_map(|pair| pair.strip_prefix("__Host-bailiwick-csrf="));
        (pairs.join("; "), csrf.unwrap().to_owned())
    }

    /// A form that a page of this server sends.
    fn form(&self, path: &str, pairs: &[(&str, &str)]) -> RequestBuilder {
        let request = self.browser.post(format!("{}{path}", self.issuer));
        form(request.header("origin", &self.issuer), pairs)
    }

    async fn registered(&self, uris: &[&str]) -> Answer {
        let body = json!({"client_name": "Editor", "redirect_uris": uris, "token_endpoint_auth_method": "none"});
        answer(
            self.browser
                .post(format!("{}/oauth/register", self.issuer))
                .json(&body),
        )
        .await
    }

    fn resource(&self, gateway: &str) -> String {
        format!("{}/mcp/{gateway}", self.issuer)
    }

    /// What a program asks for, with some of it changed.
    fn asked(&self, changes: &[Change<'_>]) -> Vec<(String, String)> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let usual = [
            ("client_id", self.client_id.clone()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("response_type", "code".to_owned()),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256".to_owned()),
            ("state", "s t&a=te".to_owned()),
            ("resource", self.resource("door")),
        ];
        let change = |name: &str| changes.iter().find(|(changed, _)| *changed == name);
        let kept = usual
            .into_iter()
            .filter_map(|(name, value)| match change(name) {
                None => Some((name.to_owned(), value)),
                Some((_, other)) => other.map(|other| (name.to_owned(), other.to_owned())),
            });
        kept.collect()
    }

    async fn question(&self, changes: &[Change<'_>]) -> Answer {
        let query = encoded(&self.asked(changes));
        let url = format!("{}/oauth/authorize?{query}", self.issuer);
        let request = self.browser.get(url);
        answer(request.header("cookie", &self.cookies)).await
    }

    /// What the page that asks has their answer be about; nothing where nobody is asked.
    async fn shown(&self, changes: &[Change<'_>]) -> String {
        shown_by(&self.question(changes).await)
    }

    /// The person's answer, which their browser sends.
    async fn answered(&self, decision: &str, changes: &[Change<'_>]) -> Answer {
        let shown = self.shown(changes).await;
        self.answered_to(&shown, decision, changes).await
    }

    /// The same, of whoever was shown this.
    async fn answered_to(&self, shown: &str, decision: &str, changes: &[Change<'_>]) -> Answer {
        let mut form = self.asked(changes);
        form.push(("shown".to_owned(), shown.to_owned()));
        form.push(("csrf".to_owned(), self.csrf.clone()));
        form.push(("decision".to_owned(), decision.to_owned()));
        let pairs: Vec<_> = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = self.form("/oauth/authorize", &pairs);
        answer(request.header("cookie", &self.cookies)).await
    }

    /// A code for a gateway.
    async fn code(&self, changes: &[Change<'_>]) -> String {
        let sent = self.answered("allow", changes).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{sent:?}");
        parameter(sent.header("location"), "code").unwrap()
    }

    async fn token(&self, pairs: &[(&str, &str)]) -> Answer {
        let request = self.browser.post(format!("{}/oauth/token", self.issuer));
        answer(form(request, pairs)).await
    }

    async fn exchanged(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &self.client_id),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    async fn refreshed(&self, token: &str) -> Answer {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", &self.client_id),
        ])
        .await
    }

    async fn tokens(&self) -> Answer {
        let tokens = self.exchanged(&self.code(&[]).await).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
        tokens
    }

    /// How a gateway answers whoever shows this.
    async fn opens(&self, gateway: &str, token: &str) -> Answer {
        let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}});
        let request = self.browser.post(self.resource(gateway)).bearer_auth(token);
        let request = request.header("accept", "application/json, text/event-stream");
        answer(request.json(&begin)).await
    }

    async fn grants(&self, query: &str) -> Vec<Value> {
        let found = self
            .server
            .get(&format!("/api/oauth-grants{query}"))
            .await
            .ok();
        found["data"].as_array().unwrap().clone()
    }
}

/// What a page has its answer be about; nothing if it asks nobody.
fn shown_by(page: &Answer) -> String {
    let value = page.raw.split_once("name=\"shown\" value=\"");
    let value = value.and_then(|(_, rest)| rest.split_once('"'));
    value.map_or_else(String::new, |(value, _)| value.replace("&amp;", "&"))
}

/// A member with this role; their id.
async fn member(server: &Server, email: &str, role: &str) -> String {
    let roles = server.get("/api/roles").await.ok();
    let role = roles["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == role);
    let body = json!({"email": email, "name": "Ann", "role_id": role.unwrap()["id"], "password": PASSWORD});
    server
        .post("/api/members", body)
        .await
        .text("user_id")
        .to_owned()
}

/// As a form or a query has it.
fn encoded<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in pairs {
        query.append_pair(name.as_ref(), value.as_ref());
    }
    query.finish()
}

fn form<N: AsRef<str>, V: AsRef<str>>(request: RequestBuilder, pairs: &[(N, V)]) -> RequestBuilder {
    let kind = "application/x-www-form-urlencoded";
    request.header("content-type", kind).body(encoded(pairs))
}

fn parameter(location: &str, name: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    let mut pairs = url.query_pairs();
    pairs.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
}

async fn a_program_comes_by_a_token_that_opens_one_gateway_and_nothing_else(server: Server) {
    let world = World::of(server).await;
    let refused = world.opens("door", "").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let metadata = refused
        .header("www-authenticate")
        .split('"')
        .nth(1)
        .unwrap();
    let about = answer(world.browser.get(metadata)).await.ok();
    assert_eq!(about["resource"], world.resource("door"));
    assert_eq!(about["authorization_servers"], json!([world.issuer]));
    let known = format!("{}/.well-known/oauth-authorization-server", world.issuer);
    let known = answer(world.browser.get(known)).await.ok();
    assert_eq!(known["issuer"], world.issuer);
    assert_eq!(known["code_challenge_methods_supported"], json!(["S256"]));
    let question = world.question(&[]).await;
    for shown in [
        "Editor",
        "nobody has checked that",
        "127.0.0.1:49152",
        "door",
        "dev",
        EMAIL,
    ] {
        assert!(question.raw.contains(shown), "{shown} in {}", question.raw);
    }
    let sent = world.answered("allow", &[]).await;
    let location = sent.header("location");
    assert!(
        location.starts_with(&format!("{CALLBACK}?code=bwac_")),
        "{location}"
    );
    assert_eq!(parameter(location, "state").unwrap(), "s t&a=te");
    assert_eq!(parameter(location, "iss").unwrap(), world.issuer);
    let tokens = world.exchanged(&parameter(location, "code").unwrap()).await;
    assert_eq!(tokens.header("cache-control"), "no-store");
    assert_eq!(tokens.body["expires_in"], 3600);
    assert_eq!(tokens.body["token_type"], "Bearer");
    let access = tokens.text("access_token");
    let opened = world.opens("door", access).await;
    assert_eq!(opened.status, StatusCode::OK, "{opened:?}");
    for (gateway, token) in [
        ("other", access),
        ("none", access),
        ("door", tokens.text("refresh_token")),
    ] {
        let refused = world.opens(gateway, token).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{gateway}");
        assert!(
            refused
                .header("www-authenticate")
                .contains("resource_metadata")
        );
    }
    for path in [
        "/api/environments",
        "/v1/environments",
        "/api/whoami",
        "/api/oauth-grants",
    ] {
        let refused = world.server.send_as(access, Method::GET, path, None).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

async fn who_does_not_agree_is_sent_back_without_a_code(server: Server) {
    let world = World::of(server).await;
    let declined = world.answered("deny", &[]).await;
    assert_eq!(
        parameter(declined.header("location"), "error").unwrap(),
        "access_denied"
    );
    assert_eq!(parameter(declined.header("location"), "code"), None);
}

async fn tokens_are_replaced_and_an_old_one_ends_all_of_them(server: Server) {
    let world = World::of(server).await;
    let first = world.tokens().await;
    let second = world.refreshed(first.text("refresh_token")).await;
    assert_eq!(second.status, StatusCode::OK, "{second:?}");
    let opened = world.opens("door", second.text("access_token")).await;
    assert_eq!(opened.status, StatusCode::OK);
    let old = world.opens("door", first.text("access_token")).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    // Whoever has the old one stole it, or was stolen from.
    let reused = world.refreshed(first.text("refresh_token")).await;
    assert_eq!(reused.status, StatusCode::BAD_REQUEST);
    assert_eq!(reused.text("error"), "invalid_grant");
    let ended = world.opens("door", second.text("access_token")).await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    let ended = world.refreshed(second.text("refresh_token")).await;
    assert_eq!(ended.text("error"), "invalid_grant");
    let log = world.server.get("/api/audit-log").await.raw;
    for action in [
        "oauth_grant.create",
        "oauth_grant.issue",
        "oauth_grant.reuse",
    ] {
        assert!(log.contains(action), "{action}");
    }
}

async fn who_is_removed_or_may_no_more_opens_nothing(server: Server) {
    let world = World::of(server).await;
    let tokens = world.tokens().await;
    let role = json!({"name": "reader", "permissions": ["environment:read"]});
    let role = world.server.post("/api/roles", role).await;
    let path = format!("/api/members/{}", world.member);
    let set = json!({"role_id": role.text("id")});
    let changed = world.server.send(Method::PATCH, &path, Some(set)).await;
    assert!(changed.status.is_success(), "{changed:?}");
    let refused = world.opens("door", tokens.text("access_token")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let refused = world.refreshed(tokens.text("refresh_token")).await;
    assert_eq!(refused.text("error"), "invalid_grant");
    let asked = world.question(&[]).await;
    assert_eq!(asked.status, StatusCode::BAD_REQUEST);
    assert!(asked.raw.contains("mcp-gateway:use"));
    let gone = world.server.send(Method::DELETE, &path, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let refused = world.opens("door", tokens.text("access_token")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(world.grants("?everyone=true").await.is_empty());
}

async fn a_gateway_that_is_deleted_takes_its_grants_along(server: Server) {
    let world = World::of(server).await;
    let tokens = world.tokens().await;
    let gateways = world.server.get("/api/mcp-gateways").await.ok();
    let mut gateways = gateways["data"].as_array().unwrap().iter();
    let id = gateways.find(|one| one["name"] == "door").unwrap()["id"]
        .as_str()
        .unwrap();
    let path = format!("/api/mcp-gateways/{id}");
    let gone = world.server.send(Method::DELETE, &path, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let refused = world.opens("door", tokens.text("access_token")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(world.grants("?everyone=true").await.is_empty());
}

async fn each_sees_and_ends_their_own_grants_and_who_administers_keys_everybodys(server: Server) {
    let world = World::of(server).await;
    let tokens = world.tokens().await;
    // The administrator let nobody.
    assert!(world.grants("").await.is_empty());
    let all = world.grants("?everyone=true").await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["client_name"], "Editor");
    assert_eq!(all[0]["gateway_name"], "door");
    assert_eq!(all[0]["user_id"], world.member);
    let own = |method, path: &str| {
        let request = world.server.request(method, path);
        let request = request.header("cookie", &world.cookies);
        answer(request.header("x-csrf-token", &world.csrf))
    };
    let seen = own(Method::GET, "/api/oauth-grants").await.ok();
    assert_eq!(seen["data"][0]["id"], all[0]["id"]);
    let everyone = own(Method::GET, "/api/oauth-grants?everyone=true").await;
    assert_eq!(everyone.status, StatusCode::FORBIDDEN);
    let path = format!("/api/oauth-grants/{}", all[0]["id"].as_str().unwrap());
    let stranger = world.server.other_organization().await;
    let refused = world
        .server
        .send_as(&stranger, Method::DELETE, &path, None)
        .await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let revoked = own(Method::DELETE, &path).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    let refused = world.opens("door", tokens.text("access_token")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let again = world.tokens().await;
    let id = world.grants("?everyone=true").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/oauth-grants/{id}");
    let revoked = world.server.send(Method::DELETE, &path, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    let refused = world.opens("door", again.text("access_token")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

async fn who_revokes_a_token_ends_its_family(server: Server) {
    let world = World::of(server).await;
    let tokens = world.tokens().await;
    let revoke = |token: String, client: String| {
        let pairs = [("token", token), ("client_id", client)];
        let request = world.browser.post(format!("{}/oauth/revoke", world.issuer));
        answer(form(request, &pairs))
    };
    let access = tokens.text("access_token").to_owned();
    // Another program's word counts for nothing, and nobody is told so.
    let other = world.registered(&["https://other.example.com/cb"]).await;
    let other = revoke(access.clone(), other.text("client_id").to_owned()).await;
    assert_eq!(other.status, StatusCode::OK);
    assert_eq!(world.opens("door", &access).await.status, StatusCode::OK);
    let refresh = tokens.text("refresh_token").to_owned();
    let revoked = revoke(refresh.clone(), world.client_id.clone()).await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert_eq!(
        world.opens("door", &access).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world.refreshed(&refresh).await.text("error"),
        "invalid_grant"
    );
    let nothing = revoke("bwo_nonsense".to_owned(), world.client_id.clone()).await;
    assert_eq!(nothing.status, StatusCode::OK);
}

async fn nothing_of_codes_and_tokens_is_stored(server: Server) {
    let world = World::of(server).await;
    let code = world.code(&[]).await;
    let tokens = world.exchanged(&code).await;
    let log = world.server.get("/api/audit-log").await.raw;
    let grants = world
        .server
        .get("/api/oauth-grants?everyone=true")
        .await
        .raw;
    let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
    for secret in [code.as_str(), access, refresh, VERIFIER] {
        assert!(!log.contains(secret) && !grants.contains(secret));
        if let bailiwick_store::DatabaseUrl::Sqlite(path) = &world.server.url {
            for end in ["", "-wal"] {
                let bytes = std::fs::read(format!("{}{end}", path.display())).unwrap_or_default();
                let found = bytes
                    .windows(secret.len())
                    .any(|some| some == secret.as_bytes());
                assert!(!found, "a secret is in the database{end}");
            }
        }
    }
}
