//! The load generator. Blocking sockets and threads: the fewest moving parts between the clock and the kernel.

mod load;
mod secure;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::ClientConfig;

use crate::os;
use crate::protocol::{Probe, Services};
use crate::worker;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the echo service is, `name:port` or `address:port`.
    #[arg(long)]
    echo: String,
    /// Where the source is.
    #[arg(long)]
    source: String,
    /// Where the HTTPS service is.
    #[arg(long)]
    https: String,
    /// The proxy that CONNECT requests go through.
    #[arg(long)]
    proxy: Option<SocketAddr>,
    /// The PEM certificate of the HTTPS service, or of authorities for it.
    #[arg(long)]
    certificate: PathBuf,
    /// What every HTTPS request carries in the header field `X-Key`.
    #[arg(long, default_value = "placeholder")]
    token: String,
}

/// How long anything may take before the run is given up: a hang is a finding, not a measurement.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to get to the server.
#[derive(Debug, Clone)]
pub(super) struct Route {
    services: Services,
    proxy: Option<SocketAddr>,
    tls: Arc<ClientConfig>,
    token: Arc<str>,
}

/// Obeys [`Probe`] orders.
pub(crate) fn run(args: &Args) -> Result<()> {
    let route = Route {
        // Once, before any clock runs: what is measured is the connection, not the name.
        services: Services {
            echo: resolve(&args.echo)?,
            source: resolve(&args.source)?,
            https: resolve(&args.https)?,
        },
        proxy: args.proxy,
        tls: secure::config(&args.certificate)?,
        token: args.token.as_str().into(),
    };
    worker::obey(|probe: Probe| match probe {
        Probe::FirstByte { count } => repeat(count, || route.first_byte()),
        Probe::RoundTrip { count } => route.round_trips(count),
        Probe::Request { count } => repeat(count, || secure::request(&route)),
        Probe::RequestKeptAlive { count } => secure::requests(&route, count),
        Probe::Download { bytes } => secure::download(&route, bytes).map(|rate| vec![rate]),
        Probe::Throughput { streams, millis } => {
            load::throughput(&route, streams, Duration::from_millis(millis))
        }
        Probe::Connections { threads, millis } => {
            load::connections(&route, threads, Duration::from_millis(millis))
        }
    })
}

fn resolve(destination: &str) -> Result<SocketAddr> {
    let mut addresses = destination
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {destination}"))?;
    addresses
        .next()
        .with_context(|| format!("{destination} has no address"))
}

fn repeat(count: u32, mut probe: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    (0..count).map(|_| probe()).collect()
}

/// Microseconds since then.
fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

impl Route {
    /// A connection to the service, through the proxy if there is one.
    fn open(&self, service: SocketAddr) -> Result<TcpStream> {
        let Some(proxy) = self.proxy else {
            return Ok(patient(os::connect(service)?)?);
        };
        let mut stream = patient(os::connect(proxy)?)?;
        stream.write_all(
            format!("CONNECT {service} HTTP/1.1\r\nHost: {service}\r\n\r\n").as_bytes(),
        )?;
        let mut head = [0; 4096];
        let mut filled = 0;
        // What comes after the head belongs to the service; only the source speaks first, and its bytes are all alike.
        while !head[..filled].windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut head[filled..])? {
                0 => bail!(
                    "the proxy closed: {:?}",
                    String::from_utf8_lossy(&head[..filled])
                ),
                length => filled += length,
            }
        }
        if head.get(9..12) != Some(b"200") {
            bail!(
                "the proxy refused: {:?}",
                String::from_utf8_lossy(&head[..filled])
            );
        }
        Ok(stream)
    }

    fn first_byte(&self) -> Result<f64> {
        let start = Instant::now();
        let mut stream = self.open(self.services.echo)?;
        ping(&mut stream)?;
        Ok(micros(start))
    }

    fn round_trips(&self, count: u32) -> Result<Vec<f64>> {
        let mut stream = self.open(self.services.echo)?;
        ping(&mut stream)?;
        repeat(count, || {
            let start = Instant::now();
            ping(&mut stream)?;
            Ok(micros(start))
        })
    }
}

fn patient(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One byte there and back. Zero: no TLS record and no HTTP request begins with it.
pub(crate) fn ping(stream: &mut TcpStream) -> Result<()> {
    let mut byte = [0];
    stream.write_all(&byte)?;
    stream
        .read_exact(&mut byte)
        .context("the connection was closed before the byte came back")
}
