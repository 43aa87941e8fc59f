//! The connection of one fetch, which ends with it.

use std::io;
use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_model::limits::OUTBOUND_HEAD_BYTES;
use bailiwick_model::{Destination, Protocol, Reason};
use bailiwick_policy::{Policy, parse_destination};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_util::io::{InspectReader, InspectWriter};
use url::{Host, Url};

use crate::FetchError;
use crate::flow::Recording;

/// Ends a connection with its value.
pub(crate) struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a URL leads to, if it is one that is fetched.
pub(crate) fn destination(url: &Url) -> Result<Destination, FetchError> {
    let is_plain = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_plain {
        return Err(FetchError::Url);
    }
    let host = url.host_str().ok_or(FetchError::Url)?;
    let host = parse_destination(host).map_err(|_| FetchError::Url)?.host;
    Ok(Destination {
        host,
        port: url.port_or_known_default().ok_or(FetchError::Url)?,
        protocol: Protocol::Tcp,
    })
}

/// Dials under the policy, speaks TLS where the URL says so, and asks.
pub(crate) async fn ask(
    (dialer, tls): (&Dialer, &Arc<ClientConfig>),
    (policy, destination): (&Policy, &Destination),
    (url, request): (&Url, Request<Empty<Bytes>>),
    recording: &mut Recording<'_>,
) -> Result<(Response<Incoming>, Connection), FetchError> {
    let stream = match dialer.dial(policy, destination).await {
        Ok(dialed) => {
            recording.is_dialed(&dialed);
            let (sent, received) = (recording.traffic(), recording.traffic());
            let stream = InspectReader::new(dialed.stream, move |bytes| received.received(bytes));
            InspectWriter::new(stream, move |bytes| sent.sent(bytes))
        }
        Err(error) => {
            recording.has_failed(&error);
            return Err(error.into());
        }
    };
    if url.scheme() != "https" {
        return send(stream, request).await;
    }
    let name = server_name(url)?;
    let connecting = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
    match connecting.await {
        Ok(stream) => send(stream, request).await,
        Err(error) => {
            if is_about_a_certificate(&error) {
                recording.is_because_of(Reason::UpstreamCertificate);
            }
            Err(FetchError::Tls(error))
        }
    }
}

/// Whom a certificate has to be for. A dot at the end is no part of a name in one.
fn server_name(url: &Url) -> Result<ServerName<'static>, FetchError> {
    match url.host().ok_or(FetchError::Url)? {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_owned();
            ServerName::try_from(name).map_err(|_| FetchError::Url)
        }
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::from(address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::from(address))),
    }
}

fn is_about_a_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<(Response<Incoming>, Connection), FetchError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(OUTBOUND_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    let connection = Connection(tokio::spawn(connection).abort_handle());
    Ok((sender.send_request(request).await?, connection))
}
