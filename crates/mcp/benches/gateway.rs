//! What a gateway adds to a call of a tool: the same call, at the server and through the gateway, over connections that are kept.
//!
//! Server, gateway and client are three processes on loopback, without TLS, so that what is measured is the gateway: once with one thread each,
//! and once with one for each core. `cargo bench -p bailiwick-mcp --bench gateway` prints the times of one connection and of 32, in microseconds, and
//! the requests per second.

// The futures of a client and a server in one.
#![recursion_limit = "256"]

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_mcp::{
    Backing, Caller, Connections, Entrance, Gateway, Greeting, HeldAccess, Hosts, Item, Joined,
    McpError, Member, Naming, ServerName, Span, Verdict,
};
use bailiwick_outbound::Outbound;
use bailiwick_policy::{OrganizationFloor, Policy, SessionGrants, effective};
use bailiwick_testkit::{Authority, dialer_to};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const WARMING: Duration = Duration::from_millis(500);
const MEASURING: Duration = Duration::from_secs(3);

/// Threads of servers and gateways.
#[derive(Clone, Copy)]
enum Threads {
    One,
    OneEachCore,
}

impl Threads {
    const ALL: [(Self, &str); 2] = [(Self::One, "one"), (Self::OneEachCore, "each-core")];

    fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::OneEachCore => "each-core",
        }
    }

    fn of(name: Option<&str>) -> Self {
        let found = Self::ALL.into_iter().find(|(_, it)| name == Some(*it));
        found.map_or(Self::One, |(threads, _)| threads)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next();
    let threads = Threads::of(arguments.next().as_deref());
    match (role.as_deref(), arguments.next()) {
        (Some("server"), _) => run(threads, serve_tools()),
        (Some("gateway"), Some(server)) => {
            run(threads, serve_gateway(server.parse().expect("an address")));
        }
        // Cargo says `--bench`.
        _ => run(Threads::One, measure()),
    }
}

fn run(threads: Threads, future: impl Future<Output = ()>) {
    let mut runtime = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::OneEachCore => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(future);
}

/// Serves whatever answers requests, and says where.
async fn serve<F, B>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static)
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a flag");
        let answer = answer.clone();
        let serve = service_fn(move |request| {
            let answering = answer(request);
            async move { Ok::<_, Infallible>(answering.await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
    }
}

/// A server with one tool, which says what it was told.
async fn serve_tools() {
    serve(async |request: Request<Incoming>| {
        let body = request
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        let message: Value = serde_json::from_slice(&body).expect("a message");
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "bench", "version": "1"},
            }),
            Some("tools/call") => {
                let text = &message["params"]["arguments"]["text"];
                json!({"content": [{"type": "text", "text": text}]})
            }
            _ => json!({}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        let session = HeaderValue::from_static("0123456789abcdef");
        response.headers_mut().insert("mcp-session-id", session);
        response
    })
    .await;
}

struct Backed(HeldAccess);

impl Backing for Backed {
    async fn access(&self, _: &ServerName) -> Result<HeldAccess, McpError> {
        Ok(self.0.clone())
    }

    async fn judge(&self, _: &ServerName, _: Item<'_>) -> Verdict {
        Verdict::Served
    }
}

async fn serve_gateway(server: SocketAddr) {
    let gateway = Arc::new(Gateway::new(Entrance {
        hosts: Hosts::Any,
        origins: Vec::new(),
    }));
    let policy = Policy::compile(
        effective(None, None),
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    );
    let dialer = dialer_to(&format!("mcp.example.com={server}"));
    let outbound = Outbound::new(dialer, Authority::new().trusted());
    let connections = Arc::new(Connections::new(&outbound, Arc::new(policy)));
    let access = HeldAccess::new(connections, Some("a-token-of-some-length")).expect("a token");
    let url = format!("http://mcp.example.com:{}/mcp", server.port());
    let member = Member {
        name: "bench".parse().expect("a name"),
        url: url.parse().expect("a URL"),
    };
    let make = move |_: Span| {
        let backed = Backed(access.clone());
        let view = Joined::new(
            vec![member.clone()],
            Naming::Joined,
            Greeting::default(),
            backed,
        );
        Arc::new(view.expect("a view"))
    };
    serve(move |request: Request<Incoming>| {
        let (gateway, make) = (Arc::clone(&gateway), make.clone());
        async move {
            let caller = request.headers().get(AUTHORIZATION);
            let caller = caller
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let caller = Caller::new(caller);
            gateway.answer(&caller, make, request).await
        }
    })
    .await;
}

/// A process of this program in another role, and where it serves.
struct Role(Child, SocketAddr);

impl Role {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark starts its own program"
    )]
    fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program);
        let mut process = process
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        Self(process, line.trim().parse().expect("an address"))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure() {
    println!(
        "{:<10} {:<10} {:>11} {:>8} {:>8} {:>10}",
        "threads", "", "connections", "p50 us", "p99 us", "per second"
    );
    for (threads, name) in Threads::ALL {
        let server = Role::start(&["server", threads.name()]);
        let gateway = Role::start(&["gateway", threads.name(), &server.1.to_string()]);
        for (what, address, tool) in [
            ("direct", server.1, "echo"),
            ("gateway", gateway.1, "bench__echo"),
        ] {
            for connections in [1, 32] {
                let (times, elapsed) = load(address, tool, connections).await;
                let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_nanos();
                let (half, most) = (at(50) as f64 / 1e3, at(99) as f64 / 1e3);
                let rate = times.len() as f64 / elapsed.as_secs_f64();
                println!(
                    "{name:<10} {what:<10} {connections:>11} {half:>8.1} {most:>8.1} {rate:>10.0}"
                );
            }
        }
    }
}

/// Calls over so many connections, one after the other on each; the times, the shortest first.
async fn load(address: SocketAddr, tool: &str, connections: usize) -> (Vec<Duration>, Duration) {
    let calling: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(calls(address, tool.to_owned())))
        .collect();
    let mut times = Vec::new();
    for calls in calling {
        times.extend(calls.await.expect("its calls"));
    }
    times.sort_unstable();
    (times, MEASURING)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark's client is no part of the product"
)]
async fn calls(address: SocketAddr, tool: String) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a flag");
    let mut buffer = Vec::with_capacity(4096);
    let begin = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"},
    }});
    exchange(&mut stream, &post(&begin, ""), &mut buffer).await;
    let head = String::from_utf8_lossy(&buffer).to_ascii_lowercase();
    let session = head
        .lines()
        .find(|line| line.starts_with("mcp-session-id:"));
    let session = format!("{}\r\n", session.expect("a session"));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": tool, "arguments": {"text": "twenty-four characters or so", "n": [1, 2, 3]},
    }});
    let request = post(&call, &session);
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < WARMING + MEASURING {
        let sent = Instant::now();
        exchange(&mut stream, &request, &mut buffer).await;
        if begun.elapsed() >= WARMING {
            times.push(sent.elapsed());
        }
        assert!(buffer.windows(9).any(|part| part == b"\"content\""));
    }
    times
}

fn post(message: &Value, session: &str) -> Vec<u8> {
    let body = message.to_string();
    let length = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer key\r\naccept: application/json, text/event-stream\r\ncontent-type: application/json\r\nmcp-protocol-version: 2025-11-25\r\n{session}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends a request and reads the answer, which has a length.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) {
    stream.write_all(request).await.expect("it is sent");
    buffer.clear();
    loop {
        let read = stream.read_buf(buffer).await.expect("an answer");
        assert!(read > 0, "{}", String::from_utf8_lossy(buffer));
        let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end])
            .expect("a head")
            .to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").parse().expect("a number");
        if buffer.len() >= end + 4 + length {
            return;
        }
    }
}
