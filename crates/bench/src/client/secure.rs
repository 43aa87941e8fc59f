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

/// Trusts exactly this certificate. Without resumption: each new connection is a whole handshake.
pub(super) fn config(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).context("no certificate")?)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connection, handshake and one request; microseconds.
pub(super) fn request(route: &Route) -> Result<f64> {
    let start = Instant::now();
    get(&mut open(route)?)?;
    Ok(micros(start))
}

/// Requests on one connection; microseconds each.
pub(super) fn requests(route: &Route, count: u32) -> Result<Vec<f64>> {
    let mut stream = open(route)?;
    get(&mut stream)?;
    super::repeat(count, || {
        let start = Instant::now();
        get(&mut stream)?;
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

fn get(stream: &mut Stream) -> Result<()> {
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", NAMES.https).as_bytes())?;
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
        .find_map(|line| line.strip_prefix("Content-Length: "))
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
