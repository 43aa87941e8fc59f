//! Why a network namespace could not be set up: always a refusal to start, with the feature that is missing.

use std::fmt;

use rustix::io::Errno;

/// Why `set_up` failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// A netlink socket could not be opened or spoken to.
    #[error("cannot speak {protocol} with the kernel: {errno}")]
    Netlink {
        /// `NETLINK_ROUTE` or `NETLINK_NETFILTER`.
        protocol: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// `lo` is up in a namespace that should be fresh, so that it is not one of Bailiwick's own.
    #[error("the network namespace is not fresh: its loopback device is up")]
    NotFresh,
    /// `lo`, its addresses or the routes.
    #[error("cannot {step}: {errno}{}", step.hint(*errno))]
    Loopback {
        /// What was being done.
        step: LoopbackStep,
        /// What the kernel said.
        errno: Errno,
    },
    /// The rules.
    #[error("the kernel refused the nftables {step}: {errno}; it must offer {}", step.feature())]
    Nftables {
        /// Which part of the rules it was.
        step: NftablesStep,
        /// What the kernel said.
        errno: Errno,
    },
    /// A socket that is served from outside.
    #[error("cannot open the {socket}: {errno}")]
    Socket {
        /// Which one.
        socket: SocketRole,
        /// What the kernel said.
        errno: Errno,
    },
}

/// The steps from a bare namespace to one in which every address is local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopbackStep {
    /// `ip link set lo up`.
    Up,
    /// `ip address add ... dev lo`.
    AddressV4,
    /// `ip route add local default dev lo`.
    RouteV4,
    /// `ip -6 address add ... dev lo`.
    AddressV6,
    /// `ip -6 route add local default dev lo`.
    RouteV6,
}

impl LoopbackStep {
    fn hint(self, errno: Errno) -> &'static str {
        match (self, errno) {
            (
                Self::AddressV6 | Self::RouteV6,
                Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::ACCESS,
            ) => " (IPv6 is off in this kernel or by sysctl)",
            (Self::Up | Self::AddressV4 | Self::RouteV4 | Self::AddressV6 | Self::RouteV6, _) => "",
        }
    }
}

impl fmt::Display for LoopbackStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "set the loopback device up",
            Self::AddressV4 => "give the loopback device its IPv4 address",
            Self::RouteV4 => "make the IPv4 default route local",
            Self::AddressV6 => "give the loopback device its IPv6 address",
            Self::RouteV6 => "make the IPv6 default route local",
        })
    }
}

/// The parts of the rules, each with the kernel options that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NftablesStep {
    /// The table of the family `inet`.
    Table,
    /// A chain of type `filter`.
    FilterChain,
    /// A chain of type `nat`.
    NatChain,
    /// A rule that accepts.
    Accept,
    /// A rule that leaves flows untracked.
    Untrack,
    /// A rule that redirects.
    Redirect,
    /// A rule that hands a connection to a transparent listener.
    Steer,
    /// A rule that drops above a rate.
    Limit,
    /// A rule that logs.
    Log,
    /// A rule that refuses.
    Reject,
    /// All of them together, when they are made active.
    Commit,
}

impl NftablesStep {
    /// The kernel's options, by the names in its configuration.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Table | Self::Commit => {
                "CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET (module nf_tables)"
            }
            Self::FilterChain => "CONFIG_NF_TABLES_INET (module nf_tables)",
            Self::NatChain => "CONFIG_NFT_NAT and CONFIG_NF_NAT (modules nft_chain_nat, nf_nat)",
            Self::Accept => "CONFIG_NFT_CT and CONFIG_NF_CONNTRACK (modules nft_ct, nf_conntrack)",
            Self::Untrack => "CONFIG_NFT_CT (module nft_ct)",
            Self::Redirect => "CONFIG_NFT_REDIR (module nft_redir)",
            Self::Steer => "CONFIG_NFT_TPROXY (module nft_tproxy)",
            Self::Limit => "CONFIG_NFT_LIMIT (module nft_limit)",
            Self::Log => {
                "CONFIG_NFT_LOG, CONFIG_NFT_LIMIT and CONFIG_NETFILTER_NETLINK_LOG (modules nft_log, nft_limit, nfnetlink_log)"
            }
            Self::Reject => {
                "CONFIG_NFT_REJECT and CONFIG_NFT_REJECT_INET (modules nft_reject, nft_reject_inet)"
            }
        }
    }
}

impl fmt::Display for NftablesStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::FilterChain => "filter chain",
            Self::NatChain => "nat chain",
            Self::Accept => "rule that accepts",
            Self::Untrack => "rule that leaves flows untracked",
            Self::Redirect => "rule that redirects",
            Self::Steer => "rule that steers to a transparent listener",
            Self::Limit => "rule that limits",
            Self::Log => "rule that logs",
            Self::Reject => "rule that refuses",
            Self::Commit => "rules as a whole",
        })
    }
}

/// The sockets of [`NetworkSockets`](super::NetworkSockets).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketRole {
    /// Where steered TCP arrives.
    Relay,
    /// Where steered DNS over TCP arrives.
    DnsTcp,
    /// Where redirected DNS over UDP and IPv4 arrives.
    DnsUdpV4,
    /// Where redirected DNS over UDP and IPv6 arrives.
    DnsUdpV6,
    /// Where refused datagrams are told.
    DeniedUdp,
}

impl fmt::Display for SocketRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relay => "relay's listener",
            Self::DnsTcp => "resolver's TCP listener",
            Self::DnsUdpV4 => "resolver's UDP socket for IPv4",
            Self::DnsUdpV6 => "resolver's UDP socket for IPv6",
            Self::DeniedUdp => {
                "log of refused datagrams (CONFIG_NETFILTER_NETLINK_LOG, module nfnetlink_log)"
            }
        })
    }
}
