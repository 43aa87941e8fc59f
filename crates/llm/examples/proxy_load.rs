//! What the data path of a proxy costs: requests and first chunks, asked directly and through it, all on loopback and in one process.
//!
//! `cargo run --release -p bailiwick-llm --example proxy_load [SECONDS]`. The upstream answers at once, with 1 KiB; requests have 1 KiB.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_llm::proxy::{Asked, Endpoint, ProxyBody, Route, Target, forward, read};
use bailiwick_llm::{Authentication, Client, Protocol, Timeouts, Upstream};
use bailiwick_outbound::{Outbound, Way};
use bailiwick_policy::HostFacts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

const BODY_BYTES: usize = 1024;
const CONNECTIONS: [usize; 3] = [1, 10, 50];

static SETTLED: AtomicU64 = AtomicU64::new(0);

fn main() {
    let seconds = std::env::args().nth(1);
    let seconds = seconds.map_or(3, |text| text.parse().expect("seconds"));
    let upstream = on_a_thread(1, upstream);
    let proxy = on_a_thread(2, move |listener| proxy(listener, upstream));
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("what          c   requests/s   p50 us   p99 us");
    for connections in CONNECTIONS {
        for (what, address, path) in [
            ("direct", upstream, "/v1/messages"),
            ("through", proxy, "/anthropic/v1/messages"),
        ] {
            let load = load(
                address,
                path,
                false,
                connections,
                Duration::from_secs(seconds),
            );
            report(what, connections, runtime.block_on(load), seconds);
        }
    }
    for (what, address, path) in [
        ("first direct", upstream, "/v1/messages"),
        ("first through", proxy, "/anthropic/v1/messages"),
    ] {
        let load = load(address, path, true, 1, Duration::from_secs(seconds));
        report(what, 1, runtime.block_on(load), seconds);
    }
    println!("settled: {}", SETTLED.load(Ordering::Relaxed));
}

fn report(what: &str, connections: usize, mut times: Vec<Duration>, seconds: u64) {
    times.sort_unstable();
    let rate = times.len() as u64 / seconds;
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
    println!(
        "{what:13} {connections:2} {rate:10} {:10.1} {:8.1}",
        at(50),
        at(99)
    );
}

/// A server on threads of its own.
fn on_a_thread<F: Future<Output = ()>>(
    workers: usize,
    serve: impl FnOnce(TcpListener) -> F + Send + 'static,
) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a flag");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let runtime = if workers == 1 {
            Builder::new_current_thread().enable_all().build()
        } else {
            Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
        };
        runtime.expect("a runtime").block_on(async {
            serve(TcpListener::from_std(listener).expect("a listener")).await;
        });
    });
    address
}

async fn upstream(listener: TcpListener) {
    let usage = r#""usage":{"input_tokens":200,"output_tokens":20}}"#;
    let text = "a".repeat(BODY_BYTES - usage.len() - 40);
    let body = format!(r#"{{"id":"msg_1","content":[{{"text":"{text}"}}],{usage}"#);
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let event = "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":200,\"output_tokens\":1}}}\n\n";
    let stream = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
        event.len()
    );
    let answers = Arc::new((whole, stream));
    while let Ok((mut connection, _)) = listener.accept().await {
        connection.set_nodelay(true).expect("an option");
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(64 << 10);
            while let Ok(true) = message(&mut connection, &mut buffer).await {
                let is_stream = buffer.windows(13).any(|word| word == b"\"stream\":true");
                buffer.clear();
                let answer = if is_stream { &answers.1 } else { &answers.0 };
                if connection.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                if is_stream {
                    let _ = connection.write_all(b"0\r\n\r\n").await;
                }
            }
        });
    }
}

/// Reads a head and a body, whose length the head says.
async fn message(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        if let Some(end) = end(buffer)
            && buffer.len() >= end
        {
            return Ok(true);
        }
        if connection.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
}

fn end(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().ok())?
    });
    Some(head + length.unwrap_or(0))
}

async fn proxy(listener: TcpListener, upstream: SocketAddr) {
    let (_sender, host) = watch::channel(Arc::new(HostFacts::unknown()));
    let dialer = Arc::new(Dialer::new(DialOptions::new(host)));
    let outbound = Outbound::trusting_this_machine(dialer).expect("trust");
    let client = Client::new(&outbound, Way::Operator, Timeouts::default());
    let upstream = Upstream {
        base: format!("http://{upstream}").parse().expect("a URL"),
        protocol: Protocol::Messages,
        authentication: Authentication::ApiKey("sk-test".parse().expect("a key")),
    };
    let routes = [Route {
        target: Target::new(&client, &upstream),
        model: None,
    }];
    let routes = Arc::new(routes);
    while let Ok((connection, _)) = listener.accept().await {
        connection.set_nodelay(true).expect("an option");
        let routes = Arc::clone(&routes);
        tokio::spawn(async move {
            let serve = service_fn(|request| respond(request, &routes[..]));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(connection), serve)
                .await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    routes: &[Route],
) -> Result<Response<ProxyBody>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let asks = read(Endpoint::Messages, &body).expect("a request");
    let asked = Asked {
        endpoint: Endpoint::Messages,
        headers: &head.headers,
        query: head.uri.query(),
        body: &body,
        asks: &asks,
    };
    let settle = |_| {
        SETTLED.fetch_add(1, Ordering::Relaxed);
    };
    Ok(forward(routes, asked, settle).await)
}

async fn load(
    address: SocketAddr,
    path: &'static str,
    is_stream: bool,
    connections: usize,
    time: Duration,
) -> Vec<Duration> {
    let tasks = tokio::task::LocalSet::new();
    let run = tasks.run_until(async {
        let until = Instant::now() + time;
        let clients: Vec<_> = (0..connections)
            .map(|_| tokio::task::spawn_local(client(address, path, is_stream, until)))
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.await.expect("a client"));
        }
        all
    });
    run.await
}

async fn client(address: SocketAddr, path: &str, is_stream: bool, until: Instant) -> Vec<Duration> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark's client connects to its own server"
    )]
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    connection.set_nodelay(true).expect("an option");
    let (begin, end_of_body) = (
        format!(
            r#"{{"model":"claude-test-1","max_tokens":100,"stream":{is_stream},"messages":[{{"role":"user","content":""#
        ),
        r#""}]}"#,
    );
    let text = "b".repeat(BODY_BYTES - begin.len() - end_of_body.len());
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: virtual\r\nanthropic-version: 2023-06-01\r\nuser-agent: load/1\r\n\
        content-type: application/json\r\ncontent-length: {BODY_BYTES}\r\n\r\n{begin}{text}{end_of_body}"
    );
    let (mut times, mut answer) = (Vec::new(), Vec::with_capacity(64 << 10));
    while Instant::now() < until {
        let began = Instant::now();
        connection
            .write_all(request.as_bytes())
            .await
            .expect("it is sent");
        answer.clear();
        if is_stream {
            let mut first = None;
            while !answer.ends_with(b"0\r\n\r\n") {
                let length = connection.read_buf(&mut answer).await.expect("an answer");
                assert!(length > 0);
                if first.is_none() && answer.windows(13).any(|word| word == b"message_start") {
                    first = Some(began.elapsed());
                }
            }
            times.push(first.expect("an event"));
        } else {
            assert!(
                message(&mut connection, &mut answer)
                    .await
                    .expect("an answer")
            );
            times.push(began.elapsed());
        }
    }
    times
}
