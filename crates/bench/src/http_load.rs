//! The load generator for HTTP (1.1, kept alive): a task for each connection, all on one thread.
//!
//! It writes a request as one piece and reads of an answer what it must, so that it costs less than anything that it measures.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::histogram::Histogram;
use crate::os;
use crate::protocol::{HttpLoad, HttpRequest, Timed};
use crate::worker;

/// Left out at the start, while connections open and caches fill.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long an answer may take before the run is given up: a hang is a finding, not a measurement.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most fields of an answer's head.
const FIELDS: usize = 32;

/// The number of a request's body.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Obeys [`HttpLoad`] orders.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    worker::obey(|order: HttpLoad| LocalSet::new().block_on(&runtime, load(order)))
}

/// When requests begin to count, and when none is sent any more.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

async fn load(order: HttpLoad) -> Result<Vec<f64>> {
    ensure!(!order.requests.is_empty(), "no requests");
    let order = Rc::new(order);
    let start = Instant::now() + WARM_UP;
    let window = Window {
        start,
        end: start + Duration::from_millis(order.millis),
    };
    let visitors: Vec<_> = (0..order.connections)
        .map(|number| tokio::task::spawn_local(visit(Rc::clone(&order), number, window)))
        .collect();
    let mut all = Histogram::new();
    for visitor in visitors {
        all.add(&visitor.await??);
    }
    let rate = all.total() as f64 / (window.end - window.start).as_secs_f64();
    let percentile = |percent| all.percentile(percent).context("nothing was answered");
    Ok(vec![rate, percentile(50)?, percentile(99)?])
}

async fn visit(order: Rc<HttpLoad>, number: usize, window: Window) -> Result<Histogram> {
    let mut connection = Connection::open(order.address).await?;
    let mut histogram = Histogram::new();
    let mut turns = (number..).step_by(order.connections);
    loop {
        let turn = turns.next().context("no end of turns")? % order.requests.len();
        connection.prepare(&order, &order.requests[turn]);
        let begun = Instant::now();
        if begun >= window.end {
            return Ok(histogram);
        }
        let answered = tokio::time::timeout(PATIENCE, connection.ask(order.timed)).await;
        let timed = answered.context("no answer")??;
        if begun >= window.start {
            histogram.record(timed - begun);
        }
    }
}

/// One connection, its next request and the answer to its last.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: os::connect_async(address).await?,
            request: Vec::new(),
            answer: Vec::with_capacity(64 * 1024),
        })
    }

    /// Writes down the next request.
    pub(crate) fn prepare(&mut self, order: &HttpLoad, request: &HttpRequest) {
        use std::io::Write as _;
        let HttpRequest { method, path, body } = request;
        let body = if body.contains("{n}") {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            &body.replace("{n}", &format!("{}-{number}", std::process::id()))
        } else {
            body
        };
        self.request.clear();
        let written = write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nx-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            order.address,
            order.key,
            body.len(),
        );
        written.expect("memory takes it");
        for (name, value) in &order.headers {
            write!(self.request, "{name}: {value}\r\n").expect("memory takes it");
        }
        write!(self.request, "\r\n{body}").expect("memory takes it");
    }

    /// Sends what was written down, and waits for the answer: when it was whole, or its first event was there.
    pub(crate) async fn ask(&mut self, timed: Timed) -> Result<Instant> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        let mut first = None;
        loop {
            let length = self.stream.read_buf(&mut self.answer).await?;
            ensure!(length > 0, "the connection was closed before the answer");
            if timed == Timed::FirstEvent && first.is_none() && has_event(&self.answer) {
                first = Some(Instant::now());
            }
            if is_whole(&self.answer)? {
                return match timed {
                    Timed::Whole => Ok(Instant::now()),
                    Timed::FirstEvent => first.context("an answer without an event"),
                };
            }
        }
    }
}

/// Where an answer ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Behind so many bytes.
    At(usize),
    /// With the chunk that has nothing.
    LastChunk,
}

/// Whether all of an answer is there, which has to be one of success.
pub(crate) fn is_whole(answer: &[u8]) -> Result<bool> {
    Ok(match end_of(answer)? {
        Some(End::At(end)) => answer.len() >= end,
        Some(End::LastChunk) => answer.ends_with(b"0\r\n\r\n"),
        None => false,
    })
}

fn has_event(answer: &[u8]) -> bool {
    answer.windows(6).any(|window| window == b"data: ")
}

/// How the answer ends, once its head is there.
fn end_of(bytes: &[u8]) -> Result<Option<End>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(body) = head.parse(bytes)? else {
        return Ok(None);
    };
    if !matches!(head.code, Some(200 | 202)) {
        bail!("answered {}", String::from_utf8_lossy(bytes));
    }
    let length = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let Some(length) = length else {
        let mut fields = head.headers.iter();
        let is_chunked = fields.any(|field| field.name.eq_ignore_ascii_case("transfer-encoding"));
        ensure!(is_chunked, "an answer without its length");
        return Ok(Some(End::LastChunk));
    };
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    Ok(Some(End::At(body + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_after_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        let end = end_of(answer).unwrap();
        assert_eq!(end, Some(End::At(answer.len() + 3)));
        assert_eq!(end_of(&answer[..20]).unwrap(), None);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(end_of(chunked).unwrap(), Some(End::LastChunk));
    }

    #[test]
    fn an_answer_that_refuses_is_no_answer() {
        let error = end_of(b"HTTP/1.1 503 Unavailable\r\n\r\n").unwrap_err();
        assert!(error.to_string().contains("503"));
        assert!(end_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
