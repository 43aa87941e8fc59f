//! Everything that happens inside a fresh network namespace: loopback, routes, rules, and the sockets that are served from outside.
//!
//! A namespace holds `lo` and nothing else, so nothing that a process inside does can lead out. Both default routes are
//! `local`: every address there is belongs, for this namespace, to the machine itself. A packet to any address thus goes
//! from the output hook over `lo` to the input hook, and the rules (`ruleset`) do the rest: TCP is steered and DNS redirected to
//! sockets that were opened here and are served by Bailiwick outside; every other datagram is refused at once and logged.
//! Loopback itself is left alone.
//!
//! [`NetworkPlan`] is the plain value, `set_up` applies it; both come from the same `Ruleset`, so what
//! `--dry-run` prints is what the kernel gets.
//!
//! Decisions:
//!
//! * **Own netlink encoder** (`netlink`, `nftables`): half a dozen message types, one send for the links and
//!   routes, one for the rules. A generated crate for the whole of netlink would be the slowest unit of the build, and much more
//!   code to audit in the one process that holds privileges.
//! * **TCP is steered to transparent listeners** (Documentation/networking/tproxy.rst), not redirected: nothing is rewritten and nothing tracked, so that a
//!   connection costs no conntrack entry, its packets no look-up there, and its local address is where it was going. Only its first packet meets the rule.
//! * **Two UDP sockets for DNS, no IP_PKTINFO.** `redirect` rewrites the destination of what is sent from here to
//!   127.0.0.1 or ::1. A socket that is bound to exactly that address answers from it by construction, and conntrack
//!   knows the answer. (From a wildcard socket the kernel would choose another source.)
//! * **UDP is refused at input, not at output**: there the sender reads ECONNREFUSED, as from any host without a server; at
//!   output it would be EPERM.
//! * **Only DNS over UDP is tracked**, and limited in rate, since each question is a flow of its own for 30 s.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

mod error;
mod netlink;
mod nftables;
mod route;
mod ruleset;
mod sockets;
#[cfg(test)]
mod tests;

pub use error::{LoopbackStep, NetworkError, NftablesStep, SocketRole};

/// What a network namespace will hold. `Display` prints the rules as `nft list ruleset` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Where steered TCP connections arrive.
    pub relay_port: u16,
    /// Where redirected DNS arrives, over UDP and TCP.
    pub dns_port: u16,
    /// The one IPv4 address besides 127.0.0.1, since look-ups with AI_ADDRCONFIG (RFC 3493 section 6.1) ignore loopback. It
    /// behaves as loopback does, and is the source of every connection that does not choose its own.
    pub address_v4: Ipv4Addr,
    /// The same for IPv6; `None` on a kernel without it.
    pub address_v6: Option<Ipv6Addr>,
    /// The NFLOG group to which refused datagrams are told. Groups are per network namespace.
    pub log_group: u16,
    /// Bytes of each refused datagram that are told: enough for the IP header with options and the ports.
    pub log_bytes: u32,
    /// Refused datagrams that are told in a second, and at once after a pause. All are refused, told or not.
    pub log_rate: Rate,
    /// DNS questions over UDP that are let through in a second. More are dropped (the sender reads EPERM).
    pub dns_rate: Rate,
    /// Steered connections that may wait for the relay to accept them. The host's `net.core.somaxconn` may lower it.
    pub backlog: u16,
}

/// A token bucket in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Packets per second in the long run.
    pub per_second: u32,
    /// Packets at once.
    pub burst: u32,
}

impl NetworkPlan {
    /// The address that `resolv.conf` inside names. Any address that is not loopback would do: DNS is redirected wherever it goes.
    pub const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 253);

    /// The plan of every sandbox. Its addresses lie at the end of 198.18.0.0/15, of which names get theirs from the beginning.
    pub fn standard() -> Self {
        Self {
            relay_port: 65533,
            dns_port: 65534,
            address_v4: Ipv4Addr::new(198, 19, 255, 254),
            // A unique local address (RFC 4193); the prefix spells "bailw".
            address_v6: Some(Ipv6Addr::new(0xfd62, 0x6169, 0x6c77, 0, 0, 0, 0, 1)),
            log_group: 1,
            log_bytes: 128,
            log_rate: Rate {
                per_second: 50,
                burst: 100,
            },
            dns_rate: Rate {
                per_second: 2000,
                burst: 4000,
            },
            backlog: 4096,
        }
    }

    /// The one of the two that this kernel can hold.
    pub fn for_this_kernel() -> Self {
        if std::path::Path::new("/proc/net/if_inet6").exists() {
            Self::standard()
        } else {
            Self::without_ipv6()
        }
    }

    /// The standard plan on a kernel without IPv6 (`ipv6.disable=1`), on which no socket of that family can be made.
    pub fn without_ipv6() -> Self {
        Self {
            address_v6: None,
            ..Self::standard()
        }
    }
}

impl std::fmt::Display for NetworkPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        ruleset::Ruleset::of(self).fmt(f)
    }
}

/// Sockets that were opened inside the namespace and stay in it, wherever they are passed. All are non-blocking and close-on-exec.
#[derive(Debug)]
pub struct NetworkSockets {
    /// Listens for steered TCP, on IPv6 and IPv4 (addresses look like `::ffff:a.b.c.d`); on IPv4 alone where there is no IPv6.
    ///
    /// It is transparent: the local address of a connection (getsockname(2)) is where it was going.
    pub relay: OwnedFd,
    /// Listens for steered DNS over TCP, as `relay` does.
    pub dns_tcp: OwnedFd,
    /// 127.0.0.1: DNS over UDP and IPv4. Answers with a plain sendto(2).
    pub dns_udp_v4: OwnedFd,
    /// NFLOG messages about refused datagrams: netlink datagrams of `NFULNL_MSG_PACKET`, whose attribute
    /// `NFULA_PAYLOAD` is the beginning of the IP packet. ENOBUFS means that some were lost.
    pub denied_udp: OwnedFd,
    /// ::1: DNS over UDP and IPv6; `None` where there is no IPv6.
    pub dns_udp_v6: Option<OwnedFd>,
}

impl NetworkSockets {
    /// The sockets in the order in which [`NetworkSockets::from_descriptors`] takes them, to be passed on with SCM_RIGHTS.
    pub fn into_descriptors(self) -> Vec<OwnedFd> {
        let always = [self.relay, self.dns_tcp, self.dns_udp_v4, self.denied_udp];
        always.into_iter().chain(self.dns_udp_v6).collect()
    }

    /// The other end of [`NetworkSockets::into_descriptors`]; `None` when the number is wrong.
    pub fn from_descriptors(descriptors: impl IntoIterator<Item = OwnedFd>) -> Option<Self> {
        let mut descriptors = descriptors.into_iter();
        let sockets = Self {
            relay: descriptors.next()?,
            dns_tcp: descriptors.next()?,
            dns_udp_v4: descriptors.next()?,
            denied_udp: descriptors.next()?,
            dns_udp_v6: descriptors.next(),
        };
        descriptors.next().is_none().then_some(sockets)
    }
}

/// Applies `plan` to the calling thread's network namespace, which must be fresh: its `lo` is down.
///
/// The rules are in force before `lo` is up. Needs CAP_NET_ADMIN in the user namespace that owns the network namespace.
///
/// # Errors
///
/// [`NetworkError`] names the step, and the kernel's feature that is missing. The namespace is then to be thrown away.
pub(crate) fn set_up(plan: &NetworkPlan) -> Result<NetworkSockets, NetworkError> {
    let route = route::Route::open()?;
    route.require_fresh()?;
    nftables::install(&ruleset::Ruleset::of(plan))?;
    // The last packet of a handshake with a cookie is none that is steered, so connections in a flood would be reset and in no flow. Nothing
    // that holds depends on it.
    let _ = std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "0");
    route.bring_up(plan)?;
    sockets::open(plan)
}
