//! Connections for the HTTP client: by way of `dial`, then TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bailiwick_dial::{DialError, Dialer};
use bailiwick_model::limits::LLM_TLS_TIMEOUT;
use bailiwick_model::{Destination, Protocol};
use bailiwick_policy::{Policy, parse_destination};
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

/// Who decides whether an upstream may be connected to.
#[derive(Debug, Clone)]
pub enum Way {
    /// The operator chose the upstream in the server's own configuration, on whatever machine it is. Never for what an API caller, an agent or
    /// a sandbox named.
    Operator,
    /// This policy does, for every connection and every address.
    Policy(Arc<Policy>),
}

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) way: Way,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) connect_timeout: Duration,
}

/// Why there is no connection. The client wraps it; it is found again by its type.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{0}")]
    Dial(Arc<DialError>),
    #[error("{0}")]
    Tls(Arc<io::Error>),
    #[error("not connected in time")]
    Timeout,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Stream, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let tcp = self.dial(&destination(uri, host)?).await?;
        if uri.scheme_str() != Some("https") {
            return Ok(Stream::Plain(TokioIo::new(tcp)));
        }
        let failed = |error| ConnectError::Tls(Arc::new(error));
        let name = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(name).map_err(|error| failed(io::Error::other(error)))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
        let tls = tokio::time::timeout(LLM_TLS_TIMEOUT, tls).await;
        let tls = tls.map_err(|_| ConnectError::Timeout)?.map_err(failed)?;
        Ok(Stream::Tls(Box::new(TokioIo::new(tls))))
    }

    async fn dial(&self, destination: &Destination) -> Result<TcpStream, ConnectError> {
        let dialing = async {
            match &self.way {
                Way::Operator => self.dialer.dial_for_operator(destination).await,
                Way::Policy(policy) => {
                    let dialed = self.dialer.dial(policy, destination).await;
                    dialed.map(|dialed| dialed.stream)
                }
            }
        };
        let dialed = tokio::time::timeout(self.connect_timeout, dialing).await;
        let dialed = dialed.map_err(|_| ConnectError::Timeout)?;
        dialed.map_err(|error| ConnectError::Dial(Arc::new(error)))
    }
}

/// The host and the port of a URI that a [`BaseUrl`](crate::BaseUrl) made, and so was parsed before.
fn destination(uri: &Uri, host: &str) -> Result<Destination, ConnectError> {
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let host = parse_destination(host)
        .map_err(|_| ConnectError::Dial(Arc::new(DialError::NameNotFound)))?;
    Ok(Destination {
        port: uri.port_u16().unwrap_or(usual),
        protocol: Protocol::Tcp,
        ..host
    })
}

/// A connection to an upstream.
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(_) => Connected::new(),
            Self::Tls(tls) => {
                let (_, session) = tls.inner().get_ref();
                if session.alpn_protocol() == Some(b"h2") {
                    Connected::new().negotiated_h2()
                } else {
                    Connected::new()
                }
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
