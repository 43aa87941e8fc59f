//! The rules as a value: printed as text here, sent to the kernel by [`super::nftables`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{NetworkPlan, Rate};

/// The one table.
pub(super) const TABLE: &str = "bailiwick";

/// Where a packet is going, as the output hook saw it: its mark. Setting one takes CAP_NET_ADMIN (socket(7), SO_MARK), which no
/// program inside has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mark {
    /// To loopback.
    Own = 1,
    /// To anywhere else, with the first packet of a TCP connection.
    Steered = 2,
}

/// The chains of the table.
#[derive(Debug)]
pub(super) struct Ruleset {
    pub(super) chains: Vec<Chain>,
}

/// A chain that hangs on a hook of the family `inet`.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) kind: ChainKind,
    pub(super) hook: Hook,
    pub(super) priority: Priority,
    pub(super) policy: Policy,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChainKind {
    Filter,
    Nat,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Hook {
    Prerouting,
    Input,
    Output,
}

/// Where a chain stands among others of its hook (enum nf_ip_hook_priorities); conntrack is at -200.
#[derive(Debug, Clone, Copy)]
pub(super) enum Priority {
    /// -300, before conntrack.
    Raw,
    /// -150.
    Mangle,
    /// -100.
    DestinationNat,
    /// 0.
    Filter,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Policy {
    Accept,
    Drop,
}

/// Conditions, all of which must hold, and what then happens.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) when: Vec<Condition>,
    pub(super) then: Vec<Action>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    /// 127.0.0.0/8.
    ToLoopbackV4,
    /// Exactly this address.
    To(IpAddr),
    /// Exactly this source.
    From(IpAddr),
    Transport(Transport),
    SourcePort(Transport, u16),
    DestinationPort(Transport, u16),
    /// A TCP packet that opens no connection, as SYN alone does (RFC 9293 section 3.5).
    Opened,
    Marked(Mark),
    /// The flow was redirected by this table; nothing else in the namespace does NAT.
    Redirected,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Accept,
    Drop,
    /// The rules after this one still apply.
    Untrack,
    /// Conntrack rewrites the destination of the flow to loopback and this port.
    RedirectTo(u16),
    /// The packet is for the transparent listener at this port, and keeps its destination.
    SteerTo(u16),
    SetMark(Mark),
    /// The rest of the rule applies as long as the rate is kept.
    Within(Rate),
    /// The rest of the rule applies to what is above the rate.
    Above(Rate),
    Log {
        group: u16,
        bytes: u32,
    },
    Reject(Rejection),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Rejection {
    TcpReset,
    PortUnreachable,
    AdministrativelyProhibited,
}

impl Ruleset {
    /// The rules of `plan`.
    pub(super) fn of(plan: &NetworkPlan) -> Self {
        Self {
            chains: vec![
                outbound(plan),
                redirected(plan),
                steered(plan),
                inbound(plan),
            ],
        }
    }
}

/// Every packet of the namespace begins here, and is marked by where it goes.
///
/// Only DNS over UDP, and the answers to it, is tracked. Datagrams that will be refused are told here and not where they are refused,
/// because the kernel discards multicast on its way.
fn outbound(plan: &NetworkPlan) -> Chain {
    use Transport::{Tcp, Udp};
    let mut rules = vec![rule([Condition::Opened], [Action::Untrack, Action::Accept])];
    // Answers of the resolver, which alone can have these addresses with this port: it has them.
    let resolver = [
        Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        plan.address_v6.map(|_| IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    rules.extend(resolver.into_iter().flatten().map(|address| {
        rule(
            [
                Condition::From(address),
                Condition::SourcePort(Udp, plan.dns_port),
            ],
            [Action::Accept],
        )
    }));
    let own = [Action::SetMark(Mark::Own), Action::Untrack, Action::Accept];
    rules.extend(to_self(plan).map(|to| rule([to], own)));
    let log = Action::Log {
        group: plan.log_group,
        bytes: plan.log_bytes,
    };
    rules.extend([
        rule(
            [Condition::Transport(Tcp)],
            [
                Action::SetMark(Mark::Steered),
                Action::Untrack,
                Action::Accept,
            ],
        ),
        rule(
            [Condition::DestinationPort(Udp, 53)],
            [Action::Above(plan.dns_rate), Action::Drop],
        ),
        rule([Condition::DestinationPort(Udp, 53)], [Action::Accept]),
        rule(
            [Condition::Transport(Udp)],
            [Action::Within(plan.log_rate), log],
        ),
        rule([], [Action::Untrack]),
    ]);
    Chain {
        name: "outbound",
        kind: ChainKind::Filter,
        hook: Hook::Output,
        priority: Priority::Raw,
        policy: Policy::Accept,
        rules,
    }
}

/// The first packet of each tracked flow comes by here: those of DNS over UDP.
fn redirected(plan: &NetworkPlan) -> Chain {
    Chain {
        name: "redirected",
        kind: ChainKind::Nat,
        hook: Hook::Output,
        priority: Priority::DestinationNat,
        policy: Policy::Accept,
        rules: vec![rule(
            [Condition::DestinationPort(Transport::Udp, 53)],
            [Action::RedirectTo(plan.dns_port)],
        )],
    }
}

/// Connections to anywhere but here are opened with a listener of Bailiwick. Later packets find the socket by themselves.
fn steered(plan: &NetworkPlan) -> Chain {
    let opening = Condition::Marked(Mark::Steered);
    let dns = Condition::DestinationPort(Transport::Tcp, 53);
    Chain {
        name: "steered",
        kind: ChainKind::Filter,
        hook: Hook::Prerouting,
        priority: Priority::Mangle,
        policy: Policy::Accept,
        rules: vec![
            rule(
                [opening, dns],
                [Action::SteerTo(plan.dns_port), Action::Accept],
            ),
            rule(
                [opening, Condition::Transport(Transport::Tcp)],
                [Action::SteerTo(plan.relay_port)],
            ),
        ],
    }
}

/// Every packet of the namespace arrives here: steered and redirected ones, those for loopback, and what must be refused.
fn inbound(plan: &NetworkPlan) -> Chain {
    use Transport::{Tcp, Udp};
    let mut rules = vec![
        rule([Condition::Opened], [Action::Accept]),
        rule([Condition::Marked(Mark::Steered)], [Action::Accept]),
        rule([Condition::Redirected], [Action::Accept]),
    ];
    // The listeners are for what was sent elsewhere; a connection to their own ports was not.
    for port in [plan.relay_port, plan.dns_port] {
        rules.push(rule(
            [Condition::DestinationPort(Tcp, port)],
            [Action::Reject(Rejection::TcpReset)],
        ));
    }
    rules.extend([
        rule(
            [Condition::DestinationPort(Udp, plan.dns_port)],
            [Action::Reject(Rejection::PortUnreachable)],
        ),
        rule([Condition::Marked(Mark::Own)], [Action::Accept]),
        rule(
            [Condition::Transport(Udp)],
            [Action::Reject(Rejection::PortUnreachable)],
        ),
        rule([], [Action::Reject(Rejection::AdministrativelyProhibited)]),
    ]);
    Chain {
        name: "inbound",
        kind: ChainKind::Filter,
        hook: Hook::Input,
        priority: Priority::Filter,
        policy: Policy::Drop,
        rules,
    }
}

/// Loopback, and the namespace's own addresses, which behave like it.
fn to_self(plan: &NetworkPlan) -> impl Iterator<Item = Condition> {
    let own = [
        Some(plan.address_v4.into()),
        Some(Ipv6Addr::LOCALHOST.into()),
        plan.address_v6.map(IpAddr::from),
    ];
    std::iter::once(Condition::ToLoopbackV4).chain(own.into_iter().flatten().map(Condition::To))
}

fn rule<const C: usize, const A: usize>(when: [Condition; C], then: [Action; A]) -> Rule {
    Rule {
        when: when.to_vec(),
        then: then.to_vec(),
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {TABLE} {{")?;
        for (index, chain) in self.chains.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            chain.fmt(f)?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            kind,
            hook,
            priority,
            policy,
            rules,
        } = self;
        writeln!(f, "\tchain {name} {{")?;
        writeln!(
            f,
            "\t\ttype {kind} hook {hook} priority {priority}; policy {policy};"
        )?;
        for rule in rules {
            writeln!(f, "\t\t{rule}")?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for condition in &self.when {
            write!(f, "{space}{condition}")?;
            space = " ";
        }
        for action in &self.then {
            write!(f, "{space}{action}")?;
            space = " ";
        }
        Ok(())
    }
}

impl fmt::Display for ChainKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ChainKind {
    /// The name that the kernel knows the type by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

impl Priority {
    /// The number behind the name.
    pub(super) fn value(self) -> i32 {
        match self {
            Self::Raw => -300,
            Self::Mangle => -150,
            Self::DestinationNat => -100,
            Self::Filter => 0,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw => f.write_str("raw"),
            Self::Mangle => f.write_str("mangle"),
            // nft has no name for it at the output hook.
            Self::DestinationNat => self.value().fmt(f),
            Self::Filter => f.write_str("filter"),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
        })
    }
}

impl Mark {
    /// The number behind the name.
    pub(super) fn value(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.value())
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToLoopbackV4 => f.write_str("ip daddr 127.0.0.0/8"),
            Self::To(IpAddr::V4(address)) => write!(f, "ip daddr {address}"),
            Self::To(IpAddr::V6(address)) => write!(f, "ip6 daddr {address}"),
            Self::From(IpAddr::V4(address)) => write!(f, "ip saddr {address}"),
            Self::From(IpAddr::V6(address)) => write!(f, "ip6 saddr {address}"),
            Self::Transport(transport) => write!(f, "meta l4proto {transport}"),
            Self::SourcePort(transport, port) => write!(f, "{transport} sport {port}"),
            Self::DestinationPort(transport, port) => write!(f, "{transport} dport {port}"),
            Self::Opened => f.write_str("tcp flags != syn / fin,syn,rst,ack"),
            Self::Marked(mark) => write!(f, "meta mark {mark}"),
            Self::Redirected => f.write_str("ct status dnat"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Untrack => f.write_str("notrack"),
            Self::RedirectTo(port) => write!(f, "redirect to :{port}"),
            Self::SteerTo(port) => write!(f, "tproxy to :{port}"),
            Self::SetMark(mark) => write!(f, "meta mark set {mark}"),
            Self::Within(Rate { per_second, burst }) => {
                write!(f, "limit rate {per_second}/second burst {burst} packets")
            }
            Self::Above(Rate { per_second, burst }) => {
                write!(
                    f,
                    "limit rate over {per_second}/second burst {burst} packets"
                )
            }
            Self::Log { group, bytes } => write!(f, "log group {group} snaplen {bytes}"),
            Self::Reject(rejection) => rejection.fmt(f),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpReset => "reject with tcp reset",
            // Port unreachable is what nft means by "reject" alone.
            Self::PortUnreachable => "reject",
            Self::AdministrativelyProhibited => "reject with icmpx admin-prohibited",
        })
    }
}
