//! Requests that try to lead a secret elsewhere, or to be read in two ways.

use bailiwick_model::{FlowNote, Reason};

use crate::world::{NAME, SECRET, World, placeholder, read_all, read_head, send};

/// Sends `head`, which must be refused before anything reaches the server.
async fn refused(head: &str, reason: Reason) {
    let world = World::new().await;
    let (mut client, mut server) = world.both().await;
    send(&mut client, head).await;
    let answer = read_all(&mut client).await;
    assert!(answer.contains(" 403 Forbidden\r\n"), "{head:?}: {answer}");
    assert!(
        answer.contains(&format!("\"reason\":\"{}\"", reason.code())),
        "{head:?}: {answer}"
    );
    assert!(!answer.contains(SECRET));
    assert_eq!(read_all(&mut server).await, "", "{head:?}");
    let flow = world.flow().await;
    assert_eq!(
        (flow.reason, &flow.notes[..]),
        (reason, &[FlowNote::Inspected][..]),
        "{head:?}"
    );
}

#[tokio::test]
async fn a_request_for_another_host_is_blocked() {
    let own = placeholder();
    for head in [
        format!("GET / HTTP/1.1\r\nHost: evil.test\r\nX-Key: {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}.evil.test\r\nX-Key: {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}:1\r\nX-Key: {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: user@{NAME}\r\nX-Key: {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nHost: evil.test\r\nX-Key: {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nX-Key: {own}\r\n\r\n"),
        format!("GET / HTTP/1.0\r\nX-Key: {own}\r\n\r\n"),
        format!("GET https://evil.test/ HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
        format!("GET http://{NAME}/ HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
        format!("GET https://{NAME}/ HTTP/1.1\r\nHost: evil.test\r\nX-Key: {own}\r\n\r\n"),
    ] {
        refused(&head, Reason::HostMismatch).await;
    }
}

#[tokio::test]
async fn connect_trace_and_codings_that_frame_differently_are_blocked() {
    let own = placeholder();
    for head in [
        format!("TRACE / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
        format!("TRACK / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
        format!("CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
    ] {
        refused(&head, Reason::CredentialRequest).await;
    }
}

#[tokio::test]
async fn the_host_in_another_spelling_or_an_absolute_uri_is_the_same_host() {
    let own = placeholder();
    for target in ["/", &format!("https://{NAME}/")] {
        for host in [NAME, "SERVER.test", &format!("{NAME}.")] {
            let world = World::new().await;
            let (mut client, mut server) = world.both().await;
            send(
                &mut client,
                &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Key: {own}\r\n\r\n"),
            )
            .await;
            let (head, _) = read_head(&mut server).await;
            assert!(
                head.starts_with("GET / HTTP/1.1\r\n") && head.contains(SECRET),
                "{head}"
            );
        }
    }
}

#[tokio::test]
async fn a_second_request_hidden_in_a_body_stays_a_body() {
    let own = placeholder();
    let hidden = format!("GET /hidden HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n");
    for framing in [
        // The one that both have to believe is Transfer-Encoding.
        format!(
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
            hidden.len()
        ),
        format!(
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
            hidden.len()
        ),
    ] {
        let world = World::new().await;
        let (mut client, mut server) = world.both().await;
        send(
            &mut client,
            &format!("POST / HTTP/1.1\r\nHost: {NAME}\r\n{framing}"),
        )
        .await;
        let (head, _) = read_head(&mut server).await;
        let head = head.to_lowercase();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(!head.contains("content-length"), "{head}");
    }
}

#[tokio::test]
async fn heads_that_two_readers_split_differently_reach_nobody() {
    let own = placeholder();
    for head in [
        format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Key : {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: a\r\n {own}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: a\0{own}\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
        ),
        format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: +1\r\n\r\na"),
        "not HTTP at all\r\n\r\n".to_owned(),
        "\u{1}\u{2}\u{3}\u{4}".repeat(10),
    ] {
        let world = World::new().await;
        let (mut client, mut server) = world.both().await;
        send(&mut client, &head).await;
        let answer = read_all(&mut client).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{head:?}: {answer}"
        );
        assert_eq!(read_all(&mut server).await, "", "{head:?}");
        assert_eq!(
            world.flow().await.reason,
            Reason::CredentialRequest,
            "{head:?}"
        );
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_given_up_and_costs_a_bounded_buffer() {
    let world = World::new().await;
    let (client, mut server) = world.both().await;
    let (mut reader, mut writer) = tokio::io::split(client);
    let sending = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let _ = writer
            .write_all(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n").as_bytes())
            .await;
        let mut sent = 0;
        while sent < 64 * 1024 * 1024 {
            let line = format!("X-{sent}: {}\r\n", "x".repeat(1000));
            if writer.write_all(line.as_bytes()).await.is_err() {
                break;
            }
            sent += line.len();
        }
        sent
    });
    let answer = read_all(&mut reader).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert!(sending.await.unwrap() < 8 * 1024 * 1024);
    assert_eq!(read_all(&mut server).await, "");
}
