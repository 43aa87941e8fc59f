//! Where nobody is to get. Each has the same policy reach a page, so that a denial is one.

use bailiwick_fetch::FetchError;
use bailiwick_model::Reason;
use bailiwick_policy::{EgressPolicy, OrganizationFloor};

use crate::server::Server;
use crate::{World, answer};

async fn page() -> Server {
    Server::answering(answer("200 OK", &[], b"reached")).await
}

/// Fetches a page of a server that the world may reach, and then each of these.
async fn all_denied(world: World, port: u16, urls: &[(&str, Reason)]) {
    let url = |url: &str| url.replace("PORT", &port.to_string());
    assert_eq!(
        world.get(&url("http://docs.test:PORT/")).await.body(),
        b"reached"
    );
    for (text, reason) in urls {
        assert_eq!(world.get(&url(text)).await.denied(), *reason, "{text}");
    }
}

#[tokio::test]
async fn metadata_loopback_and_this_host_are_closed_however_they_are_written() {
    let server = page().await;
    let world = World::unrestricted().with("docs.test", &server);
    let urls = [
        ("http://127.0.0.1:PORT/", Reason::Floor),
        ("http://localhost:PORT/", Reason::Floor),
        ("http://[::1]:PORT/", Reason::Floor),
        ("http://[::ffff:127.0.0.1]:PORT/", Reason::Floor),
        ("http://[::ffff:7f00:1]:PORT/", Reason::Floor),
        ("http://[64:ff9b::127.0.0.1]:PORT/", Reason::Floor),
        ("http://2130706433:PORT/", Reason::Floor),
        ("http://0x7f.1:PORT/", Reason::Floor),
        ("http://0177.0.0.1:PORT/", Reason::Floor),
        ("http://0.0.0.0:PORT/", Reason::Floor),
        ("http://[::]:PORT/", Reason::Floor),
        ("http://169.254.169.254/latest/meta-data/", Reason::Floor),
        ("http://[::ffff:169.254.169.254]/", Reason::Floor),
        ("http://[fd00:ec2::254]/", Reason::Floor),
        ("http://metadata.google.internal/", Reason::Floor),
        ("http://168.63.129.16/", Reason::Floor),
        ("http://10.0.0.1/", Reason::PrivateAddress),
        ("http://[::ffff:10.0.0.1]/", Reason::PrivateAddress),
        ("http://192.168.0.1/", Reason::PrivateAddress),
        ("http://100.64.0.1/", Reason::PrivateAddress),
        ("http://[fd12::1]/", Reason::PrivateAddress),
    ];
    all_denied(world, server.port(), &urls).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_name_of_this_machine_that_is_not_pinned_leads_nowhere() {
    // `/etc/hosts` says what the name means, as a name server of an attacker's would.
    let server = page().await;
    let world = World::limited(&["docs.test", "localhost"]).with("docs.test", &server);
    all_denied(
        world,
        server.port(),
        &[("http://localhost:PORT/", Reason::Floor)],
    )
    .await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_no_rule_names_is_denied_with_what_would_change_that() {
    let server = page().await;
    let world = World::limited(&["docs.test"])
        .with("docs.test", &server)
        .with("notdocs.test", &server)
        .with("a.docs.test", &server)
        .with("docs.test.evil.test", &server);
    let urls = [
        ("http://notdocs.test:PORT/", Reason::NoRule),
        ("http://a.docs.test:PORT/", Reason::NoRule),
        ("http://docs.test.evil.test:PORT/", Reason::NoRule),
        ("http://93.184.215.14/", Reason::NoRule),
    ];
    let denied = world
        .get(&format!("http://a.docs.test:{}/", server.port()))
        .await;
    assert!(
        denied
            .flow()
            .hint
            .as_deref()
            .unwrap()
            .contains("a.docs.test")
    );
    // The same host in other words is the same host.
    for name in ["DOCS.test", "docs.test.", "d%6Fcs.test"] {
        let url = format!("http://{name}:{}/", server.port());
        assert_eq!(world.get(&url).await.body(), b"reached", "{name}");
    }
    all_denied(world, server.port(), &urls).await;
}

#[tokio::test]
async fn a_rule_for_a_port_opens_no_other() {
    let (server, other) = (page().await, page().await);
    let rule = format!("docs.test:{}", server.port());
    let world = World::limited(&[&rule])
        .with("docs.test", &server)
        .with("docs.test", &other);
    let url = format!("http://docs.test:{}/", other.port());
    assert_eq!(world.get(&url).await.denied(), Reason::NoRule);
    all_denied(
        world,
        server.port(),
        &[("http://docs.test/", Reason::NoRule)],
    )
    .await;
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn the_organizations_floor_and_denied_hosts_come_before_every_rule() {
    let server = page().await;
    let world = World {
        policy: EgressPolicy {
            denied_hosts: vec!["denied.test".parse().unwrap()],
            ..EgressPolicy::unrestricted()
        },
        floor: OrganizationFloor {
            denied_hosts: vec!["*.prod.test".parse().unwrap()],
            ..OrganizationFloor::empty()
        },
        ..World::unrestricted()
    };
    let world = world
        .with("docs.test", &server)
        .with("denied.test", &server)
        .with("db.prod.test", &server);
    let urls = [
        ("http://denied.test:PORT/", Reason::DeniedRule),
        ("http://db.prod.test:PORT/", Reason::OrganizationFloor),
    ];
    all_denied(world, server.port(), &urls).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_policy_that_allows_nothing_allows_nothing() {
    let server = page().await;
    let world = World::limited(&[]).with("docs.test", &server);
    let url = format!("http://docs.test:{}/", server.port());
    assert_eq!(world.get(&url).await.denied(), Reason::NoRule);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn user_information_and_other_schemes_are_no_pages() {
    let server = page().await;
    let world = World::limited(&["docs.test"]).with("docs.test", &server);
    let port = server.port();
    for url in [
        format!("http://docs.test@evil.test:{port}/"),
        format!("http://user:key@docs.test:{port}/"),
        format!("ftp://docs.test:{port}/"),
        format!("ws://docs.test:{port}/"),
        "file:///etc/passwd".to_owned(),
    ] {
        let got = world.get(&url).await;
        assert!(matches!(got.error(), FetchError::Url), "{url}");
        assert_eq!(got.flows.len(), 0);
    }
    assert_eq!(server.connections(), 0);
}
