//! Plain HTTP/1.1 that tells what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::{LOOPBACK, TcpService};

/// More than any test sends.
const BODY_BYTES: u64 = 16 << 20;

/// Answers every request with 200 and, as the body, the head of the request.
#[derive(Debug)]
pub struct HttpServer {
    service: TcpService,
    requests: Arc<Mutex<Vec<String>>>,
}

impl HttpServer {
    /// On 127.0.0.1.
    pub fn start() -> Self {
        Self::start_at(SocketAddr::new(LOOPBACK, 0))
    }

    /// On any address of this machine.
    pub fn start_on(address: IpAddr) -> Self {
        Self::start_at(SocketAddr::new(address, 0))
    }

    /// On any address and port of this machine.
    pub fn start_at(address: SocketAddr) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let service = TcpService::start(address, move |stream| {
            // An error is the end of this client, which the client notices itself.
            let _ = serve(stream, &seen);
        });
        Self { service, requests }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// How many connections have reached it.
    pub fn connections(&self) -> usize {
        self.service.connections()
    }

    /// The heads of the requests that have reached it.
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: u64 = length
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        std::io::copy(
            &mut reader.by_ref().take(length.min(BODY_BYTES)),
            &mut std::io::sink(),
        )?;
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(head.clone());
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{head}",
            head.len()
        )?;
    }
}
