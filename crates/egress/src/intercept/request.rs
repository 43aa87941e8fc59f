//! Is a request for the host of its connection, and can it be read in one way only?

use bailiwick_model::{Destination, Host, Reason};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use hyper::{Method, Request, Version};

use crate::inspect::names_destination;

/// Why nothing goes to a destination that secrets go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// TLS for another server.
    #[error("TLS asks for the server {0:?}, but the connection was made to another name")]
    ServerName(String),
    /// TLS that cannot be understood.
    #[error("the client's TLS cannot be understood: {0}")]
    Hello(String),
    /// A request for another host.
    #[error("the HTTP request is for {0:?}, but the connection was made to another name or port")]
    OtherHost(String),
    /// Not exactly one host.
    #[error("the HTTP request has {0} Host headers instead of one")]
    HostCount(usize),
    /// A method that reflects the request, or makes a tunnel of the connection.
    #[error("a credential is used for this host, and {0} would carry it elsewhere")]
    Method(Method),
    /// A transfer coding besides `chunked`.
    #[error("the length of the HTTP request's body is malformed or ambiguous")]
    Framing,
    /// The client does not speak HTTP.
    #[error(
        "a credential is used for this host, so that TLS to it has to carry HTTP/1.1 or HTTP/2"
    )]
    NotHttp,
    /// The server's certificate.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    /// TLS with the server failed otherwise.
    #[error("no TLS with the server: {0}")]
    Handshake(String),
}

impl Refusal {
    /// The reason code of the denial.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::ServerName(_) | Self::Hello(_) => Reason::SniMismatch,
            Self::OtherHost(_) | Self::HostCount(_) => Reason::HostMismatch,
            Self::Method(_) | Self::Framing | Self::NotHttp => Reason::CredentialRequest,
            Self::Certificate(_) => Reason::UpstreamCertificate,
            Self::Handshake(_) => Reason::Unreachable,
        }
    }
}

/// Fields that end at the next hop (RFC 9110, section 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A request as it goes on, before secrets are in it.
pub(super) struct Checked {
    pub(super) parts: Parts,
    pub(super) body: Incoming,
    pub(super) path: String,
    /// It asks for a WebSocket.
    pub(super) websocket: bool,
}

/// Checks a request and brings its head into the form in which it goes on.
///
/// # Errors
///
/// The first thing that is wrong.
pub(super) fn check(
    request: Request<Incoming>,
    destination: &Destination,
) -> Result<Checked, Refusal> {
    let (mut parts, body) = request.into_parts();
    if matches!(parts.method, Method::CONNECT | Method::TRACE) || parts.method.as_str() == "TRACK" {
        return Err(Refusal::Method(parts.method));
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !chunked(coding)) || codings.next().is_some() {
        return Err(Refusal::Framing);
    }
    let authority = host_of(&parts, destination)?;
    let websocket = parts.version == Version::HTTP_11 && asks_for_websocket(&parts.headers);
    // The one field of its kind that HTTP/2 has (RFC 9113, section 8.2.2); gRPC needs it.
    let trailers = parts.version == Version::HTTP_2 && parts.headers.contains_key(TE);
    remove_hop_by_hop(&mut parts.headers);
    if trailers {
        parts
            .headers
            .insert(TE, HeaderValue::from_static("trailers"));
    }
    if websocket {
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts
            .headers
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    // The body is asked for when it is sent on; whether to wait is between each side and this one.
    parts.headers.remove(EXPECT);
    let path = parts.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = if parts.version == Version::HTTP_2 {
        parts.headers.remove(HOST);
        absolute(authority, path.clone())?
    } else {
        parts.version = Version::HTTP_11;
        Uri::from(path.clone())
    };
    Ok(Checked {
        path: path.as_str().to_owned(),
        parts,
        body,
        websocket,
    })
}

fn absolute(authority: Authority, path: PathAndQuery) -> Result<Uri, Refusal> {
    Uri::builder()
        .scheme(Scheme::HTTPS)
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| Refusal::HostCount(0))
}

/// What names the host must name the destination: the target, `:authority` and `Host`, as far as they are there.
fn host_of(parts: &Parts, destination: &Destination) -> Result<Authority, Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if let Some(count) = hosts.next().map(|_| 2 + hosts.count()) {
        return Err(Refusal::HostCount(count));
    }
    let other = |text: &[u8]| Refusal::OtherHost(String::from_utf8_lossy(text).into_owned());
    let agrees = |text: &[u8]| names_destination(text, &destination.host, destination.port);
    if let Some(host) = host.filter(|host| !agrees(host.as_bytes())) {
        return Err(other(host.as_bytes()));
    }
    let target = parts.uri.authority();
    if let Some(target) = target.filter(|target| !agrees(target.as_str().as_bytes())) {
        return Err(other(target.as_str().as_bytes()));
    }
    if parts
        .uri
        .scheme()
        .is_some_and(|scheme| *scheme != Scheme::HTTPS)
    {
        return Err(other(parts.uri.to_string().as_bytes()));
    }
    match (target, host) {
        (Some(target), Some(_)) => Ok(target.clone()),
        (Some(target), None) if parts.version == Version::HTTP_2 => Ok(target.clone()),
        (None, Some(host)) => {
            Authority::try_from(host.as_bytes()).map_err(|_| other(host.as_bytes()))
        }
        (_, None) => Err(Refusal::HostCount(0)),
    }
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(UPGRADE).iter();
    upgrades
        .next()
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
        && !headers.contains_key(TRANSFER_ENCODING)
        && !headers.contains_key(CONTENT_LENGTH)
}

/// Removes what ends here, and what the sender says ends here.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // What frames the message is read already, and by whom it is meant too.
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
}

/// Whether `host` is what a server name of TLS may say.
pub(super) fn serves(name: &str, host: &Host) -> bool {
    match host {
        Host::Name(own) => crate::inspect::same_name(name.as_bytes(), own),
        // An address is no server name (RFC 6066, section 3).
        Host::Address(_) => false,
    }
}
