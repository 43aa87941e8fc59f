//! The sockets that a sandbox's init opened in its network namespace and passed out.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use tokio::net::TcpStream;

/// Everything through which a sandbox reaches Bailiwick. A socket stays in the namespace it was made in, so holding these
/// is all that is needed to serve it; nothing here enters a namespace.
#[derive(Debug)]
pub struct Sockets {
    /// Listening TCP, dual-stack `[::]` and transparent: where nftables steers every TCP connection that is not for loopback.
    pub tcp: OwnedFd,
    /// Listening TCP, dual-stack and transparent: where nftables steers port 53.
    pub dns_tcp: OwnedFd,
    /// UDP on 127.0.0.1: where nftables redirects port 53 over IPv4. `redirect` rewrites the destination of local packets
    /// to 127.0.0.1, so that answers leave from the address conntrack expects without any IP_PKTINFO.
    pub dns_udp_v4: OwnedFd,
    /// UDP on ::1, the same for IPv6; `None` on a kernel without it.
    pub dns_udp_v6: Option<OwnedFd>,
    /// NETLINK_NETFILTER, bound to the group to which nftables logs each datagram that it refuses.
    pub denied_udp: OwnedFd,
}

/// Where a connection that arrived at a listening socket was meant to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OriginalDestination {
    /// To the local address of the connection: the listener is transparent, and nothing rewrote it.
    #[default]
    Local,
    /// Every connection is for this address. For benchmarks and tests on plain loopback, where nothing is steered.
    Fixed(SocketAddr),
}

impl OriginalDestination {
    /// The destination of one connection, IPv4-mapped addresses unwrapped.
    ///
    /// # Errors
    ///
    /// getsockname(2) fails for want of kernel memory only.
    pub(crate) fn of(self, stream: &TcpStream) -> io::Result<SocketAddr> {
        match self {
            Self::Fixed(address) => Ok(address),
            Self::Local => {
                let local = stream.local_addr()?;
                Ok(SocketAddr::new(local.ip().to_canonical(), local.port()))
            }
        }
    }
}
