//! HTTP over TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Route, micros};
use crate::protocol::NAMES;

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Trusts exactly these certificates. Without resumption: each new connection is a whole handshake.
pub(super) fn config(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(certificate).context("no certificate")? {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connection, handshake and one request; microseconds.
pub(super) fn request(route: &Route) -> Result<f64> {
    let start = Instant::now();
    get(route, &mut open(route)?)?;
    Ok(micros(start))
}

/// Requests on one connection; microseconds each.
pub(super) fn requests(route: &Route, count: u32) -> Result<Vec<f64>> {
    let mut stream = open(route)?;
    get(route, &mut stream)?;
    super::repeat(count, || {
        let start = Instant::now();
        get(route, &mut stream)?;
        Ok(micros(start))
    })
}

fn open(route: &Route) -> Result<Stream> {
    let connection =
        ClientConnection::new(Arc::clone(&route.tls), ServerName::try_from(NAMES.https)?)?;
    Ok(StreamOwned::new(
        connection,
        route.open(route.services.https)?,
    ))
}

/// One answer of so many bytes; MB a second, with connection and handshake left out.
pub(super) fn download(route: &Route, bytes: u64) -> Result<f64> {
    let mut stream = open(route)?;
    get(route, &mut stream)?;
    let start = Instant::now();
    ask(route, &mut stream, &format!("/{bytes}"))?;
    let mut buffer = vec![0; 256 * 1024];
    let mut received = 0;
    while received < bytes {
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "the server closed in the middle of its answer");
        received += length as u64;
    }
    Ok(bytes as f64 / micros(start))
}

/// The port belongs to the authority: it is not that of HTTPS.
fn ask(route: &Route, stream: &mut Stream, path: &str) -> Result<()> {
    let (name, port) = (NAMES.https, route.services.https.port());
    let token = &route.token;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nX-Key: {token}\r\n\r\n");
    Ok(stream.write_all(head.as_bytes())?)
}

fn get(route: &Route, stream: &mut Stream) -> Result<()> {
    ask(route, stream, "/")?;
    let mut response = [0; 4096];
    let mut filled = 0;
    loop {
        let length = stream.read(&mut response[filled..])?;
        ensure!(length > 0, "the server closed in the middle of its answer");
        filled += length;
        if complete(&response[..filled])? {
            return Ok(());
        }
    }
}

/// Whether head and body are there.
fn complete(response: &[u8]) -> Result<bool> {
    let Some(end) = response.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = std::str::from_utf8(&response[..end])?;
    ensure!(
        head.starts_with("HTTP/1.1 200 "),
        "the server answered {head:?}"
    );
    let length = head
        .lines()
        .find_map(|line| {
            line.split_once(": ")
                .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        })
        .map(|(_, length)| length)
        .context("no length")?;
    Ok(response.len() >= end + 4 + length.parse::<usize>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_with_its_whole_body() {
        assert!(!complete(b"HTTP/1.1 200 OK\r\nContent-Len").unwrap());
        assert!(!complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx").unwrap());
        assert!(complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxx").unwrap());
        assert!(complete(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
