//! HTTP/1.1: what arrives at the server, and what of it comes back.

use bailiwick_model::{FlowNote, Reason, SecretText};
use bailiwick_policy::{HeaderFields, HeaderProjection};
use tokio::io::AsyncWriteExt as _;

use crate::world::{
    NAME, Plan, SECRET, World, placeholder, read_all, read_head, read_until, send, unchunked,
};

/// Sends a head and returns what the server got, with the connection.
async fn sent(world: &World, head: &str) -> String {
    let (mut client, mut server) = world.both().await;
    send(&mut client, head).await;
    let (head, _) = read_head(&mut server).await;
    send(&mut server, "HTTP/1.1 204 No Content\r\n\r\n").await;
    let (answer, _) = read_head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    head
}

#[tokio::test]
async fn the_server_gets_the_secret_and_the_client_never_had_it() {
    let (world, own) = (World::new().await, placeholder());
    let head = format!(
        "GET /{own}?q={own} HTTP/1.1\r\nHost: {NAME}\r\nX-API-Key: {own}\r\nauthorization: Bearer {own}\r\nConnection: keep-alive\r\n\r\n"
    );
    let head = sent(&world, &head).await;
    assert!(head.contains(&format!("X-API-Key: {SECRET}\r\n")), "{head}");
    assert!(
        head.contains(&format!("authorization: Bearer {SECRET}\r\n")),
        "{head}"
    );
    assert!(
        head.starts_with(&format!("GET /{own}?q={own} HTTP/1.1\r\n")),
        "{head}"
    );
}

#[tokio::test]
async fn a_flow_says_that_the_connection_was_looked_into_and_nothing_of_the_secret() {
    let (world, own) = (World::new().await, placeholder());
    sent(
        &world,
        &format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
    )
    .await;
    let flow = world.flow().await;
    assert_eq!(
        (flow.reason, &flow.notes[..]),
        (Reason::Pinned, &[FlowNote::Inspected][..])
    );
    assert!(flow.bytes_out > 100 && flow.bytes_in > 100);
    assert!(!serde_json::to_string(&flow).unwrap().contains(SECRET));
}

#[tokio::test]
async fn a_placeholder_in_a_name_or_in_a_field_that_is_not_listed_goes_out_as_it_is() {
    let own = placeholder();
    let world = World::with(Plan {
        fields: HeaderFields::Named(vec!["authorization".parse().unwrap()]),
        ..Plan::default()
    })
    .await;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {NAME}\r\nX-{own}: 1\r\nX-Key: {own}\r\nAuthorization: {own}\r\n\r\n"
    );
    let head = sent(&world, &head).await;
    assert_eq!(head.matches(SECRET).count(), 1, "{head}");
    assert!(
        head.contains(&format!("Authorization: {SECRET}\r\n")),
        "{head}"
    );
}

#[tokio::test]
async fn a_header_is_set_for_its_paths_whatever_was_sent() {
    let world = World::with(Plan {
        headers: vec![HeaderProjection {
            host: NAME.parse().unwrap(),
            path: "/owner/name".parse().unwrap(),
            name: "authorization".parse().unwrap(),
            value: SecretText::new(format!("Bearer {SECRET}")),
        }],
        ..Plan::default()
    })
    .await;
    let head =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: own\r\n\r\n");
    let covered = sent(
        &world,
        &head("/owner/name.git/info/refs?service=git-upload-pack"),
    )
    .await;
    assert!(
        covered
            .to_lowercase()
            .contains(&format!("authorization: bearer {SECRET}").to_lowercase()),
        "{covered}"
    );
    assert!(!covered.contains("own\r\n"), "{covered}");
    for other in [
        "/owner/name/../x",
        "/owner/namex",
        "/owner/name/%2e%2e/x",
        "//owner/name",
    ] {
        let head = sent(&world, &head(other)).await;
        assert!(!head.contains(SECRET), "{head}");
        assert!(head.contains("Authorization: own\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_small_body_is_replaced_and_its_new_length_announced() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    let body = format!("{{\"key\":\"{own}\"}}");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    send(&mut client, &head).await;
    for byte in body.bytes() {
        client.write_all(&[byte]).await.unwrap();
        client.flush().await.unwrap();
    }
    let (head, rest) = read_head(&mut server).await;
    let expected = format!("{{\"key\":\"{SECRET}\"}}");
    assert_eq!(read_until(&mut server, rest, "}").await, expected);
    let length = format!("content-length: {}\r\n", expected.len());
    assert!(head.to_lowercase().contains(&length), "{head}");
}

#[tokio::test]
async fn a_body_in_chunks_is_replaced_over_their_borders_while_it_is_still_being_sent() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    send(
        &mut client,
        &format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n"),
    )
    .await;
    let (first, second) = own.split_at(own.len() / 2);
    send(
        &mut client,
        &format!("{:x}\r\n<{first}\r\n", first.len() + 1),
    )
    .await;
    let (head, rest) = read_head(&mut server).await;
    assert!(
        head.to_lowercase().contains("transfer-encoding: chunked"),
        "{head}"
    );
    let begun = read_until(&mut server, rest, "\r\n<\r\n").await;
    send(
        &mut client,
        &format!("{:x}\r\n{second}>\r\n0\r\n\r\n", second.len() + 1),
    )
    .await;
    let whole = read_until(&mut server, begun.into_bytes(), "0\r\n\r\n").await;
    assert_eq!(unchunked(&whole), format!("<{SECRET}>"));
}

#[tokio::test]
async fn a_large_body_of_a_known_length_goes_on_in_chunks() {
    let (world, own) = (World::new().await, placeholder());
    let (client, mut server) = world.both().await;
    let filler = "x".repeat(100_000);
    let body = format!("{filler}{own}{filler}");
    let (mut reader, mut writer) = tokio::io::split(client);
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let sending = tokio::spawn(async move { writer.write_all(head.as_bytes()).await });
    let (head, rest) = read_head(&mut server).await;
    assert!(!head.to_lowercase().contains("content-length"), "{head}");
    let whole = read_until(&mut server, rest, "0\r\n\r\n").await;
    assert_eq!(unchunked(&whole), format!("{filler}{SECRET}{filler}"));
    sending.await.unwrap().unwrap();
    send(&mut server, "HTTP/1.1 204 No Content\r\n\r\n").await;
    read_head(&mut reader).await;
}

#[tokio::test]
async fn a_packed_body_and_one_of_a_credential_for_headers_go_out_as_they_are() {
    let own = placeholder();
    for (body, coding) in [(true, "Content-Encoding: gzip\r\n"), (false, "")] {
        let world = World::with(Plan {
            body,
            ..Plan::default()
        })
        .await;
        let (mut client, mut server) = world.both().await;
        let length = own.len();
        send(
            &mut client,
            &format!(
                "POST / HTTP/1.1\r\nHost: {NAME}\r\n{coding}Content-Length: {length}\r\n\r\n{own}"
            ),
        )
        .await;
        let (_, rest) = read_head(&mut server).await;
        assert_eq!(read_until(&mut server, rest, &own).await, own);
    }
}

#[tokio::test]
async fn what_an_api_reflects_comes_back_without_the_secret() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    send(&mut client, &format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nAccept-Encoding: gzip\r\nTE: trailers\r\nX-Key: {own}\r\n\r\n")).await;
    let (head, _) = read_head(&mut server).await;
    assert!(
        head.to_lowercase()
            .contains("accept-encoding: identity\r\n"),
        "{head}"
    );
    let (first, second) = SECRET.split_at(7);
    send(&mut server, &format!(
        "HTTP/1.1 200 {SECRET}\r\nX-Echo: a {SECRET} b\r\nX-{SECRET}: 1\r\nTrailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n<{first}\r\n",
        first.len() + 1
    )).await;
    let (head, rest) = read_head(&mut client).await;
    send(
        &mut server,
        &format!(
            "{:x}\r\n{second}>\r\n0\r\nX-Late: {SECRET}\r\n\r\n",
            second.len() + 1
        ),
    )
    .await;
    let rest = read_until(&mut client, rest, "\r\n\r\n").await;
    let told = format!("{head}{rest}");
    assert!(
        !told.to_lowercase().contains(&SECRET.to_lowercase()),
        "{told}"
    );
    assert!(!rest.contains(first) && !rest.contains(second), "{rest}");
    assert!(
        head.contains(&format!("X-Echo: a {} b\r\n", "*".repeat(SECRET.len()))),
        "{head}"
    );
}

#[tokio::test]
async fn an_answer_keeps_the_length_that_was_announced() {
    let world = World::new().await;
    let (mut client, mut server) = world.both().await;
    send(
        &mut client,
        &format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nRange: bytes=0-99\r\n\r\n"),
    )
    .await;
    let (head, _) = read_head(&mut server).await;
    assert!(head.contains("Range: bytes=0-99\r\n"), "{head}");
    let body = format!("[{SECRET}]");
    let length = body.len();
    send(&mut server, &format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-{}/999\r\nContent-Length: {length}\r\n\r\n{body}", length - 1)).await;
    let (head, rest) = read_head(&mut client).await;
    assert!(
        head.contains(&format!("Content-Length: {length}\r\n")),
        "{head}"
    );
    assert_eq!(
        read_until(&mut client, rest, "]").await,
        format!("[{}]", "*".repeat(SECRET.len()))
    );
}

#[tokio::test]
async fn an_answer_without_a_body_has_none_whatever_length_it_announces() {
    let world = World::new().await;
    let (mut client, mut server) = world.both().await;
    for (method, status) in [
        ("HEAD", "200 OK"),
        ("GET", "304 Not Modified"),
        ("HEAD", "200 OK"),
    ] {
        send(
            &mut client,
            &format!("{method} / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
        )
        .await;
        read_head(&mut server).await;
        send(
            &mut server,
            &format!("HTTP/1.1 {status}\r\nContent-Length: 1234\r\n\r\n"),
        )
        .await;
        let (head, rest) = read_head(&mut client).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")) && rest.is_empty());
        assert!(
            method == "GET" || head.contains("Content-Length: 1234\r\n"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    for number in 0..5 {
        send(
            &mut client,
            &format!("GET /{number} HTTP/1.1\r\nHost: {NAME}\r\nX-Key: {own}\r\n\r\n"),
        )
        .await;
        let (head, _) = read_head(&mut server).await;
        assert!(
            head.starts_with(&format!("GET /{number} ")) && head.contains(SECRET),
            "{head}"
        );
        send(
            &mut server,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
        let (_, rest) = read_head(&mut client).await;
        assert_eq!(read_until(&mut client, rest, "ok").await, "ok");
    }
    drop(server);
    assert_eq!(read_all(&mut client).await, "");
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    let length = own.len();
    send(&mut client, &format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")).await;
    let (head, _) = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 100"), "{head}");
    send(&mut client, &own).await;
    let (_, rest) = read_head(&mut server).await;
    assert_eq!(read_until(&mut server, rest, SECRET).await, SECRET);
}

#[tokio::test]
async fn after_a_switch_to_a_websocket_no_secret_goes_out_and_none_comes_back() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    send(&mut client, &format!(
        "GET /ws HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\nAuthorization: Bearer {own}\r\n\r\n"
    )).await;
    let (head, _) = read_head(&mut server).await;
    assert!(
        head.contains(SECRET) && head.to_lowercase().contains("upgrade: websocket"),
        "{head}"
    );
    send(&mut server, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n").await;
    let (head, rest) = read_head(&mut client).await;
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("Sec-WebSocket-Accept: x"),
        "{head}"
    );
    send(&mut client, &own).await;
    assert_eq!(read_until(&mut server, Vec::new(), &own).await, own);
    send(&mut server, &format!("{SECRET} to the client")).await;
    let told = read_until(&mut client, rest, "client").await;
    assert_eq!(told, format!("{} to the client", "*".repeat(SECRET.len())));
    drop(server);
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(world.flow().await.reason, Reason::Pinned);
}

/// What a server packs of a WebSocket's messages, or of those in a body, could not be searched: nobody asks it to.
#[tokio::test]
async fn no_server_is_asked_to_pack_messages_that_have_to_be_searched() {
    let (world, own) = (World::new().await, placeholder());
    let (mut client, mut server) = world.both().await;
    send(&mut client, &format!(
        "GET /ws HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\
         Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: x-other\r\nsec-websocket-extensions: permessage-deflate\r\n\
         Grpc-Accept-Encoding: gzip\r\nConnect-Accept-Encoding: br\r\nAuthorization: Bearer {own}\r\n\r\n"
    )).await;
    let (head, _) = read_head(&mut server).await;
    assert!(head.contains(SECRET), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains("sec-websocket-protocol: chat\r\n"), "{head}");
    for packing in ["-extensions", "deflate", "x-other", "gzip", "br\r\n"] {
        assert!(!head.contains(packing), "{packing}: {head}");
    }
}

#[tokio::test]
async fn an_upgrade_to_anything_else_is_not_passed_on() {
    let world = World::new().await;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    );
    let head = sent(&world, &head).await.to_lowercase();
    assert!(
        !head.contains("upgrade") && !head.contains("http2-settings"),
        "{head}"
    );
}
