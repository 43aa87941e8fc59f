//! The destination: an echo, an endless source, and HTTP over TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::protocol::Services;
use crate::worker;

/// What the HTTPS service answers with.
const BODY_BYTES: usize = 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The PEM certificate of the HTTPS service.
    #[arg(long)]
    certificate: PathBuf,
    /// Its PEM key.
    #[arg(long)]
    key: PathBuf,
}

/// Serves until standard input ends; the first line on standard output says where.
pub(crate) fn run(args: &Args) -> Result<()> {
    let config = tls(args)?;
    let (echo, source, https) = (listener()?, listener()?, listener()?);
    let services = Services {
        echo: echo.local_addr()?,
        source: source.local_addr()?,
        https: https.local_addr()?,
    };
    thread::spawn(move || echo_service(echo));
    thread::spawn(move || serve(&source, pour));
    thread::spawn(move || serve(&https, move |stream| answer(stream, &config)));
    worker::say(&services)?;
    worker::wait_for_end()
}

fn listener() -> Result<TcpListener> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
}

fn tls(args: &Args) -> Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_file(&args.certificate).context("no certificate")?;
    let key = PrivateKeyDer::from_pem_file(&args.key).context("no key")?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

/// One thread a connection. Errors end the connection and nothing else: clients leave as they like.
fn serve(
    listener: &TcpListener,
    handle: impl Fn(TcpStream) -> Result<()> + Clone + Send + 'static,
) {
    for stream in listener.incoming().flatten() {
        let handle = handle.clone();
        thread::spawn(move || stream.set_nodelay(true).map(|()| handle(stream)));
    }
}

fn pour(mut stream: TcpStream) -> Result<()> {
    let block = vec![0; 256 * 1024];
    loop {
        stream.write_all(&block)?;
    }
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>) -> Result<()> {
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\n\r\n{}",
        "x".repeat(BODY_BYTES)
    );
    let mut stream = BufReader::new(StreamOwned::new(
        ServerConnection::new(Arc::clone(config))?,
        stream,
    ));
    let mut line = String::new();
    // The path is the number of bytes that are wanted, or none.
    let mut wanted = None;
    while stream.read_line(&mut line)? > 0 {
        if let Some(target) = line.strip_prefix("GET /") {
            wanted = target.split(' ').next().and_then(|path| path.parse().ok());
        }
        if line == "\r\n" {
            match wanted {
                Some(bytes) => download(stream.get_mut(), bytes)?,
                None => stream.get_mut().write_all(response.as_bytes())?,
            }
        }
        line.clear();
    }
    Ok(())
}

fn download(stream: &mut impl Write, mut bytes: usize) -> Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
    let block = vec![b'x'; 256 * 1024];
    while bytes > 0 {
        let length = bytes.min(block.len());
        stream.write_all(&block[..length])?;
        bytes -= length;
    }
    Ok(())
}

/// One thread for all, without threads per connection: it is in every latency, so it should be as short as it can be.
fn echo_service(listener: TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(echo(stream));
            }
        })
}

async fn echo(mut stream: tokio::net::TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}
