//! Clients that are slow, silent or many.

use std::time::{Duration, Instant};

use bailiwick_server::ConnectionLimits;
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Server;

const SHORT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);

fn short() -> ConnectionLimits {
    ConnectionLimits {
        head: SHORT,
        write: SHORT,
        grace: SHORT,
        ..ConnectionLimits::default()
    }
}

async fn server(limits: ConnectionLimits) -> Server {
    Server::limited(limits, std::future::pending()).await
}

async fn connect(server: &Server) -> TcpStream {
    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    let stream = TcpStream::connect(server.address).await;
    stream.expect("a connection")
}

/// Everything that comes until the server ends the connection, however it does.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    // A reset is an end, too.
    let _ = read.await.expect("the server ends the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first bytes that come.
async fn some(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes));
    let count = read.await.expect("in time").expect("bytes");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

async fn number(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").await.raw;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .expect("a number")
}

#[tokio::test]
async fn who_does_not_finish_a_head_is_cut_off() {
    let server = server(short()).await;
    for begun in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nS",
        "GET /hea",
        "GET /healthz HTTP/1.1\r\nhost: x\r\n",
        "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut stream = connect(&server).await;
        let start = Instant::now();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let answer = rest(stream).await;
        let took = start.elapsed();
        assert!(
            took >= SHORT * 9 / 10 && took < SHORT * 6,
            "{begun:?}: {took:?}"
        );
        // The last one is whole, was answered, and then was silent for too long.
        assert_eq!(
            answer.contains("200 OK"),
            begun.ends_with("\r\n\r\n"),
            "{begun:?}"
        );
    }
}

#[tokio::test]
async fn who_sends_a_head_byte_by_byte_is_cut_off_and_who_hurries_is_not() {
    let server = server(short()).await;
    let mut slow = connect(&server).await;
    let start = Instant::now();
    for byte in b"GET /healthz HTTP/1.1\r\nhost: example\r\n\r\n" {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(SHORT / 8).await;
    }
    assert!(start.elapsed() < PATIENCE && !rest(slow).await.contains("200 OK"));
    let mut fast = connect(&server).await;
    fast.write_all(b"GET /healthz HT").await.unwrap();
    tokio::time::sleep(SHORT / 2).await;
    fast.write_all(b"TP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(some(&mut fast).await.contains("200 OK"));
}

#[tokio::test]
async fn who_speaks_http_2_and_does_not_answer_is_cut_off_and_who_does_is_served() {
    let server = server(ConnectionLimits {
        ping: SHORT,
        ..ConnectionLimits::default()
    })
    .await;
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    for begun in [PREFACE.to_vec(), [PREFACE, SETTINGS].concat()] {
        let mut stream = connect(&server).await;
        let start = Instant::now();
        stream.write_all(&begun).await.unwrap();
        rest(stream).await;
        let took = start.elapsed();
        assert!(took >= SHORT && took < SHORT * 8, "{took:?}");
    }
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    for _ in 0..3 {
        let answer = client
            .get(format!("http://{}/healthz", server.address))
            .send()
            .await
            .unwrap();
        assert_eq!(
            (answer.version(), answer.status()),
            (reqwest::Version::HTTP_2, StatusCode::OK)
        );
        tokio::time::sleep(SHORT * 3).await;
    }
    assert_eq!(number(&server, "bailiwick_http_connections").await, 2);
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let server = server(ConnectionLimits::default()).await;
    let many = |count: usize| -> String { (0..count).map(|n| format!("x-{n}: y\r\n")).collect() };
    let large = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
    for (headers, status) in [
        (many(90), "200 OK"),
        (many(120), "431 "),
        (large(50_000), "200 OK"),
        (large(100_000), "431 "),
    ] {
        let mut stream = connect(&server).await;
        let head =
            format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = rest(stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{} bytes: {answer}",
            head.len()
        );
    }
}

#[tokio::test]
async fn a_head_without_an_end_costs_the_server_little() {
    let server = server(ConnectionLimits::default()).await;
    let mut stream = connect(&server).await;
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nx: ").await;
    let mut sent = 0_usize;
    while stream.write_all(&[b'y'; 4096]).await.is_ok() {
        sent += 4096;
        assert!(sent < 64 << 20, "the server takes it all");
    }
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn thousands_of_idle_connections_push_out_each_other_and_nobody_else() {
    let limits = ConnectionLimits {
        connections: 50,
        ..ConnectionLimits::default()
    };
    let server = server(limits).await;
    let first = connect(&server).await;
    let mut held = std::collections::VecDeque::new();
    for number in 0..2000 {
        let mut idle = connect(&server).await;
        // Some are silent, some have begun.
        if number % 2 == 0 {
            let _ = idle.write_all(b"GET /healthz HTTP/1.1\r\nx: ").await;
        }
        held.push_back(idle);
        if held.len() > 200 {
            held.pop_front();
        }
        if number % 100 == 0 {
            assert_eq!(server.get("/v1/environments").await.status, StatusCode::OK);
        }
    }
    assert_eq!(rest(first).await, "");
    assert!(number(&server, "bailiwick_http_connections").await <= 50);
    assert!(number(&server, "bailiwick_http_connections_pushed_out_total").await > 1000);
    assert_eq!(
        number(&server, "bailiwick_http_connections_refused_total").await,
        0
    );
}

#[tokio::test]
async fn where_there_is_room_nobody_is_pushed_out() {
    let server = server(ConnectionLimits {
        connections: 200,
        ..ConnectionLimits::default()
    })
    .await;
    let mut first = connect(&server).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(connect(&server).await);
    }
    first
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(some(&mut first).await.contains("200 OK"));
    assert_eq!(
        number(&server, "bailiwick_http_connections_pushed_out_total").await,
        0
    );
}

/// A request whose body has begun and not ended.
async fn begun(server: &Server, body: &str) -> TcpStream {
    let mut stream = connect(server).await;
    let head = format!(
        "POST /v1/environments HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        server.key,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..3]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream
}

#[tokio::test]
async fn a_request_that_is_worked_on_is_not_pushed_out_and_when_all_are_more_are_refused() {
    let server = server(ConnectionLimits {
        connections: 10,
        ..ConnectionLimits::default()
    })
    .await;
    let body = json!({"name": "slow"}).to_string();
    let mut slow = begun(&server, &body).await;
    for _ in 0..100 {
        drop(connect(&server).await);
    }
    slow.write_all(&body.as_bytes()[3..]).await.unwrap();
    assert!(rest(slow).await.starts_with("HTTP/1.1 200 OK"));
    let mut busy = Vec::new();
    for _ in 0..10 {
        busy.push(begun(&server, &body).await);
    }
    assert_eq!(rest(connect(&server).await).await, "");
    busy.clear();
    tokio::time::sleep(SHORT).await;
    assert!(number(&server, "bailiwick_http_connections_refused_total").await >= 1);
}

#[tokio::test]
async fn who_does_not_take_answers_is_cut_off() {
    let server = server(ConnectionLimits {
        write: SHORT,
        ..ConnectionLimits::default()
    })
    .await;
    for number in 0..20 {
        let body = json!({"name": format!("e{number}"), "description": "x".repeat(1000)});
        server.post("/v1/environments", body).await.ok();
    }
    let request = format!(
        "GET /v1/environments HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n",
        server.key
    );
    let (mut reader, mut writer) = connect(&server).await.into_split();
    let sending = tokio::spawn(async move {
        // Some 30 MB of answers, more than the kernel keeps.
        for _ in 0..1000 {
            if writer.write_all(request.as_bytes()).await.is_err() {
                break;
            }
        }
        writer
    });
    let start = Instant::now();
    // The other connection is that of this question.
    while number(&server, "bailiwick_http_connections").await > 1 {
        assert!(start.elapsed() < PATIENCE, "the connection stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut answers = Vec::new();
    let _ = reader.read_to_end(&mut answers).await;
    assert!(answers.len() < 25 << 20, "{} bytes came", answers.len());
    sending.abort();
}

#[tokio::test]
async fn who_takes_answers_slowly_but_takes_them_gets_all() {
    let server = server(ConnectionLimits {
        write: SHORT,
        ..ConnectionLimits::default()
    })
    .await;
    for number in 0..20 {
        let body = json!({"name": format!("e{number}"), "description": "x".repeat(1000)});
        server.post("/v1/environments", body).await.ok();
    }
    let request = format!(
        "GET /v1/environments HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n",
        server.key
    );
    let (mut reader, mut writer) = connect(&server).await.into_split();
    let sending = tokio::spawn(async move {
        for _ in 0..300 {
            writer.write_all(request.as_bytes()).await.unwrap();
        }
        writer
    });
    let (mut bytes, mut seen, mut tail) = (vec![0; 1 << 20], 0, String::new());
    while seen < 300 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let count = reader.read(&mut bytes).await.expect("bytes");
        assert!(count > 0, "ended after {seen} answers");
        tail.push_str(&String::from_utf8_lossy(&bytes[..count]));
        seen += tail.matches("HTTP/1.1 200 OK").count();
        tail = tail.split_off(tail.len() - 14.min(tail.len()));
    }
    drop(sending);
}

#[tokio::test]
async fn the_end_waits_for_requests_in_flight_and_no_longer_than_it_should() {
    let (ask, asked) = tokio::sync::oneshot::channel::<()>();
    let end = async move {
        let _ = asked.await;
    };
    let grace = Duration::from_secs(2);
    let server = Server::limited(
        ConnectionLimits {
            grace,
            ..ConnectionLimits::default()
        },
        end,
    )
    .await;
    let body = json!({"name": "late"}).to_string();
    let (mut finishing, hanging) = (begun(&server, &body).await, begun(&server, &body).await);
    let idle = connect(&server).await;
    ask.send(()).unwrap();
    let start = Instant::now();
    assert_eq!(rest(idle).await, "");
    assert!(
        start.elapsed() < SHORT,
        "an idle connection waits: {:?}",
        start.elapsed()
    );
    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    let late = TcpStream::connect(server.address).await;
    assert!(late.is_err(), "the server still listens");
    finishing.write_all(&body.as_bytes()[3..]).await.unwrap();
    assert!(rest(finishing).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(rest(hanging).await, "");
    let took = start.elapsed();
    assert!(took > grace * 9 / 10 && took < grace * 3, "{took:?}");
}
