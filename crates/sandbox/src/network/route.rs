//! `lo`, its addresses and the routes that make every address local (rtnetlink(7)).

use std::net::IpAddr;

use super::netlink::{Batch, Netlink, Refusal, u32_at};
use super::{LoopbackStep, NetworkError, NetworkPlan};

/// The index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;
const IFF_UP: u32 = libc::IFF_UP as u32;
/// linux/rtnetlink.h: the statistics of the device need not be gathered.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// The kernel's routing side.
pub(super) struct Route(Netlink);

impl Route {
    pub(super) fn open() -> Result<Self, NetworkError> {
        Netlink::open(None).map(Self).map_err(failed)
    }

    /// Refuses a namespace in which `lo` is up already: it is somebody else's, perhaps the host's.
    pub(super) fn require_fresh(&self) -> Result<(), NetworkError> {
        let mut request = Batch::default();
        // struct ifinfomsg: family, padding, type; index at 4, flags at 8, which flags change.
        request.message(
            libc::RTM_GETLINK,
            0,
            &[&[0; 4], &LOOPBACK.to_ne_bytes(), &[0; 8]],
        );
        request.attribute(libc::IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        let link = self.0.ask(&request).map_err(failed)?;
        if u32_at(&link, 8) & IFF_UP == 0 {
            Ok(())
        } else {
            Err(NetworkError::NotFresh)
        }
    }

    /// Sets `lo` up, adds the addresses and the routes.
    pub(super) fn bring_up(&self, plan: &NetworkPlan) -> Result<(), NetworkError> {
        let mut batch = Batch::default();
        let mut steps = vec![LoopbackStep::Up];
        let v6 = plan.address_v6.is_some();
        set_loopback_up(&mut batch);
        steps.extend([LoopbackStep::AddressV4, LoopbackStep::RouteV4]);
        add_address(&mut batch, plan.address_v4.into());
        let mut last = add_local_route(&mut batch, plan.address_v4.into(), !v6);
        if let Some(address) = plan.address_v6 {
            steps.extend([LoopbackStep::AddressV6, LoopbackStep::RouteV6]);
            add_address(&mut batch, address.into());
            last = add_local_route(&mut batch, address.into(), true);
        }
        self.0
            .exchange(&batch, last)
            .map_err(|Refusal { message, errno }| {
                match message.and_then(|number| steps.get(number as usize).copied()) {
                    Some(step) => NetworkError::Loopback { step, errno },
                    None => failed(errno),
                }
            })
    }
}

fn set_loopback_up(batch: &mut Batch) {
    // struct ifinfomsg: family, padding, type, index, flags, which flags change.
    let up = IFF_UP.to_ne_bytes();
    batch.message(
        libc::RTM_NEWLINK,
        0,
        &[&[0; 4], &LOOPBACK.to_ne_bytes(), &up, &up],
    );
}

fn add_address(batch: &mut Batch, address: IpAddr) {
    let (family, octets) = encode(address);
    let bits = (octets.len() * 8) as u8;
    // struct ifaddrmsg: family, prefix length, flags, scope, index. Without NODAD the address would be tentative at first.
    let fixed = [
        family,
        bits,
        libc::IFA_F_NODAD as u8,
        libc::RT_SCOPE_UNIVERSE,
    ];
    batch.message(
        libc::RTM_NEWADDR,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        &[&fixed, &LOOPBACK.to_ne_bytes()],
    );
    batch.attribute(libc::IFA_LOCAL, &octets);
    batch.attribute(libc::IFA_ADDRESS, &octets);
}

/// `ip route add local default dev lo src ADDRESS`. Without the source the kernel would use the destination as source too.
fn add_local_route(batch: &mut Batch, source: IpAddr, acknowledge: bool) -> u32 {
    let (family, octets) = encode(source);
    // struct rtmsg: family, destination and source prefix length, tos, table, protocol, scope, type, flags.
    let (table, protocol) = (libc::RT_TABLE_LOCAL, libc::RTPROT_STATIC);
    let fixed = [
        family,
        0,
        0,
        0,
        table,
        protocol,
        libc::RT_SCOPE_HOST,
        libc::RTN_LOCAL,
        0,
        0,
        0,
        0,
    ];
    let flags =
        libc::NLM_F_CREATE | libc::NLM_F_EXCL | if acknowledge { libc::NLM_F_ACK } else { 0 };
    let number = batch.message(libc::RTM_NEWROUTE, flags, &[&fixed]);
    batch.attribute(libc::RTA_OIF, &LOOPBACK.to_ne_bytes());
    batch.attribute(libc::RTA_PREFSRC, &octets);
    number
}

fn encode(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
    }
}

fn failed(errno: rustix::io::Errno) -> NetworkError {
    NetworkError::Netlink {
        protocol: "NETLINK_ROUTE",
        errno,
    }
}
