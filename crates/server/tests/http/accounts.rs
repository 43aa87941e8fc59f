//! Whose an account is, and who may guess its password how often.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_control::Control;
use bailiwick_server::{Service, TrustedProxies};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, answer, on_both, sealing_keys};

on_both!(
    another_organization_neither_sees_nor_changes_an_account,
    the_address_of_a_member_who_was_removed_is_free_again,
    who_guesses_a_password_waits_and_its_owner_does_not,
    where_a_request_came_from_is_what_a_trusted_proxy_says_and_nobody_else,
);

const PASSWORD: &str = "four words nobody puts";
const OTHER_PASSWORD: &str = "another four words here";

/// A server beside the one of the test, on the same database, behind a proxy on this machine.
struct Proxied {
    address: SocketAddr,
    client: Client,
}

impl Proxied {
    async fn start(server: &Server, proxies: &[&str]) -> Self {
        let control = Control::new(server.store.clone(), sealing_keys(&[1]));
        let service = Service::listen((Ipv4Addr::LOCALHOST, 0).into(), Arc::new(control));
        let service = service.await.expect("a port");
        let address = service.address().expect("an address");
        let proxies = proxies.iter().map(|network| network.parse().unwrap());
        let service = service.with_trusted_proxies(proxies.collect::<TrustedProxies>());
        tokio::spawn(service.run(std::future::pending()));
        let client = Client::new();
        Self { address, client }
    }

    async fn sign_in(&self, from: &str, email: &str, password: &str) -> Answer {
        let url = format!("http://{}/api/sign-in", self.address);
        let request = self.client.post(url).header("x-forwarded-for", from);
        let body = json!({"email": email, "password": password});
        answer(request.json(&body)).await
    }
}

async fn role(server: &Server, key: &str, name: &str) -> Value {
    let roles = server.send_as(key, Method::GET, "/api/roles", None).await;
    let roles = roles.ok();
    let mut roles = roles["data"].as_array().unwrap().iter();
    roles.find(|role| role["name"] == name).unwrap()["id"].clone()
}

async fn member(server: &Server, key: &str, email: &str, password: &str) -> Answer {
    let role = role(server, key, "member").await;
    let body = json!({"email": email, "name": "Ann", "role_id": role, "password": password});
    let path = "/api/members";
    server.send_as(key, Method::POST, path, Some(body)).await
}

async fn sign_in(server: &Server, body: Value) -> Answer {
    let request = server.request(Method::POST, "/api/sign-in");
    answer(request.json(&body)).await
}

/// In which organization somebody is who signed in.
async fn organization(server: &Server, signed_in: &Answer) -> Value {
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap();
    let request = server.request(Method::GET, "/api/whoami");
    let me = answer(request.header("cookie", cookie)).await.ok();
    me["organization_id"].clone()
}

async fn another_organization_neither_sees_nor_changes_an_account(server: Server) {
    let email = "ann@example.com";
    let ann = member(&server, &server.key, email, PASSWORD).await;
    let ours = server.get("/api/whoami").await.ok()["organization_id"].clone();
    let other = server.other_organization().await;
    let theirs = server
        .send_as(&other, Method::GET, "/api/whoami", None)
        .await;
    let theirs = theirs.ok()["organization_id"].clone();
    // Nobody there learns that the address has an account here: they make one of their own.
    let twin = member(&server, &other, email, OTHER_PASSWORD).await;
    assert_eq!(twin.status, StatusCode::CREATED, "{twin:?}");
    assert_ne!(twin.text("user_id"), ann.text("user_id"));
    let path = format!("/api/members/{}", ann.text("user_id"));
    let role = role(&server, &other, "admin").await;
    for (method, path, body) in [
        (
            Method::PUT,
            format!("{path}/password"),
            json!({"password": OTHER_PASSWORD}),
        ),
        (Method::PATCH, path.clone(), json!({"role_id": role})),
        (Method::GET, path.clone(), Value::Null),
        (Method::DELETE, path.clone(), Value::Null),
    ] {
        let refused = server
            .send_as(&other, method.clone(), &path, Some(body))
            .await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    // What they do with their own changes nothing here.
    let own = format!("/api/members/{}/password", twin.text("user_id"));
    let body = json!({"password": "yet another four words"});
    let changed = server.send_as(&other, Method::PUT, &own, Some(body)).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT);
    let right = sign_in(&server, json!({"email": email, "password": PASSWORD})).await;
    assert_eq!(organization(&server, &right).await, ours);
    for (password, organization_id, expected) in [
        (PASSWORD, &ours, StatusCode::OK),
        (PASSWORD, &theirs, StatusCode::UNAUTHORIZED),
        ("yet another four words", &ours, StatusCode::UNAUTHORIZED),
        ("yet another four words", &theirs, StatusCode::OK),
        (OTHER_PASSWORD, &theirs, StatusCode::UNAUTHORIZED),
    ] {
        let body =
            json!({"email": email, "password": password, "organization_id": organization_id});
        let answered = sign_in(&server, body).await;
        assert_eq!(answered.status, expected, "{password}");
        if answered.status == StatusCode::OK {
            assert_eq!(organization(&server, &answered).await, *organization_id);
        }
    }
    // The control: their own administrators do.
    let password = format!("{path}/password");
    let body = Some(json!({"password": OTHER_PASSWORD}));
    let changed = server.send(Method::PUT, &password, body).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT);
}

async fn the_address_of_a_member_who_was_removed_is_free_again(server: Server) {
    let email = "ann@example.com";
    let ann = member(&server, &server.key, email, PASSWORD).await;
    let taken = member(&server, &server.key, " ANN@example.com", PASSWORD).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    let path = format!("/api/members/{}", ann.text("user_id"));
    let removed = server.send(Method::DELETE, &path, None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    let again = member(&server, &server.key, email, OTHER_PASSWORD).await;
    assert_eq!(again.status, StatusCode::CREATED, "{again:?}");
    assert_ne!(again.text("user_id"), ann.text("user_id"));
    for (password, expected) in [
        (PASSWORD, StatusCode::UNAUTHORIZED),
        (OTHER_PASSWORD, StatusCode::OK),
    ] {
        let answered = sign_in(&server, json!({"email": email, "password": password})).await;
        assert_eq!(answered.status, expected, "{password}");
    }
}

async fn who_guesses_a_password_waits_and_its_owner_does_not(server: Server) {
    let email = "ann@example.com";
    member(&server, &server.key, email, PASSWORD).await.ok();
    let proxied = Proxied::start(&server, &["127.0.0.0/8"]).await;
    for account in [email, "nobody@example.com"] {
        for number in 0..5 {
            let wrong = proxied
                .sign_in("192.0.2.1", account, "a wrong password, again")
                .await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{account} {number}");
        }
        let limited = proxied
            .sign_in("192.0.2.1", account, "a wrong password, again")
            .await;
        assert_eq!(
            (limited.status, limited.text("code")),
            (StatusCode::TOO_MANY_REQUESTS, "too_many_failures")
        );
        let wait: u64 = limited.header("retry-after").parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
    }
    // The right one is not looked at from there, or whoever guesses would learn it; from elsewhere it is.
    let guessed = proxied.sign_in("192.0.2.1", email, PASSWORD).await;
    assert_eq!(guessed.status, StatusCode::TOO_MANY_REQUESTS);
    let right = proxied.sign_in("198.51.100.7", email, PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK, "{right:?}");
}

async fn where_a_request_came_from_is_what_a_trusted_proxy_says_and_nobody_else(server: Server) {
    let email = "ann@example.com";
    member(&server, &server.key, email, PASSWORD).await.ok();
    // Whoever is no proxy guesses no longer by saying that they are somebody else each time.
    let direct = Proxied::start(&server, &["192.0.2.0/24"]).await;
    let mut limited = 0;
    for number in 0..8 {
        let from = format!("203.0.113.{number}");
        let wrong = direct
            .sign_in(&from, email, "a wrong password, again")
            .await;
        limited += usize::from(wrong.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(limited, 3);
    let proxied = Proxied::start(&server, &["127.0.0.1/32", "10.0.0.0/8"]).await;
    let chain = "203.0.113.99, [2001:db8::7]:4711, 10.1.1.1";
    let right = proxied.sign_in(chain, email, PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK);
    let log = server.get("/api/audit-log").await.ok();
    let entries = log["data"].as_array().unwrap();
    let begun = entries
        .iter()
        .find(|entry| entry["action"] == "session.begin");
    assert_eq!(begun.expect("an entry")["address"], "2001:db8::7");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sign_ins_at_once_take_bounded_memory_and_hold_nobody_else_up() {
    let server = Server::sqlite().await;
    let proxied = Arc::new(Proxied::start(&server, &["127.0.0.0/8"]).await);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..100_u8 {
        let proxied = Arc::clone(&proxied);
        all.spawn(async move {
            let (from, email) = (format!("192.0.2.{number}"), format!("{number}@example.com"));
            proxied.sign_in(&from, &email, PASSWORD).await
        });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = std::time::Instant::now();
    assert_eq!(server.get("/api/whoami").await.status, StatusCode::OK);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let mut turned_away = 0;
    while let Some(answered) = all.join_next().await {
        let answered = answered.unwrap();
        match answered.status {
            StatusCode::UNAUTHORIZED => {}
            StatusCode::TOO_MANY_REQUESTS => {
                assert_eq!(answered.text("code"), "too_many_passwords");
                assert_eq!(answered.header("retry-after"), "2");
                turned_away += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(turned_away > 0);
}
