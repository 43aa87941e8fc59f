//! Telling a client that it was refused, in its own protocol, and never leaving it hanging.

use std::time::Duration;

use bailiwick_model::{Decision, Destination, EnvironmentName, Reason, Verdict, limits};
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use serde_json::json;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::lane::send_some;
use crate::inspect::first_bytes::{FirstBytes, classify};

/// The most bytes of a request that are looked at to find out what it is.
const LOOK_BYTES: usize = 4096;
/// The most bytes of a refused request that are thrown away so that its answer is read.
const DRAIN_BYTES: usize = 1024 * 1024;

/// TLS alert `access_denied` (RFC 8446 section 6.2).
const ACCESS_DENIED: u8 = 49;
/// TLS alert `unrecognized_name` (RFC 6066 section 3).
const UNRECOGNIZED_NAME: u8 = 112;

/// Refuses a connection of which nothing was read yet: an answer for HTTP and TLS, a reset for the rest.
///
/// Waits at most `grace` for the first bytes.
pub(crate) async fn refuse(client: TcpStream, grace: Duration, body: &str, decision: &Decision) {
    let first = timeout(grace, first_bytes(&client))
        .await
        .unwrap_or(FirstBytes::Opaque);
    match first {
        FirstBytes::Http | FirstBytes::SimpleHttp => answer_http(client, body, decision).await,
        // Nothing stands behind the name: an alert would blame TLS for it.
        FirstBytes::Tls
            if decision.reason == Reason::Unreachable
                || decision.reason == Reason::NameNotFound =>
        {
            reset(client);
        }
        FirstBytes::Tls => answer_tls(client, decision).await,
        FirstBytes::Undecided { .. } | FirstBytes::Opaque => reset(client),
    }
}

/// `403` for what the policy denies, `502` for what it allows and nobody answers.
pub(crate) async fn answer_http(client: TcpStream, body: &str, decision: &Decision) {
    let status = match decision.reason {
        Reason::Unreachable | Reason::NameNotFound => "502 Bad Gateway",
        Reason::InvalidDestination
        | Reason::Floor
        | Reason::HostPort
        | Reason::Pinned
        | Reason::OrganizationFloor
        | Reason::DeniedRule
        | Reason::PrivateAddress
        | Reason::Unrestricted
        | Reason::HostRule
        | Reason::Preset
        | Reason::SessionGrant
        | Reason::CidrRule
        | Reason::NoRule
        | Reason::ResolvedToPrivate
        | Reason::UnverifiedAddress
        | Reason::SniMismatch
        | Reason::HostMismatch
        | Reason::CredentialRequest
        | Reason::UpstreamCertificate
        | Reason::Udp
        | Reason::NameLimit
        | Reason::ConnectionLimit => "403 Forbidden",
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    finish(client, &[head.as_bytes(), body.as_bytes()].concat()).await;
}

/// A fatal alert.
pub(crate) async fn answer_tls(client: TcpStream, decision: &Decision) {
    let description = if decision.reason == Reason::SniMismatch {
        UNRECOGNIZED_NAME
    } else {
        ACCESS_DENIED
    };
    finish(client, &[21, 3, 3, 0, 2, 2, description]).await;
}

/// Closes at once with a reset, whatever is still on its way.
pub(crate) fn reset(stream: TcpStream) {
    // It fails only on something that is no socket; the connection is then closed all the same.
    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    drop(stream);
}

/// The body of a refusal, as `curl` prints it.
pub(crate) fn body(
    destination: &Destination,
    environment: Option<&EnvironmentName>,
    decision: &Decision,
) -> String {
    let verdict = match decision.verdict {
        Verdict::Allow | Verdict::Deny => Verdict::Deny,
    };
    let value = json!({
        "verdict": verdict,
        "reason": decision.reason,
        "destination": destination.to_string(),
        "environment": environment,
        "hint": decision.hint,
    });
    format!("{value}\n")
}

/// Sends the last words. Closing with unread bytes would reset the connection before they are read, so the rest of the
/// request is thrown away first.
async fn finish(client: TcpStream, words: &[u8]) {
    if send_some(&client, words).is_err() || shutdown(&client, Shutdown::Write).is_err() {
        return reset(client);
    }
    let _ = timeout(limits::DENIED_GRACE, drain(&client)).await;
    reset(client);
}

async fn drain(client: &TcpStream) {
    let mut drained = 0;
    let mut buffer = [0; LOOK_BYTES];
    while drained < DRAIN_BYTES && client.readable().await.is_ok() {
        let read = client.try_io(Interest::READABLE, || {
            Ok(recv(client, &mut buffer[..], RecvFlags::empty())?.0)
        });
        match read {
            Ok(0) => return,
            Ok(length) => drained += length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// What the client speaks; its bytes stay in the socket.
async fn first_bytes(client: &TcpStream) -> FirstBytes {
    let mut buffer = [0; LOOK_BYTES];
    let mut seen = 0;
    loop {
        let Ok(length) = client.peek(&mut buffer).await else {
            return FirstBytes::Opaque;
        };
        match classify(&buffer[..length]) {
            FirstBytes::Undecided { .. } if length > seen && length < LOOK_BYTES => seen = length,
            // The end of the stream, or the same bytes once more: there is no event for "more than before".
            FirstBytes::Undecided { .. } if length == 0 || length == LOOK_BYTES => {
                return FirstBytes::Opaque;
            }
            FirstBytes::Undecided { .. } => tokio::time::sleep(Duration::from_millis(10)).await,
            decided @ (FirstBytes::Tls
            | FirstBytes::Http
            | FirstBytes::SimpleHttp
            | FirstBytes::Opaque) => return decided,
        }
    }
}
