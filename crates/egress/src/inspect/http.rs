//! The guard on a plain HTTP/1 connection to a name: every request must be for that name (RFC 9112).
//!
//! The guard decides how many bytes may go on to the server. It is stricter than HTTP allows, because its reading must be
//! the only possible one: a request that two servers would frame differently is refused (request smuggling).

mod chunked;
mod head;
mod response;

use bailiwick_model::{HostName, limits};

use chunked::Chunked;
use head::{Head, HeadScan};
pub(crate) use response::{Response, ResponseWatch};

/// Why a request may not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestViolation {
    /// The head is not what RFC 9112 says, or is one that servers read differently.
    #[error("the HTTP request head is malformed or ambiguous")]
    Head,
    /// Another version than HTTP/1.0 and 1.1: HTTP/2 without TLS, or HTTP/0.9.
    #[error("only HTTP/1.0 and HTTP/1.1 can be checked on a connection without TLS")]
    Version,
    /// The head is larger than is kept.
    #[error(
        "the HTTP request head is larger than {} bytes",
        limits::HTTP_HEAD_BYTES
    )]
    TooLarge,
    /// Not exactly one `Host`.
    #[error("the HTTP request has {0} Host headers instead of one")]
    HostCount(usize),
    /// `Host`, an absolute URI or a CONNECT authority names something else.
    #[error("the HTTP request is for {0:?}, but the connection was made to another name or port")]
    OtherHost(String),
    /// The length of the body is ambiguous.
    #[error("the length of the HTTP request's body is malformed or ambiguous")]
    Framing,
}

/// What a request head asks of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Sized(u64),
    Chunked,
}

/// Where in the stream of requests the guard is.
#[derive(Debug)]
enum State {
    Head(HeadScan),
    Sized(u64),
    Chunked(Chunked),
}

/// Checks one client's requests, one after the other.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    name: HostName,
    port: u16,
    state: State,
    requests: u64,
    switching: bool,
}

impl RequestGuard {
    /// A guard for a connection that was made to `name` and `port`.
    pub(crate) fn new(name: HostName, port: u16) -> Self {
        Self {
            name,
            port,
            state: State::Head(HeadScan::default()),
            requests: 0,
            switching: false,
        }
    }

    /// How many bytes at the front of `held` may go on now; 0 means that more are needed first.
    ///
    /// The caller forwards that many, removes them from `held`, and asks again while something is left.
    ///
    /// # Errors
    ///
    /// What is wrong with the request; nothing further may go on.
    pub(crate) fn advance(&mut self, held: &[u8]) -> Result<usize, RequestViolation> {
        if held.is_empty() || self.switching {
            return Ok(0);
        }
        match &mut self.state {
            State::Head(scan) => {
                let head = head::parse(held, scan, &self.name, self.port)?;
                self.after_head(head, held.len())
            }
            State::Sized(left) => {
                let count = held.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                if *left == 0 {
                    self.state = State::Head(HeadScan::default());
                }
                Ok(count)
            }
            State::Chunked(chunked) => {
                let count = chunked.advance(held)?;
                if chunked.is_over() {
                    self.state = State::Head(HeadScan::default());
                }
                Ok(count)
            }
        }
    }

    /// True after the first request asked for a WebSocket: nothing more may go on until the server has answered.
    ///
    /// Only the first request of a connection can, since only then the next response is certainly its answer, and only
    /// to `websocket`: behind `h2c` would be requests for any host. Any other upgrade is forwarded, and the client's
    /// next bytes still have to be HTTP/1.
    pub(crate) fn awaits_switch(&self) -> bool {
        self.switching
    }

    /// The server answered, and did not switch protocols.
    pub(crate) fn not_switched(&mut self) {
        self.switching = false;
    }

    /// How many request heads were let through.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    fn after_head(&mut self, head: Option<Head>, held: usize) -> Result<usize, RequestViolation> {
        let Some(head) = head else {
            return if held > limits::HTTP_HEAD_BYTES {
                Err(RequestViolation::TooLarge)
            } else {
                Ok(0)
            };
        };
        self.requests += 1;
        self.switching = head.wants_websocket && self.requests == 1 && head.body == Body::None;
        self.state = match head.body {
            Body::None | Body::Sized(0) => State::Head(HeadScan::default()),
            Body::Sized(length) => State::Sized(length),
            Body::Chunked => State::Chunked(Chunked::default()),
        };
        Ok(head.length)
    }
}
