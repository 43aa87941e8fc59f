//! The sockets that a sandbox's init opened in its network namespace and passed out.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
use tokio::net::TcpStream;

/// Everything through which a sandbox reaches Bailiwick. A socket stays in the namespace it was made in, so holding these
/// is all that is needed to serve it; nothing here enters a namespace.
#[derive(Debug)]
pub struct Sockets {
    /// Listening TCP, dual-stack `[::]`: where nftables redirects every TCP connection that is not for loopback.
    pub tcp: OwnedFd,
    /// Listening TCP, dual-stack: where nftables redirects port 53.
    pub dns_tcp: OwnedFd,
    /// UDP on 127.0.0.1: where nftables redirects port 53 over IPv4. `redirect` rewrites the destination of local packets
    /// to 127.0.0.1, so that answers leave from the address conntrack expects without any IP_PKTINFO.
    pub dns_udp_v4: OwnedFd,
    /// UDP on ::1, the same for IPv6; `None` on a kernel without it.
    pub dns_udp_v6: Option<OwnedFd>,
    /// NETLINK_NETFILTER, bound to the group to which nftables logs each datagram that it refuses.
    pub denied_udp: OwnedFd,
}

/// Where a connection that was redirected to a listening socket was meant to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OriginalDestination {
    /// The kernel knows: SO_ORIGINAL_DST of conntrack.
    #[default]
    Conntrack,
    /// Every connection is for this address. For benchmarks and tests on plain loopback, where nothing redirects.
    Fixed(SocketAddr),
}

/// A connection that nothing redirected: somebody found the listening port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRedirected {
    pub(crate) local: Option<SocketAddr>,
}

impl OriginalDestination {
    /// Asks for the destination of one connection, IPv4-mapped addresses unwrapped.
    pub(crate) fn of(self, stream: &TcpStream) -> Result<SocketAddr, NotRedirected> {
        match self {
            Self::Fixed(address) => Ok(address),
            Self::Conntrack => Self::from_conntrack(stream),
        }
    }

    fn from_conntrack(stream: &TcpStream) -> Result<SocketAddr, NotRedirected> {
        let local = stream.local_addr().ok().map(canonical);
        let original = match local.map(|local| local.ip()) {
            Some(IpAddr::V4(_)) => ip_original_dst(stream).map(SocketAddr::V4),
            Some(IpAddr::V6(_)) => ipv6_original_dst(stream).map(SocketAddr::V6),
            None => Err(Errno::NOTCONN),
        };
        match original.map(canonical) {
            Ok(original) if Some(original) != local => Ok(original),
            Ok(_) | Err(_) => Err(NotRedirected { local }),
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
