//! Credentials and policies that change while a connection is open.

use std::io::ErrorKind;
use std::sync::Arc;

use bailiwick_model::{FlowNote, Reason};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, InForce, OrganizationFloor, Policy, Projections, SessionGrants,
};

use tokio::io::AsyncReadExt as _;

use crate::world::{
    Client, NAME, Plan, SECRET, Server, World, in_force, patient, placeholder, policy, read_head,
    read_until, send, unchunked,
};

async fn key_at_server(client: &mut Client, server: &mut Server) -> String {
    send(
        client,
        &format!(
            "GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {}\r\n\r\n",
            placeholder()
        ),
    )
    .await;
    let (head, _) = read_head(server).await;
    send(server, "HTTP/1.1 204 No Content\r\n\r\n").await;
    read_head(client).await;
    let key = head.lines().find_map(|line| line.strip_prefix("X-Key: "));
    key.expect("the field").to_owned()
}

#[tokio::test]
async fn a_rotated_secret_and_a_removed_credential_count_from_the_next_request() {
    let world = World::new().await;
    let (mut client, mut server) = world.both().await;
    assert_eq!(key_at_server(&mut client, &mut server).await, SECRET);
    world
        .in_force
        .send_replace(in_force(&Plan::default(), "another-secret"));
    assert_eq!(
        key_at_server(&mut client, &mut server).await,
        "another-secret"
    );
    world.in_force.send_replace(InForce {
        policy: policy(),
        projections: Arc::new(Projections::new(Vec::new(), Vec::new())),
    });
    assert_eq!(key_at_server(&mut client, &mut server).await, placeholder());
}

#[tokio::test]
async fn a_removed_credential_is_not_put_into_a_body_that_is_being_sent() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    let chunk = format!("{:x}\r\n{own}\r\n", own.len());
    send(
        &mut client,
        &format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
    )
    .await;
    let (_, rest) = read_head(&mut server).await;
    let begun = read_until(&mut server, rest, &format!("{SECRET}\r\n")).await;
    world.in_force.send_replace(policy().into());
    send(&mut client, &format!("{chunk}0\r\n\r\n")).await;
    let whole = read_until(&mut server, begun.into_bytes(), "0\r\n\r\n").await;
    assert_eq!(unchunked(&whole), format!("{SECRET}{own}"));
}

#[tokio::test]
async fn a_connection_that_a_new_policy_denies_is_cut() {
    let world = World::new().await;
    let (mut client, mut server) = world.both().await;
    assert_eq!(key_at_server(&mut client, &mut server).await, SECRET);
    let nothing = Policy::compile(
        EffectivePolicy {
            policy: EgressPolicy::limited(),
            source: bailiwick_model::PolicySource::OrganizationDefault,
        },
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    );
    world.in_force.send_replace(InForce {
        policy: Arc::new(nothing),
        projections: in_force(&Plan::default(), SECRET).projections,
    });
    let broken = patient(client.read(&mut [0])).await.unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    let flow = world.flow().await;
    assert_eq!(flow.reason, Reason::NoRule);
    assert_eq!(flow.notes, [FlowNote::Inspected, FlowNote::CutByPolicy]);
}

#[tokio::test]
async fn a_sandbox_without_credentials_reaches_the_server_itself() {
    let world = World::new().await;
    world.in_force.send_replace(policy().into());
    // The client trusts the sandbox's authority alone, which did not sign what the server shows.
    let (client, ()) = tokio::join!(world.connect(NAME, &["http/1.1"]), async {
        let (stream, _) = world.listener.accept().await.unwrap();
        assert!(world.acceptor.accept(stream).await.is_err());
    });
    assert!(client.unwrap_err().to_string().contains("UnknownIssuer"));
}

/// An answer that is open while secrets are replaced tells neither the one that its request had nor those that came after.
#[tokio::test]
async fn an_open_answer_tells_neither_the_secrets_of_before_nor_those_that_came_since() {
    const ALL: [&str; 3] = [SECRET, "second-secret", "third-secret"];
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n");
    send(&mut client, &request).await;
    read_head(&mut server).await;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    send(&mut server, &format!("{head}{}", chunk("begun "))).await;
    let (_, rest) = read_head(&mut client).await;
    let mut whole = read_until(&mut client, rest, "begun \r\n").await;
    let mut known = 1;
    let mut expected = "begun ".to_owned();
    let stars = |secret: &str| "*".repeat(secret.len());
    for secret in &ALL[1..] {
        world
            .in_force
            .send_replace(in_force(&Plan::default(), secret));
        known += 1;
        // One of them comes in two pieces.
        let (beginning, end) = secret.split_at(5);
        let text = format!("{} and {beginning}", ALL.join(" "));
        send(&mut server, &chunk(&text)).await;
        send(&mut server, &chunk(&format!("{end} word{known} "))).await;
        whole = read_until(
            &mut client,
            whole.into_bytes(),
            &format!("word{known} \r\n"),
        )
        .await;
        // One that is none yet is a text like any other.
        let shown = (0..ALL.len()).map(|number| match ALL[number] {
            secret if number < known => stars(secret),
            text => text.to_owned(),
        });
        let shown = shown.collect::<Vec<_>>().join(" ");
        expected += &format!("{shown} and {} word{known} ", stars(secret));
    }
    world.in_force.send_replace(InForce {
        policy: policy(),
        projections: Arc::new(Projections::new(Vec::new(), Vec::new())),
    });
    send(&mut server, &chunk(&format!("{} last", ALL.join(" ")))).await;
    send(&mut server, "0\r\n\r\n").await;
    let whole = read_until(&mut client, whole.into_bytes(), "0\r\n\r\n").await;
    expected += &format!("{} last", ALL.map(stars).join(" "));
    assert_eq!(unchunked(&whole), expected);
}

/// What goes through after a switch to a WebSocket is searched for the secrets of now and of before.
#[tokio::test]
async fn an_open_websocket_tells_neither_the_secret_of_before_nor_the_one_that_came_since() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    send(&mut client, &format!(
        "GET /ws HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\nAuthorization: Bearer {own}\r\n\r\n"
    )).await;
    read_head(&mut server).await;
    send(&mut server, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n").await;
    let (_, rest) = read_head(&mut client).await;
    let other = "another-secret";
    send(&mut server, &format!("{other} is a text")).await;
    let told = read_until(&mut client, rest, "text").await;
    assert_eq!(told, format!("{other} is a text"), "control");
    world
        .in_force
        .send_replace(in_force(&Plan::default(), other));
    send(&mut server, &format!("{SECRET} and {other} are none")).await;
    let told = read_until(&mut client, Vec::new(), "none").await;
    let stars = |secret: &str| "*".repeat(secret.len());
    assert_eq!(
        told,
        format!("{} and {} are none", stars(SECRET), stars(other))
    );
}
