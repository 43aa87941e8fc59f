//! One request head: is it unambiguous, whom is it for, and how long is its body?

use bailiwick_model::{HostName, limits};

use super::{Body, RequestViolation};
use crate::inspect::agreement;

/// More header fields than any client sends; each costs 32 bytes on the stack while the head is parsed.
const MAX_FIELDS: usize = 256;

/// A head that may go on.
#[derive(Debug)]
pub(super) struct Head {
    /// Bytes, with empty lines before it and the empty line after it.
    pub(super) length: usize,
    pub(super) body: Body,
    pub(super) wants_websocket: bool,
}

/// Parses and checks the head at the front of `held`; `None` while it is incomplete.
pub(super) fn parse(
    held: &[u8],
    scan: &mut HeadScan,
    name: &HostName,
    port: u16,
) -> Result<Option<Head>, RequestViolation> {
    // A server that takes `\n\n` for the end sees a shorter head than one that does not, so a bare line feed or carriage
    // return is refused before anything is read into the bytes.
    let Some(length) = scan.head_length(held)? else {
        return Ok(None);
    };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(&held[..length]) {
        Ok(httparse::Status::Complete(parsed)) if parsed == length => {}
        Ok(_) => return Err(RequestViolation::Head),
        Err(httparse::Error::Version) => return Err(RequestViolation::Version),
        Err(_) => return Err(RequestViolation::Head),
    }
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default();
    check_target(method, target, name, port)?;
    check_host(request.headers, name, port)?;
    let body = body(request.headers, request.version)?;
    Ok(Some(Head {
        length,
        body,
        wants_websocket: wants_websocket(request.headers),
    }))
}

/// How far the search for the end of a head has come, so that a client that sends single bytes costs no more than one
/// that does not.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    scanned: usize,
    line_start: usize,
    begun: bool,
}

impl HeadScan {
    /// The length of the head, where every line in it ends with `\r\n`. Empty lines before it belong to it.
    fn head_length(&mut self, held: &[u8]) -> Result<Option<usize>, RequestViolation> {
        let window = &held[..held.len().min(limits::HTTP_HEAD_BYTES)];
        for at in self.scanned..window.len() {
            let previous = if at > self.line_start {
                window[at - 1]
            } else {
                0
            };
            match (previous, window[at]) {
                (b'\r', b'\n') if at - self.line_start == 1 && self.begun => {
                    return Ok(Some(at + 1));
                }
                (b'\r', b'\n') => {
                    self.begun |= at - self.line_start > 1;
                    self.line_start = at + 1;
                }
                (b'\r', _) | (_, b'\n') => return Err(RequestViolation::Head),
                (_, _) => {}
            }
        }
        self.scanned = window.len();
        Ok(None)
    }
}

/// Origin form, `*`, or a form whose authority is the destination (RFC 9112 section 3.2).
fn check_target(
    method: &str,
    target: &str,
    name: &HostName,
    port: u16,
) -> Result<(), RequestViolation> {
    if method.eq_ignore_ascii_case("CONNECT") {
        return agreement::authority(target.as_bytes(), name, port, true);
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(());
    }
    let (_, rest) = target
        .split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http"))
        .ok_or(RequestViolation::Head)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    agreement::authority(authority.as_bytes(), name, port, false)
}

fn check_host(
    fields: &[httparse::Header<'_>],
    name: &HostName,
    port: u16,
) -> Result<(), RequestViolation> {
    let mut hosts = values(fields, "host");
    match (hosts.next(), hosts.count()) {
        (Some(host), 0) => agreement::authority(host, name, port, false),
        (first, more) => Err(RequestViolation::HostCount(
            usize::from(first.is_some()) + more,
        )),
    }
}

/// The framing of RFC 9112 section 6.3, without the combinations that have more than one reading.
fn body(fields: &[httparse::Header<'_>], version: Option<u8>) -> Result<Body, RequestViolation> {
    let mut codings = values(fields, "transfer-encoding");
    let mut lengths = values(fields, "content-length");
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Body::None),
        (None, Some(length)) if lengths.next().is_none() => decimal(length).map(Body::Sized),
        (Some(coding), None)
            if codings.next().is_none()
                && version == Some(1)
                && coding.eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Body::Chunked)
        }
        (_, _) => Err(RequestViolation::Framing),
    }
}

fn decimal(text: &[u8]) -> Result<u64, RequestViolation> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok());
    number.ok_or(RequestViolation::Framing)
}

fn wants_websocket(fields: &[httparse::Header<'_>]) -> bool {
    let mut upgrades = values(fields, "upgrade");
    upgrades
        .next()
        .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
}

fn values<'a>(
    fields: &'a [httparse::Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value.trim_ascii())
}
