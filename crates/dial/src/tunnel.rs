//! HTTP CONNECT through an upstream proxy (RFC 9110 section 9.3.6).

use std::io;

use bailiwick_model::Destination;
use rustix::net::RecvFlags;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::{ProxyUrl, Unreachable};

/// The longest answer of a proxy that is read.
const ANSWER_BYTES: usize = 16 * 1024;

/// Asks the proxy at the other end of `stream` for a tunnel. Afterwards the stream is at the first byte of the server.
pub(crate) async fn open(
    stream: &mut TcpStream,
    proxy: &ProxyUrl,
    destination: &Destination,
) -> Result<(), Unreachable> {
    let authorization = match proxy.authorization() {
        Some(basic) => format!("Proxy-Authorization: Basic {basic}\r\n"),
        None => String::new(),
    };
    let request =
        format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        let wanted = take_head(stream, &mut answer).await?;
        if answer.ends_with(b"\r\n\r\n") {
            return accept(&answer);
        }
        if wanted == 0 || answer.len() >= ANSWER_BYTES {
            return Err(Unreachable::ProxyProtocol);
        }
    }
}

/// Reads at most up to the end of the head: what follows it belongs to the client.
async fn take_head(stream: &TcpStream, answer: &mut Vec<u8>) -> Result<usize, Unreachable> {
    let mut buffer = [0; 4096];
    stream.readable().await?;
    let taken = stream.try_io(Interest::READABLE, || {
        let (peeked, _) = rustix::net::recv(stream, &mut buffer[..], RecvFlags::PEEK)?;
        let overlap = answer.len().min(3);
        let seen = [&answer[answer.len() - overlap..], &buffer[..peeked]].concat();
        let end = seen
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|at| at + 4 - overlap);
        let (taken, _) = rustix::net::recv(
            stream,
            &mut buffer[..end.unwrap_or(peeked)],
            RecvFlags::empty(),
        )?;
        Ok(taken)
    });
    match taken {
        Ok(taken) => {
            answer.extend_from_slice(&buffer[..taken]);
            Ok(taken)
        }
        // Nothing was there after all; the caller asks again.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(1),
        Err(error) => Err(error.into()),
    }
}

fn accept(answer: &[u8]) -> Result<(), Unreachable> {
    let status = answer
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .ok_or(Unreachable::ProxyProtocol)?;
    let status = std::str::from_utf8(status)
        .ok()
        .and_then(|text| text.parse().ok());
    match status.ok_or(Unreachable::ProxyProtocol)? {
        200..=299 => Ok(()),
        other => Err(Unreachable::ProxyStatus(other)),
    }
}
