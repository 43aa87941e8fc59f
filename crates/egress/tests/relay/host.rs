//! Plain HTTP to a name must be for that name, in every request.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use bailiwick_model::Reason;
use bailiwick_model::limits::UNDECIDED_GRACE;

use crate::world::{World, echo, in_time, read_all, read_exact, server};

/// The requests are forwarded: the server echoes them.
fn passes(requests: &str) {
    let world = World::for_server(echo());
    let port = world.port();
    let requests = requests.replace("PORT", &port.to_string());
    let mut client = world.connect();
    client.write_all(requests.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(read_exact(&client, requests.len())).unwrap(),
        requests
    );
}

/// The first request is answered in JSON, and not one byte of it is forwarded.
fn is_blocked(requests: &str) {
    let mut world = World::for_server(echo());
    let requests = requests.replace("PORT", &world.port().to_string());
    let mut client = world.connect();
    client.write_all(requests.as_bytes()).unwrap();
    let answer = String::from_utf8(read_all(&client)).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 403 "),
        "{requests:?} got {answer:?}"
    );
    assert!(answer.contains("host_mismatch"), "{answer:?}");
    let flow = world.flow();
    assert_eq!(
        (flow.reason, flow.bytes_out),
        (Reason::HostMismatch, 0),
        "{requests:?}"
    );
}

/// What came back from the server, without a refusal at the end.
fn echoed(answer: &str) -> &str {
    answer.split("HTTP/1.1 403 ").next().unwrap_or_default()
}

/// `first` goes through; nothing of `second` does.
fn second_is_blocked(first: &str, second: &str) {
    let mut world = World::for_server(echo());
    let mut client = world.connect();
    client
        .write_all([first, second].concat().as_bytes())
        .unwrap();
    let answer = String::from_utf8(read_all(&client)).unwrap();
    assert!(!echoed(&answer).contains("evil"), "{answer:?}");
    assert_eq!((world.flow().reason), Reason::HostMismatch);
}

#[test]
fn the_name_that_was_connected_to_passes() {
    passes("GET / HTTP/1.1\r\nHost: server.test\r\n\r\n");
    passes("GET / HTTP/1.1\r\nHost: server.test:PORT\r\nAccept: */*\r\n\r\n");
    passes("GET / HTTP/1.1\r\nhOsT:SERVER.test.\r\n\r\n");
    passes("GET http://server.test:PORT/x HTTP/1.1\r\nHost: server.test\r\n\r\n");
    passes("OPTIONS * HTTP/1.1\r\nHost: server.test\r\n\r\n");
    passes("\r\nGET / HTTP/1.0\r\nHost: server.test\r\n\r\n");
}

#[test]
fn bodies_and_pipelines_pass() {
    passes(
        "POST / HTTP/1.1\r\nHost: server.test\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: server.test\r\n\r\n",
    );
    passes(
        "POST / HTTP/1.1\r\nHost: server.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\nHost: server.test\r\n\r\n",
    );
    let body = "x".repeat(300_000);
    passes(&format!(
        "PUT / HTTP/1.1\r\nHost: server.test\r\nContent-Length: 300000\r\n\r\n{body}GET / HTTP/1.1\r\nHost: server.test\r\n\r\n"
    ));
}

#[test]
fn another_host_is_blocked() {
    for host in [
        "evil.test",
        "notserver.test",
        "server.test.evil.test",
        "127.0.0.1",
        "server.test:1",
        "user@server.test",
        "server.test, evil.test",
        "",
    ] {
        is_blocked(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
}

#[test]
fn no_host_and_two_hosts_are_blocked() {
    is_blocked("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n");
    is_blocked("GET / HTTP/1.1\r\nHost: server.test\r\nHost: evil.test\r\n\r\n");
    is_blocked("GET / HTTP/1.1\r\nHost: evil.test\r\nHost: server.test\r\n\r\n");
}

#[test]
fn another_target_is_blocked() {
    is_blocked("GET http://evil.test/ HTTP/1.1\r\nHost: server.test\r\n\r\n");
    is_blocked("GET http://server.test@evil.test/ HTTP/1.1\r\nHost: server.test\r\n\r\n");
    is_blocked("GET https://server.test/ HTTP/1.1\r\nHost: server.test\r\n\r\n");
    is_blocked("CONNECT evil.test:443 HTTP/1.1\r\nHost: server.test\r\n\r\n");
    is_blocked("CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\n\r\n");
    is_blocked("GET evil.test HTTP/1.1\r\nHost: server.test\r\n\r\n");
}

#[test]
fn tricks_with_white_space_and_line_ends_are_blocked() {
    for head in [
        "GET / HTTP/1.1\nHost: server.test\n\n",
        "GET / HTTP/1.1\r\nHost: server.test\n\r\n",
        "GET / HTTP/1.1\r\nHost : server.test\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: server.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: server.test\r\n evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\0server.test\r\n\r\n",
        "GET / HTTP/1.1\r\nX: \rHost: evil.test\r\nHost: server.test\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: server.test\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: server.test\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: server.test\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: server.test\r\n\r\n",
        "get / http/1.1\r\nHost: server.test\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: server.test\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: server.test\r\n\r\n",
        "GET http://evil.test/\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        is_blocked(head);
    }
}

#[test]
fn ambiguous_framing_is_blocked() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ] {
        is_blocked(&format!(
            "POST / HTTP/1.1\r\nHost: server.test\r\n{fields}\r\n\r\n"
        ));
    }
    is_blocked("POST / HTTP/1.0\r\nHost: server.test\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn a_later_request_for_another_host_is_blocked() {
    let good = "GET / HTTP/1.1\r\nHost: server.test\r\n\r\n";
    let evil = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    second_is_blocked(good, evil);
    second_is_blocked(
        "POST / HTTP/1.1\r\nHost: server.test\r\nContent-Length: 4\r\n\r\nbody",
        evil,
    );
    let chunked = "POST / HTTP/1.1\r\nHost: server.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    second_is_blocked(&format!("{chunked}1\r\nx\r\n0\r\n\r\n"), evil);
    second_is_blocked(chunked, "1\r\nxx\r\nevil");
    second_is_blocked(chunked, "-1\r\nevil");
    second_is_blocked(chunked, "1;\nx\r\nevil");
    second_is_blocked(chunked, "0\r\n evil: 1\r\n\r\n");
    second_is_blocked(good, "garbage evil\r\n\r\n");
    second_is_blocked(
        "OPTIONS * HTTP/1.1\r\nHost: server.test\r\nUpgrade: h2c\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nevil",
    );
}

#[test]
fn a_request_in_single_bytes_is_checked_as_a_whole() {
    let (mut world, client) = in_time(UNDECIDED_GRACE, || {
        let world = World::for_server(echo());
        let mut client = world.connect();
        client.set_nodelay(true).unwrap();
        for byte in b"GET / HTTP/1.1\r\n" {
            client.write_all(&[*byte]).unwrap();
        }
        (world, client)
    });
    for byte in b"Host: evil.test\r\n\r\n" {
        (&client).write_all(&[*byte]).unwrap();
        sleep(Duration::from_millis(1));
    }
    assert!(read_all(&client).starts_with(b"HTTP/1.1 403 "));
    assert_eq!(world.flow().bytes_out, 0);
}

#[test]
fn a_method_that_was_let_through_after_a_pause_still_begins_a_request() {
    let mut world = World::for_server(echo());
    let mut client = world.connect();
    client.write_all(b"BREW").unwrap();
    assert_eq!(read_exact(&client, 4), b"BREW");
    client
        .write_all(b" / HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        .unwrap();
    let rest = String::from_utf8(read_all(&client)).unwrap();
    assert!(!echoed(&rest).contains("evil"), "{rest:?}");
    assert_eq!(
        (world.flow().reason, world.port() > 0),
        (Reason::HostMismatch, true)
    );
}

#[test]
fn a_websocket_goes_on_after_the_server_switched_and_only_then() {
    let answering = |status: &'static str| {
        server(move |mut stream| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.extend(read_exact(&stream, 1));
            }
            stream
                .write_all(
                    format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 {status}\r\n\r\n").as_bytes(),
                )
                .unwrap();
            let mut buffer = [0; 100];
            while let Ok(length @ 1..) = std::io::Read::read(&mut stream, &mut buffer) {
                stream.write_all(&buffer[..length]).unwrap();
            }
        })
    };
    let upgrade =
        "GET / HTTP/1.1\r\nHost: server.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let frames = "\u{1}\u{2}GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";

    let world = World::for_server(answering("101 Switching Protocols"));
    let mut client = world.connect();
    client.write_all(upgrade.as_bytes()).unwrap();
    client.write_all(frames.as_bytes()).unwrap();
    let expected =
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n{frames}");
    assert_eq!(
        String::from_utf8(read_exact(&client, expected.len())).unwrap(),
        expected
    );

    let mut world = World::for_server(answering("200 OK"));
    let mut client = world.connect();
    client.write_all(upgrade.as_bytes()).unwrap();
    client.write_all(frames.as_bytes()).unwrap();
    assert!(!echoed(&String::from_utf8(read_all(&client)).unwrap()).contains("evil"));
    assert_eq!(world.flow().reason, Reason::HostMismatch);
}
