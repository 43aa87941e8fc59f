//! Making TCP connections to checked addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketFlags, SocketType, connect, getsockname, socket_with,
};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Unreachable;

/// How long one address has before the next one is tried beside it (RFC 8305 section 5, "Connection Attempt Delay").
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that answers. The stream has TCP_NODELAY.
pub(crate) async fn race(addresses: &[SocketAddr]) -> Result<(TcpStream, IpAddr), Unreachable> {
    if let [only] = addresses {
        return one(*only).await;
    }
    let mut waiting = addresses.iter().copied();
    let mut running = JoinSet::new();
    let mut last = Unreachable::Timeout;
    loop {
        if let Some(next) = waiting.next() {
            running.spawn(one(next));
        } else if running.is_empty() {
            return Err(last);
        }
        // While addresses are left, each attempt that fails or takes long starts the next one.
        let ended = if waiting.len() > 0 {
            timeout(ATTEMPT_DELAY, running.join_next())
                .await
                .unwrap_or(None)
        } else {
            running.join_next().await
        };
        match ended {
            Some(Ok(Ok(connected))) => return Ok(connected),
            Some(Ok(Err(error))) => last = error,
            Some(Err(_)) | None => {}
        }
    }
}

async fn one(address: SocketAddr) -> Result<(TcpStream, IpAddr), Unreachable> {
    let (stream, connected) = begin(address)?;
    if !connected {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error.into());
        }
    }
    Ok((stream, address.ip()))
}

/// Starts to connect, and says whether that is already done.
///
/// On loopback the handshake is over when `connect` returns, but a non-blocking socket answers EINPROGRESS all the same.
/// Asking a second time (connect(2): success, EALREADY or the error) saves a trip through epoll.
fn begin(address: SocketAddr) -> Result<(TcpStream, bool), Unreachable> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
    let first = connect(&socket, &address);
    let state = if first == Err(Errno::INPROGRESS) {
        connect(&socket, &address)
    } else {
        first
    };
    let connected = match state {
        Ok(()) | Err(Errno::ISCONN) => true,
        Err(Errno::ALREADY | Errno::INPROGRESS) => false,
        Err(errno) => return Err(errno.into()),
    };
    Ok((TcpStream::from_std(socket.into())?, connected))
}

/// True when the other end of a connection to `address` is this machine: the kernel then answers from the address itself.
pub(crate) fn is_own_address(stream: &TcpStream, address: IpAddr) -> bool {
    let local = getsockname(stream)
        .ok()
        .and_then(|local: SocketAddrAny| SocketAddr::try_from(local).ok());
    local.is_none_or(|local| local.ip().to_canonical() == address)
}
