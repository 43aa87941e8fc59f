//! Who is spoken to: server names, certificates of servers, and what is no HTTP.

use bailiwick_egress::SandboxLimits;
use bailiwick_model::{FlowNote, Reason};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::world::{NAME, Plan, SECRET, World, patient, placeholder, read_all, read_head, send};

/// The client's TLS fails, the server sees no HTTP, and the flow says why.
async fn refused(world: &World, name: &str, protocols: &[&str], reason: Reason) {
    let serving = async {
        let (stream, _) = world.listener.accept().await.expect("a connection");
        match world.acceptor.accept(stream).await {
            Ok(mut server) => read_all(&mut server).await,
            Err(_) => String::new(),
        }
    };
    let (client, seen) = tokio::join!(world.connect(name, protocols), patient(serving));
    assert!(client.is_err());
    assert_eq!(seen, "", "nothing but TLS reached the server");
    let flow = world.flow().await;
    assert_eq!(
        (flow.reason, &flow.notes[..]),
        (reason, &[FlowNote::Inspected][..]),
        "{:?}",
        flow.hint
    );
}

#[tokio::test]
async fn a_server_name_that_is_not_the_name_that_was_dialled_is_blocked() {
    refused(
        &World::new().await,
        "evil.test",
        &["http/1.1"],
        Reason::SniMismatch,
    )
    .await;
}

#[tokio::test]
async fn no_secret_goes_to_a_server_whose_certificate_is_not_trusted() {
    for plan in [
        Plan {
            trusted: false,
            ..Plan::default()
        },
        Plan {
            expired: true,
            ..Plan::default()
        },
        Plan {
            certified: vec!["evil.test".to_owned()],
            ..Plan::default()
        },
    ] {
        let world = World::with(plan).await;
        refused(&world, NAME, &["http/1.1"], Reason::UpstreamCertificate).await;
    }
}

#[tokio::test]
async fn a_client_that_offers_no_http_is_blocked() {
    let plan = Plan {
        protocols: &[],
        ..Plan::default()
    };
    refused(
        &World::with(plan).await,
        NAME,
        &["postgresql"],
        Reason::CredentialRequest,
    )
    .await;
}

#[tokio::test]
async fn a_client_that_names_no_protocol_is_served_http1() {
    let world = World::with(Plan {
        protocols: &[],
        ..Plan::default()
    })
    .await;
    let (client, server) = tokio::join!(world.connect(NAME, &[]), world.accept());
    let (mut client, mut server) = (client.unwrap(), server);
    send(
        &mut client,
        &format!(
            "GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {}\r\n\r\n",
            placeholder()
        ),
    )
    .await;
    assert!(read_head(&mut server).await.0.contains(SECRET));
}

#[tokio::test]
async fn both_sides_speak_what_the_server_chose() {
    let world = World::with(Plan {
        protocols: &["http/1.1"],
        ..Plan::default()
    })
    .await;
    let (client, _server) = tokio::join!(world.connect(NAME, &["h2", "http/1.1"]), world.accept());
    assert_eq!(
        client.unwrap().get_ref().1.alpn_protocol(),
        Some(&b"http/1.1"[..])
    );
    let world = World::with(Plan {
        protocols: &["h2"],
        ..Plan::default()
    })
    .await;
    let (client, _server) = tokio::join!(world.connect(NAME, &["h2", "http/1.1"]), world.accept());
    assert_eq!(
        client.unwrap().get_ref().1.alpn_protocol(),
        Some(&b"h2"[..])
    );
}

#[tokio::test]
async fn a_server_that_speaks_first_within_tls_is_cut_off_and_not_left_hanging() {
    let world = World::new().await;
    let (mut client, mut server) = world.both().await;
    send(&mut server, "* OK IMAP4rev1 ready\r\n").await;
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(world.flow().await.reason, Reason::CredentialRequest);
}

#[tokio::test]
async fn without_tls_no_secret_goes_out() {
    let (world, own) = (World::new().await, placeholder());
    let mut client = TcpStream::connect(world.relay).await.unwrap();
    let port = world.port;
    send(
        &mut client,
        &format!("GET / HTTP/1.1\r\nHost: {NAME}:{port}\r\nX-Key: {own}\r\n\r\n"),
    )
    .await;
    let (mut server, _) = patient(world.listener.accept()).await.unwrap();
    let (head, _) = read_head(&mut server).await;
    assert!(head.contains(&own) && !head.contains(SECRET), "{head}");
    drop((client, server));
    assert_eq!(world.flow().await.notes, []);
}

#[tokio::test]
async fn a_server_that_speaks_first_without_tls_is_relayed_at_once() {
    let world = World::new().await;
    let mut client = TcpStream::connect(world.relay).await.unwrap();
    let (mut server, _) = patient(world.listener.accept()).await.unwrap();
    send(&mut server, "SSH-2.0-x\r\n").await;
    assert_eq!(
        crate::world::read_until(&mut client, Vec::new(), "x\r\n").await,
        "SSH-2.0-x\r\n"
    );
    send(&mut client, "SSH-2.0-y\r\n").await;
    assert_eq!(
        crate::world::read_until(&mut server, Vec::new(), "y\r\n").await,
        "SSH-2.0-y\r\n"
    );
}

#[tokio::test]
async fn a_hello_in_single_bytes_is_looked_into_like_any_other() {
    let world = World::new().await;
    let mut client = TcpStream::connect(world.relay).await.unwrap();
    client.write_all(&[22]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    client.write_all(&[3, 1, 0, 4, 1, 0, 0, 0]).await.unwrap();
    // An empty hello is malformed: rustls says so, and nothing of it reaches the server.
    let (mut server, _) = patient(world.listener.accept()).await.unwrap();
    let mut answer = Vec::new();
    let _ = patient(tokio::io::AsyncReadExt::read_to_end(
        &mut client,
        &mut answer,
    ))
    .await;
    assert_eq!(answer.first(), Some(&21), "an alert");
    assert_eq!(read_all(&mut server).await, "");
    assert_eq!(world.flow().await.reason, Reason::SniMismatch);
}

#[tokio::test]
async fn a_side_that_says_nothing_is_ended_by_the_idle_timeout() {
    let limits = SandboxLimits {
        idle_timeout: Duration::from_millis(200),
        ..SandboxLimits::default()
    };
    let world = World::with(Plan {
        limits,
        ..Plan::default()
    })
    .await;
    let (mut client, mut server) = world.both().await;
    send(
        &mut client,
        &format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
    )
    .await;
    read_head(&mut server).await;
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(
        world.flow().await.notes,
        [FlowNote::Inspected, FlowNote::IdleTimeout]
    );
}
