//! HTTP/1.1 that answers as a test says, also as no server should: for stand-ins of services.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{LOOPBACK, TcpService};
use crate::Authority;

/// How long an answer that never ends pauses between two pieces.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest body that is read.
const BODY_BYTES: usize = 1 << 20;
/// For how long one that says nothing is silent.
const SILENCE: Duration = Duration::from_secs(120);

/// A server on 127.0.0.1 whose answers a function makes. Each answer ends its connection.
#[derive(Debug)]
pub struct StandIn {
    service: TcpService,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What it says the length of; a longer one than a megabyte is not read.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// Headers beside those that frame the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the body comes.
    pub manner: SaidManner,
}

/// How a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidManner {
    /// All of it.
    Whole,
    /// Half of what is announced; then the connection ends.
    Cut,
    /// Over and over again, without an end.
    Endless,
    /// Not at all, nor a head.
    Silent,
}

impl StandIn {
    /// One without TLS.
    pub fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        Self::start_on(LOOPBACK, answer)
    }

    /// One without TLS, on another address of this machine.
    pub fn start_on(
        address: IpAddr,
        answer: impl Fn(&Asked) -> Said + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let service = TcpService::start(SocketAddr::new(address, 0), move |stream| {
            // An error is the end of this client, which the client notices itself.
            let _ = serve(stream, &seen, &answer);
        });
        Self { service, asked }
    }

    /// One over TLS, with a certificate for these names.
    ///
    /// # Panics
    ///
    /// When the certificate cannot be made.
    pub fn secure(
        authority: &Authority,
        names: &[&str],
        answer: impl Fn(&Asked) -> Said + Send + Sync + 'static,
    ) -> Self {
        let certificate = authority.issue(names);
        let chain = CertificateDer::from_pem_file(certificate.certificate);
        let key = PrivateKeyDer::from_pem_file(certificate.key).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("its own versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain.expect("a certificate")], key)
            .expect("a certificate with its key");
        let config = Arc::new(config);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let service = TcpService::start(SocketAddr::new(LOOPBACK, 0), move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("settings");
            let _ = serve(StreamOwned::new(connection, stream), &seen, &answer);
        });
        Self { service, asked }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// How many connections have reached it.
    pub fn connections(&self) -> usize {
        self.service.connections()
    }

    /// The requests that have reached it.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Their paths and queries.
    pub fn targets(&self) -> Vec<String> {
        let asked = self.asked();
        asked.into_iter().map(|asked| asked.target).collect()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Asked {
    /// The path alone.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, as it was sent.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Said {
    /// A status and nothing else.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            manner: SaidManner::Whole,
        }
    }

    /// A success of this type.
    pub fn page(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::status(200)
        }
        .with("content-type", media_type)
    }

    /// The same with another header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same in another manner.
    #[must_use]
    pub fn in_manner(self, manner: SaidManner) -> Self {
        Self { manner, ..self }
    }
}

fn serve(
    stream: impl Read + Write,
    seen: &Mutex<Vec<Asked>>,
    answer: &impl Fn(&Asked) -> Said,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let mut asked = Asked {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    let length = asked.header("content-length");
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    if length <= BODY_BYTES {
        asked.body = vec![0; length];
        reader.read_exact(&mut asked.body)?;
    }
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked.clone());
    say(reader.get_mut(), &answer(&asked))
}

fn say(stream: &mut impl Write, said: &Said) -> std::io::Result<()> {
    if said.manner == SaidManner::Silent {
        std::thread::sleep(SILENCE);
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} Said\r\nconnection: close\r\n", said.status);
    for (name, value) in &said.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if said.manner != SaidManner::Endless && said.status != 304 {
        head.push_str(&format!("content-length: {}\r\n", said.body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    match said.manner {
        SaidManner::Whole => stream.write_all(&said.body)?,
        SaidManner::Cut => stream.write_all(&said.body[..said.body.len() / 2])?,
        SaidManner::Endless => loop {
            stream.write_all(&said.body)?;
            stream.flush()?;
            std::thread::sleep(PAUSE);
        },
        SaidManner::Silent => {}
    }
    stream.flush()
}
