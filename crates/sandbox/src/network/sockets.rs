//! The sockets that are opened inside and served from outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, listen, netlink, socket_with, sockopt,
};
use socket2::SockRef;

use super::netlink::{Batch, Netlink};
use super::{NetworkError, NetworkPlan, NetworkSockets, SocketRole};

/// Attributes of NFULNL_MSG_CONFIG have no more than these three here (linux/netfilter/nfnetlink_log.h).
const COPY_PACKET: u8 = libc::NFULNL_COPY_PACKET as u8;

/// Opens them all. None is bound with SO_REUSEADDR or SO_REUSEPORT, so that no program inside can bind beside them.
pub(super) fn open(plan: &NetworkPlan) -> Result<NetworkSockets, NetworkError> {
    let failed = |socket| move |errno| NetworkError::Socket { socket, errno };
    let udp = |address| datagram(SocketAddr::new(address, plan.dns_port));
    let v6 = match plan.address_v6 {
        Some(_) => Some(udp(Ipv6Addr::LOCALHOST.into()).map_err(failed(SocketRole::DnsUdpV6))?),
        None => None,
    };
    Ok(NetworkSockets {
        relay: listener(plan, plan.relay_port).map_err(failed(SocketRole::Relay))?,
        dns_tcp: listener(plan, plan.dns_port).map_err(failed(SocketRole::DnsTcp))?,
        dns_udp_v4: udp(Ipv4Addr::LOCALHOST.into()).map_err(failed(SocketRole::DnsUdpV4))?,
        denied_udp: datagram_log(plan).map_err(failed(SocketRole::DeniedUdp))?,
        dns_udp_v6: v6,
    })
}

fn listener(plan: &NetworkPlan, port: u16) -> Result<OwnedFd, Errno> {
    let any: IpAddr = match plan.address_v6 {
        Some(_) => Ipv6Addr::UNSPECIFIED.into(),
        None => Ipv4Addr::UNSPECIFIED.into(),
    };
    let socket = inet_socket(any, SocketType::STREAM)?;
    if any.is_ipv6() {
        // The default comes from the sysctl bindv6only.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // For connections to any address (ip(7), IP_TRANSPARENT); the kernel has one flag for both families.
    SockRef::from(&socket)
        .set_ip_transparent_v4(true)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    bind(&socket, &SocketAddr::new(any, port))?;
    listen(&socket, plan.backlog.into())?;
    // Not before: nobody can bind beside a socket that listens (socket(7)). A connection to a port elsewhere is a socket with that port here;
    // with this it does not stand in the way of a server inside.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    Ok(socket)
}

fn datagram(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = inet_socket(address.ip(), SocketType::DGRAM)?;
    bind(&socket, &address)?;
    Ok(socket)
}

fn inet_socket(address: IpAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    socket_with(
        family,
        kind,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

/// A netlink socket to which the kernel tells every packet that a rule logs to the plan's group.
fn datagram_log(plan: &NetworkPlan) -> Result<OwnedFd, Errno> {
    let socket = Netlink::open(Some(netlink::NETFILTER))?;
    let mut batch = Batch::default();
    let kind = (libc::NFNL_SUBSYS_ULOG << 8 | libc::NFULNL_MSG_CONFIG) as u16;
    let [high, low] = plan.log_group.to_be_bytes();
    let bind = batch.message(
        kind,
        libc::NLM_F_ACK,
        &[&[libc::AF_UNSPEC as u8, libc::NFNETLINK_V0 as u8, high, low]],
    );
    batch.attribute(
        libc::NFULA_CFG_CMD as u16,
        &[libc::NFULNL_CFG_CMD_BIND as u8],
    );
    // struct nfulnl_msg_config_mode: bytes to copy, mode, padding.
    let [a, b, c, d] = plan.log_bytes.to_be_bytes();
    batch.attribute(libc::NFULA_CFG_MODE as u16, &[a, b, c, d, COPY_PACKET, 0]);
    // Told one by one and at once, not by the hundred or after a second.
    batch.attribute(libc::NFULA_CFG_QTHRESH as u16, &1u32.to_be_bytes());
    socket
        .exchange(&batch, bind)
        .map_err(|refusal| refusal.errno)?;
    let socket = socket.into_fd();
    fcntl_setfl(&socket, OFlags::NONBLOCK)?;
    Ok(socket)
}
