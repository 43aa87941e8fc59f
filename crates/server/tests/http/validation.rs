//! Validating OAuth credentials against a real authorization and MCP server, an honest one and one that lies.

use std::time::{Duration, Instant};

use bailiwick_testkit::{Authority, HttpServer, HttpsServer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::outbound::outbound;
use crate::vaults::vault;
use crate::{Answer, Server};

/// Where the servers are, by the name that is pinned to them.
const NAME: &str = "mcp.example.com";

/// A server of Bailiwick's, and one that credentials name.
struct World {
    server: Server,
    oauth: HttpsServer,
    /// On loopback too, and named by nobody who may.
    inner: HttpServer,
    vault: String,
}

impl World {
    async fn on(postgres: bool) -> Self {
        let authority = Authority::new();
        let oauth = HttpsServer::oauth(&authority, &[NAME]);
        let outbound = outbound(&authority, &format!("{NAME}={}", oauth.address()));
        let server = Server::with_outbound(postgres, outbound).await;
        let vault = vault(&server, "v").await;
        Self {
            server,
            oauth,
            inner: HttpServer::start(),
            vault,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.oauth.address().port())
    }

    fn refresh(&self, token: &str, endpoint: &str, client: &str) -> Value {
        let authentication = match client {
            "none" => json!({"type": "none"}),
            "basic" => json!({"type": "client_secret_basic", "client_secret": "s3cret/+ basic"}),
            _ => json!({"type": "client_secret_post", "client_secret": "s3cret/+ post"}),
        };
        json!({"client_id": client, "refresh_token": token, "token_endpoint": endpoint, "token_endpoint_auth": authentication,
            "resource": "https://mcp.example.com/mcp", "scope": "read"})
    }

    /// A credential; its path.
    async fn credential(&self, server_url: &str, token: &str, refresh: Option<Value>) -> String {
        let mut auth =
            json!({"type": "mcp_oauth", "mcp_server_url": server_url, "access_token": token});
        if let Some(refresh) = refresh {
            auth["refresh"] = refresh;
        }
        let path = format!("/v1/vaults/{}/credentials", self.vault);
        let made = self.server.post(&path, json!({"auth": auth})).await.ok();
        format!("{path}/{}", made["id"].as_str().unwrap())
    }

    async fn validate(&self, credential: &str) -> Answer {
        let path = format!("{credential}/mcp_oauth_validate");
        self.server.send(Method::POST, &path, None).await
    }

    async fn forget(&self, credential: &str) {
        self.server
            .send(Method::DELETE, credential, None)
            .await
            .ok();
    }

    /// What the token endpoint was asked.
    fn token_requests(&self) -> Vec<Value> {
        let all = self.oauth.requests().into_iter();
        all.filter(|request| request["path"] == "/token").collect()
    }
}

/// Each fact, once for each database.
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
    a_token_that_is_taken_is_valid_and_stays,
    a_token_that_is_over_is_refreshed_stored_and_valid,
    a_client_proves_itself_in_each_of_three_ways,
    many_validations_at_once_refresh_once,
    a_refresh_is_stored_although_nobody_waits_for_it,
    a_credential_without_a_way_to_another_token_is_invalid,
    a_refresh_token_that_was_used_is_invalid,
    a_server_of_the_revision_without_sessions_is_understood,
    only_whoever_may_write_validates_what_is_theirs,
);

mod attacks {
    use super::World;

    #[tokio::test]
    async fn credentials_that_name_this_machine_or_metadata_are_blocked() {
        super::credentials_that_name_this_machine_or_metadata_are_blocked(World::on(false).await)
            .await;
    }

    #[tokio::test]
    async fn a_redirection_to_another_origin_is_blocked_and_one_within_followed() {
        super::a_redirection_to_another_origin_is_blocked(World::on(false).await).await;
    }

    #[tokio::test]
    async fn the_floor_of_the_organization_holds_for_both_endpoints() {
        super::the_floor_holds_for_both_endpoints(World::on(false).await).await;
    }

    #[tokio::test]
    async fn secrets_that_servers_send_back_are_blocked() {
        super::secrets_that_servers_send_back_are_blocked(World::on(false).await).await;
    }

    #[tokio::test]
    async fn servers_that_never_end_are_given_up() {
        super::servers_that_never_end_are_given_up(World::on(false).await).await;
    }
}

async fn a_token_that_is_taken_is_valid_and_stays(world: World) {
    let refresh = world.refresh("refresh-0", &world.url("/token"), "none");
    let path = world
        .credential(&world.url("/mcp"), "access-0", Some(refresh))
        .await;
    let before = world.server.get(&path).await.ok();
    let found = world.validate(&path).await.ok();
    assert_eq!(
        found,
        json!({"type": "vault_credential_validation", "credential_id": before["id"], "vault_id": world.vault,
            "validated_at": found["validated_at"], "has_refresh_token": true, "status": "valid", "mcp_probe": null, "refresh": null})
    );
    assert_eq!(world.server.get(&path).await.ok(), before);
    assert!(world.token_requests().is_empty());
    let seen: Vec<_> = world.oauth.requests();
    let session = |request: &Value| request["headers"]["mcp-session-id"] == "session-1";
    assert_eq!(
        seen.iter().filter(|request| session(request)).count(),
        3,
        "{seen:?}"
    );
    assert_eq!(seen.last().unwrap()["method"], "DELETE");
}

async fn a_token_that_is_over_is_refreshed_stored_and_valid(world: World) {
    let refresh = world.refresh("refresh-0", &world.url("/token"), "basic");
    let path = world
        .credential(&world.url("/mcp"), "access-old", Some(refresh))
        .await;
    let found = world.validate(&path).await.ok();
    assert_eq!(found["status"], "valid", "{found}");
    assert_eq!(found["mcp_probe"], Value::Null);
    assert_eq!(
        found["refresh"],
        json!({"status": "succeeded", "http_response": null, "detail": null})
    );
    let stored = world.server.get(&path).await.ok();
    let expires = stored["auth"]["expires_at"].as_str().expect("a time");
    let left = expires
        .parse::<jiff::Timestamp>()
        .unwrap()
        .duration_since(jiff::Timestamp::now());
    assert!((3500..=3600).contains(&left.as_secs()), "{expires}");
    // Both tokens were stored: the next time none is asked for, and once the server has forgotten, the new refresh token is shown.
    assert_eq!(world.validate(&path).await.ok()["refresh"], Value::Null);
    assert_eq!(world.token_requests().len(), 1);
    let change = json!({"auth": {"type": "mcp_oauth", "access_token": "access-old"}});
    world.server.post(&path, change).await.ok();
    assert_eq!(world.validate(&path).await.ok()["status"], "valid");
    let asked = world.token_requests();
    assert!(
        asked[1]["body"]
            .as_str()
            .unwrap()
            .contains("refresh_token=refresh-1")
    );
    let log = world.server.get("/api/audit-log?limit=5").await;
    assert!(log.raw.contains("credential.refresh"), "{}", log.raw);
    for secret in ["access-1", "refresh-1", "access-0", "s3cret"] {
        assert!(!log.raw.contains(secret) && !found.to_string().contains(secret));
    }
}

async fn a_client_proves_itself_in_each_of_three_ways(world: World) {
    for (turn, client) in ["none", "basic", "post"].into_iter().enumerate() {
        let refresh = world.refresh(&format!("refresh-{turn}"), &world.url("/token"), client);
        let path = world
            .credential(&world.url("/mcp"), "access-old", Some(refresh))
            .await;
        let found = world.validate(&path).await.ok();
        assert_eq!(found["status"], "valid", "{client}: {found}");
        let body = world.token_requests()[turn]["body"]
            .as_str()
            .unwrap()
            .to_owned();
        for part in [
            "grant_type=refresh_token",
            "resource=https%3A%2F%2Fmcp.example.com%2Fmcp",
            "scope=read",
        ] {
            assert!(body.contains(part), "{body}");
        }
        world.forget(&path).await;
    }
}

async fn many_validations_at_once_refresh_once(world: World) {
    let refresh = world.refresh("refresh-0", &world.url("/token"), "post");
    let path = world
        .credential(&world.url("/mcp"), "access-old", Some(refresh))
        .await;
    let all = (0..8).map(|_| world.validate(&path));
    for answer in futures_util::future::join_all(all).await {
        let found = answer.ok();
        assert_eq!(found["status"], "valid", "{found}");
    }
    assert_eq!(world.token_requests().len(), 1);
}

async fn a_refresh_is_stored_although_nobody_waits_for_it(world: World) {
    let refresh = world.refresh("refresh-0", &world.url("/token"), "none");
    let path = world
        .credential(&world.url("/mcp"), "access-old", Some(refresh))
        .await;
    // The token endpoint takes 200 ms.
    let waiting = world.validate(&path);
    let begun = tokio::time::timeout(Duration::from_millis(20), waiting).await;
    assert!(begun.is_err());
    let asked = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let waiting = world.validate(&path);
            // Until the first one has got as far as the token endpoint.
            if tokio::time::timeout(Duration::from_millis(100), waiting)
                .await
                .is_ok()
                || !world.token_requests().is_empty()
            {
                break;
            }
        }
    });
    asked.await.expect("the token endpoint is asked");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let found = world.validate(&path).await.ok();
    assert_eq!(found["status"], "valid", "{found}");
    assert_eq!(
        world.token_requests().len(),
        1,
        "the first one's token was stored"
    );
}

async fn a_credential_without_a_way_to_another_token_is_invalid(world: World) {
    let path = world
        .credential(&world.url("/mcp"), "access-old", None)
        .await;
    let found = world.validate(&path).await.ok();
    assert_eq!(found["status"], "invalid");
    assert_eq!(found["has_refresh_token"], false);
    assert_eq!(found["refresh"]["status"], "no_refresh_token");
    let probe = &found["mcp_probe"];
    assert_eq!(probe["method"], "initialize");
    assert_eq!(probe["http_response"]["status_code"], 401);
    assert_eq!(
        probe["http_response"]["body"],
        r#"{"error": "invalid_token", "token": "[redacted]"}"#
    );
}

async fn a_refresh_token_that_was_used_is_invalid(world: World) {
    let refresh = world.refresh("refresh-used", &world.url("/token"), "post");
    let path = world
        .credential(&world.url("/mcp"), "access-old", Some(refresh))
        .await;
    let found = world.validate(&path).await.ok();
    assert_eq!(found["status"], "invalid");
    assert_eq!(found["refresh"]["status"], "failed");
    let response = &found["refresh"]["http_response"];
    assert_eq!(response["status_code"], 400);
    assert_eq!(
        response["body"],
        r#"{"error": "invalid_grant", "error_description": "no such token: [redacted]"}"#
    );
    let wrong = json!({"auth": {"type": "mcp_oauth", "refresh": {"token_endpoint_auth": {"type": "client_secret_post", "client_secret": "wrong"}}}});
    world.server.post(&path, wrong).await.ok();
    let found = world.validate(&path).await.ok();
    assert_eq!(found["refresh"]["http_response"]["status_code"], 401);
    assert_eq!(found["status"], "invalid");
}

async fn a_server_of_the_revision_without_sessions_is_understood(world: World) {
    let path = world
        .credential(&world.url("/mcp/modern"), "access-0", None)
        .await;
    let found = world.validate(&path).await.ok();
    assert_eq!(found["status"], "valid", "{found}");
}

async fn only_whoever_may_write_validates_what_is_theirs(world: World) {
    let server = &world.server;
    let path = world.credential(&world.url("/mcp"), "access-0", None).await;
    let validate = format!("{path}/mcp_oauth_validate");
    let other = server.other_organization().await;
    let answer = server.send_as(&other, Method::POST, &validate, None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let bearer =
        json!({"type": "static_bearer", "mcp_server_url": "https://b.example.com", "token": "t"});
    let credentials = format!("/v1/vaults/{}/credentials", world.vault);
    let made = server.post(&credentials, json!({"auth": bearer})).await;
    let answer = world
        .validate(&format!("{credentials}/{}", made.text("id")))
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    server
        .post(&format!("{path}/archive"), json!({}))
        .await
        .ok();
    assert_eq!(world.validate(&path).await.status, StatusCode::BAD_REQUEST);
    assert!(world.oauth.requests().is_empty());
}

/// Everything that leads to this machine, or to where clouds keep credentials.
fn inner_urls(port: u16) -> Vec<String> {
    let mut urls = vec![
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::ffff:169.254.169.254]/latest/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        "http://[fd00:ec2::254]/latest/".to_owned(),
        "https://10.0.0.1/mcp".to_owned(),
    ];
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "localhost",
    ] {
        urls.push(format!("http://{host}:{port}/mcp"));
    }
    urls
}

async fn credentials_that_name_this_machine_or_metadata_are_blocked(world: World) {
    let port = world.inner.address().port();
    for url in inner_urls(port) {
        let path = world.credential(&url, "access-0", None).await;
        let found = world.validate(&path).await.ok();
        assert_eq!(found["status"], "unknown", "{url}: {found}");
        assert_eq!(found["mcp_probe"]["http_response"], Value::Null, "{url}");
        let detail = found["mcp_probe"]["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("denied: ") || detail.contains("host"),
            "{url}: {detail}"
        );
        world.forget(&path).await;
    }
    for endpoint in [
        format!("http://127.0.0.1:{port}/token"),
        format!("http://localhost:{port}/token"),
        "https://169.254.169.254/token".to_owned(),
    ] {
        let refresh = world.refresh("refresh-0", &endpoint, "none");
        let path = world
            .credential(&world.url("/mcp"), "access-old", Some(refresh))
            .await;
        let found = world.validate(&path).await.ok();
        assert_eq!(found["status"], "unknown", "{endpoint}: {found}");
        assert_eq!(found["refresh"]["status"], "connect_error");
        let detail = found["refresh"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("denied: "), "{endpoint}: {detail}");
        world.forget(&path).await;
    }
    assert_eq!(world.inner.connections(), 0);
    // The control: what the operator pinned is on the same loopback, and reached.
    let path = world.credential(&world.url("/mcp"), "access-0", None).await;
    assert_eq!(world.validate(&path).await.ok()["status"], "valid");
}

async fn a_redirection_to_another_origin_is_blocked(world: World) {
    let port = world.inner.address().port();
    let own = world.url("/mcp");
    let other_name = format!("http://{NAME}:{}/mcp", world.oauth.address().port());
    for to in [
        format!("http://127.0.0.1:{port}/mcp"),
        "http://169.254.169.254/".to_owned(),
        "https://elsewhere.example.com/mcp".to_owned(),
        other_name,
    ] {
        let path = world
            .credential(&world.url(&format!("/mcp/away?{to}")), "access-0", None)
            .await;
        let found = world.validate(&path).await.ok();
        assert_eq!(found["status"], "unknown", "{to}: {found}");
        assert_eq!(found["mcp_probe"]["http_response"]["status_code"], 307);
        world.forget(&path).await;
    }
    // A token endpoint's redirection is not followed at all, not even within its origin.
    let refresh = world.refresh(
        "refresh-0",
        &world.url(&format!("/token/away?{own}")),
        "none",
    );
    let path = world.credential(&own, "access-old", Some(refresh)).await;
    let found = world.validate(&path).await.ok();
    assert_eq!(
        found["refresh"]["http_response"]["status_code"], 307,
        "{found}"
    );
    assert_eq!(found["status"], "unknown");
    world.forget(&path).await;
    // In circles it goes a few times.
    let path = world
        .credential(&world.url("/mcp/around"), "access-0", None)
        .await;
    assert_eq!(world.validate(&path).await.ok()["status"], "unknown");
    world.forget(&path).await;
    assert_eq!(world.inner.connections(), 0);
    // The control: within the origin it is followed.
    let path = world
        .credential(&world.url("/mcp/moved"), "access-0", None)
        .await;
    let found = world.validate(&path).await.ok();
    assert_eq!(found["status"], "valid", "{found}");
}

async fn the_floor_holds_for_both_endpoints(world: World) {
    let refresh = world.refresh("refresh-0", &world.url("/token"), "none");
    let path = world
        .credential(&world.url("/mcp"), "access-old", Some(refresh))
        .await;
    let floor = |hosts: Value| {
        let change = json!({"denied_hosts": hosts});
        world
            .server
            .send(Method::PATCH, "/api/organization", Some(change))
    };
    floor(json!([NAME])).await.ok();
    let before = world.oauth.connections();
    let found = world.validate(&path).await.ok();
    assert_eq!(found["status"], "unknown", "{found}");
    let detail = found["mcp_probe"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("denied: organization_floor"), "{detail}");
    assert_eq!(world.oauth.connections(), before);
    // The control: without it both are reached.
    floor(json!([])).await.ok();
    assert_eq!(world.validate(&path).await.ok()["status"], "valid");
}

async fn secrets_that_servers_send_back_are_blocked(world: World) {
    const SECRETS: [&str; 4] = [
        "SECRET-access/Qx1",
        "SECRET-refresh/Qx2",
        "s3cret/+ basic",
        "s3cret%2F%2B+basic",
    ];
    for (server, endpoint, status) in [
        ("/mcp/echo?500", "/token", "unknown"),
        ("/mcp/echo?401", "/token/echo?400", "unknown"),
        ("/mcp/huge", "/token/echo?503", "unknown"),
        ("/mcp/echo?403", "/token", "invalid"),
        ("/mcp", "/token/garbage", "unknown"),
        ("/mcp", "/token/evil-token", "unknown"),
        ("/mcp", "/token/down", "unknown"),
    ] {
        let refresh = world.refresh(SECRETS[1], &world.url(endpoint), "basic");
        let path = world
            .credential(&world.url(server), SECRETS[0], Some(refresh))
            .await;
        let answer = world.validate(&path).await;
        assert_eq!(
            answer.body["status"], status,
            "{server} {endpoint}: {answer:?}"
        );
        assert!(answer.raw.len() < 16_384, "{}", answer.raw.len());
        let basic = "YmFzaWM6";
        for secret in SECRETS
            .into_iter()
            .chain([basic, "SECRET", "leaked-by-garbage", "x-evil"])
        {
            let visible = &answer.raw;
            assert!(
                !visible.contains(secret),
                "{server} {endpoint} {secret}: {visible}"
            );
        }
        let log = world.server.get("/api/audit-log?limit=20").await;
        assert!(!log.raw.contains("SECRET"), "{}", log.raw);
        world.forget(&path).await;
    }
    // The control: what is no secret comes back.
    let path = world
        .credential(&world.url("/mcp/echo?500"), SECRETS[0], None)
        .await;
    let found = world.validate(&path).await.ok();
    let body = found["mcp_probe"]["http_response"]["body"]
        .as_str()
        .unwrap();
    assert!(
        body.starts_with("you sent ") && body.ends_with("and Bearer [redacted]"),
        "{body}"
    );
}

async fn servers_that_never_end_are_given_up(world: World) {
    let begun = Instant::now();
    let slow = world.refresh("refresh-0", &world.url("/token/slow"), "none");
    let all = [
        world
            .credential(&world.url("/mcp/slow"), "access-0", None)
            .await,
        world
            .credential(&world.url("/mcp/drip"), "access-0", None)
            .await,
        world
            .credential(&world.url("/mcp"), "access-old", Some(slow))
            .await,
    ];
    let all = all.iter().map(|path| world.validate(path));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.ok()["status"], "unknown");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(45),
        "{:?}",
        begun.elapsed()
    );
    // Others are not held up.
    let path = world
        .credential(&world.url("/mcp/modern"), "access-0", None)
        .await;
    assert_eq!(world.validate(&path).await.ok()["status"], "valid");
}
