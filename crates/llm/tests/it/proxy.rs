//! Requests that are passed on, and answers that are passed back.

mod attacks;
mod fallback;
mod headers;
mod passing;
mod reading;
mod settling;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_llm::proxy::{Route, Target};
use bailiwick_llm::{Timeouts, Usage};
use bailiwick_outbound::Way;
use bailiwick_testkit::{ModelServer, ModelUsage};

use crate::front::Front;
use crate::{TIMEOUTS, client_with, openai, upstream, upstream_at};

const MESSAGES: &str = "/anthropic/v1/messages";
const CHAT: &str = "/openai/v1/chat/completions";

/// An answer as it came.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own client connects to its own server"
    )]
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// Asks in HTTP/1.0, whose bodies come as they are and end with the connection.
async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    exchange(address, request.into_bytes()).await
}

async fn exchange(address: SocketAddr, request: Vec<u8>) -> Answer {
    let exchanging = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.write_all(&request).unwrap();
        let mut answer = Vec::new();
        // A connection that breaks leaves what came before.
        let _ = stream.read_to_end(&mut answer);
        answer
    });
    parsed(&exchanging.await.unwrap())
}

fn parsed(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: answer[end + 4..].to_vec(),
    }
}

fn target_with(upstream: &bailiwick_llm::Upstream, timeouts: Timeouts) -> Route {
    let client = client_with(Way::Operator, &[], timeouts);
    Route {
        target: Target::new(&client, upstream),
        model: None,
    }
}

/// The Messages API of a scripted model.
fn anthropic_route(server: &ModelServer) -> Route {
    target_with(&upstream(server), TIMEOUTS)
}

/// OpenAI's API of a scripted model.
fn openai_route(server: &ModelServer) -> Route {
    target_with(&openai(server), TIMEOUTS)
}

/// Whatever answers at this address, with its Messages API.
fn route_to(address: SocketAddr) -> Route {
    target_with(&upstream_at(&format!("http://{address}")), TIMEOUTS)
}

/// Both APIs of one server.
async fn front(server: &ModelServer) -> Front {
    Front::start(vec![anthropic_route(server), openai_route(server)]).await
}

fn usage(usage: ModelUsage) -> Usage {
    Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_read_tokens: usage.cache_read_tokens,
        cache_write_5m_tokens: usage.cache_write_5m_tokens,
        cache_write_1h_tokens: usage.cache_write_1h_tokens,
    }
}

fn messages_body(more: &str) -> String {
    format!(
        r#"{{"model":"claude-test-1","max_tokens":100,"messages":[{{"role":"user","content":"Say something."}}]{more}}}"#
    )
}

fn chat_body(more: &str) -> String {
    format!(
        r#"{{"model":"gpt-test-1","messages":[{{"role":"user","content":"Say something."}}]{more}}}"#
    )
}

/// Answers the first request of every connection with these bytes, piece by piece, and closes it.
fn raw(pieces: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, pieces) = (listener.local_addr().unwrap(), Arc::new(pieces));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pieces = Arc::clone(&pieces);
            std::thread::spawn(move || say(stream, &pieces));
        }
    });
    address
}

fn say(mut stream: TcpStream, pieces: &[Vec<u8>]) {
    let patience = Some(Duration::from_secs(5));
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(patience).unwrap();
    let _ = stream.read(&mut [0; 64 << 10]);
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // What is unread when a connection is closed would break it before the answer is read.
    let _ = stream.shutdown(Shutdown::Write);
    while stream
        .read(&mut [0; 64 << 10])
        .is_ok_and(|length| length > 0)
    {}
}
