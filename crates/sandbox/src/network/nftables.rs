//! The rules as nf_tables messages (linux/netfilter/nf_tables.h): one batch, which the kernel takes as a whole or not at all.

use std::net::IpAddr;

use rustix::net::netlink;

use super::netlink::{Batch, Netlink, Refusal};
use super::ruleset::{
    Action, Chain, ChainKind, Condition, Hook, Mark, Policy, Rejection, Rule, Ruleset, TABLE,
    Transport,
};
use super::{NetworkError, NftablesStep, Rate};

/// Attribute numbers, by the names in linux/netfilter/nf_tables.h.
mod attribute {
    pub(super) const LIST_ELEM: u16 = 1;
    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_POLICY: u16 = 5;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_HOOKNUM: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const EXPR_NAME: u16 = 1;
    pub(super) const EXPR_DATA: u16 = 2;
    pub(super) const DATA_VALUE: u16 = 1;
    pub(super) const DATA_VERDICT: u16 = 2;
    pub(super) const VERDICT_CODE: u16 = 1;
    pub(super) const META_DREG: u16 = 1;
    pub(super) const META_KEY: u16 = 2;
    pub(super) const META_SREG: u16 = 3;
    pub(super) const CT_DREG: u16 = 1;
    pub(super) const CT_KEY: u16 = 2;
    pub(super) const PAYLOAD_DREG: u16 = 1;
    pub(super) const PAYLOAD_BASE: u16 = 2;
    pub(super) const PAYLOAD_OFFSET: u16 = 3;
    pub(super) const PAYLOAD_LEN: u16 = 4;
    pub(super) const CMP_SREG: u16 = 1;
    pub(super) const CMP_OP: u16 = 2;
    pub(super) const CMP_DATA: u16 = 3;
    pub(super) const BITWISE_SREG: u16 = 1;
    pub(super) const BITWISE_DREG: u16 = 2;
    pub(super) const BITWISE_LEN: u16 = 3;
    pub(super) const BITWISE_MASK: u16 = 4;
    pub(super) const BITWISE_XOR: u16 = 5;
    pub(super) const IMMEDIATE_DREG: u16 = 1;
    pub(super) const IMMEDIATE_DATA: u16 = 2;
    pub(super) const REDIR_REG_PROTO_MIN: u16 = 1;
    pub(super) const TPROXY_FAMILY: u16 = 1;
    pub(super) const TPROXY_REG_PORT: u16 = 3;
    pub(super) const LIMIT_RATE: u16 = 1;
    pub(super) const LIMIT_UNIT: u16 = 2;
    pub(super) const LIMIT_BURST: u16 = 3;
    pub(super) const LIMIT_TYPE: u16 = 4;
    pub(super) const LIMIT_FLAGS: u16 = 5;
    pub(super) const LOG_GROUP: u16 = 1;
    pub(super) const LOG_SNAPLEN: u16 = 3;
    pub(super) const REJECT_TYPE: u16 = 1;
    pub(super) const REJECT_ICMP_CODE: u16 = 2;
}

/// IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h: the destination of this flow was rewritten.
const DESTINATION_REWRITTEN: u32 = 1 << 5;
/// Offset and bits of the TCP flags (RFC 9293 section 3.1).
const TCP_FLAGS: i32 = 13;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
/// The register that every expression here works with.
const REGISTER: libc::c_int = libc::NFT_REG_1;

/// Installs `ruleset` as one transaction.
pub(super) fn install(ruleset: &Ruleset) -> Result<(), NetworkError> {
    let failed = |errno| NetworkError::Netlink {
        protocol: "NETLINK_NETFILTER",
        errno,
    };
    let (batch, steps, last) = encode(ruleset);
    let socket = Netlink::open(Some(netlink::NETFILTER)).map_err(failed)?;
    socket
        .exchange(&batch, last)
        .map_err(|Refusal { message, errno }| match message {
            Some(number) => {
                let step = steps
                    .get(number as usize)
                    .copied()
                    .unwrap_or(NftablesStep::Commit);
                NetworkError::Nftables { step, errno }
            }
            None => failed(errno),
        })
}

/// The whole batch, what each message in it is for, and the number of the message that is acknowledged.
fn encode(ruleset: &Ruleset) -> (Batch, Vec<NftablesStep>, u32) {
    let mut batch = Batch::default();
    let mut steps = vec![NftablesStep::Commit, NftablesStep::Table];
    bracket(&mut batch, libc::NFNL_MSG_BATCH_BEGIN);
    message(
        &mut batch,
        libc::NFT_MSG_NEWTABLE,
        libc::NLM_F_CREATE | libc::NLM_F_EXCL,
    );
    batch.text(attribute::TABLE_NAME, TABLE);
    for chain in &ruleset.chains {
        steps.push(match chain.kind {
            ChainKind::Filter => NftablesStep::FilterChain,
            ChainKind::Nat => NftablesStep::NatChain,
        });
        encode_chain(&mut batch, chain);
    }
    let mut last = 0;
    let rules: Vec<_> = ruleset
        .chains
        .iter()
        .flat_map(|chain| chain.rules.iter().map(|rule| (chain.name, rule)))
        .collect();
    for (index, (chain, rule)) in rules.iter().enumerate() {
        steps.push(step_of(rule));
        let acknowledge = if index + 1 == rules.len() {
            libc::NLM_F_ACK
        } else {
            0
        };
        last = encode_rule(&mut batch, chain, rule, acknowledge);
    }
    bracket(&mut batch, libc::NFNL_MSG_BATCH_END);
    (batch, steps, last)
}

/// The rarest feature that a rule needs.
fn step_of(rule: &Rule) -> NftablesStep {
    rule.then
        .iter()
        .fold(NftablesStep::Accept, |step, action| match action {
            Action::Accept | Action::Drop | Action::SetMark(_) => step,
            Action::Untrack => NftablesStep::Untrack,
            Action::RedirectTo(_) => NftablesStep::Redirect,
            Action::SteerTo(_) => NftablesStep::Steer,
            Action::Within(_) | Action::Above(_) => NftablesStep::Limit,
            Action::Log { .. } => NftablesStep::Log,
            Action::Reject(_) => NftablesStep::Reject,
        })
}

/// The beginning or the end of a transaction; the resource id (big endian) says whose.
fn bracket(batch: &mut Batch, kind: libc::c_int) {
    let subsystem = (libc::NFNL_SUBSYS_NFTABLES as u16).to_be_bytes();
    batch.message(
        kind as u16,
        0,
        &[
            &[libc::AF_UNSPEC as u8, libc::NFNETLINK_V0 as u8],
            &subsystem,
        ],
    );
}

fn message(batch: &mut Batch, kind: libc::c_int, flags: libc::c_int) -> u32 {
    let kind = (libc::NFNL_SUBSYS_NFTABLES << 8 | kind) as u16;
    // struct nfgenmsg: family, version, resource id.
    batch.message(
        kind,
        flags,
        &[&[libc::NFPROTO_INET as u8, libc::NFNETLINK_V0 as u8, 0, 0]],
    )
}

fn encode_chain(batch: &mut Batch, chain: &Chain) {
    message(batch, libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE);
    batch.text(attribute::CHAIN_TABLE, TABLE);
    batch.text(attribute::CHAIN_NAME, chain.name);
    batch.nest(attribute::CHAIN_HOOK, |hook| {
        number(
            hook,
            attribute::HOOK_HOOKNUM,
            match chain.hook {
                Hook::Prerouting => libc::NF_INET_PRE_ROUTING,
                Hook::Input => libc::NF_INET_LOCAL_IN,
                Hook::Output => libc::NF_INET_LOCAL_OUT,
            },
        );
        number(hook, attribute::HOOK_PRIORITY, chain.priority.value());
    });
    number(
        batch,
        attribute::CHAIN_POLICY,
        match chain.policy {
            Policy::Accept => libc::NF_ACCEPT,
            Policy::Drop => libc::NF_DROP,
        },
    );
    batch.text(attribute::CHAIN_TYPE, chain.kind.name());
}

fn encode_rule(batch: &mut Batch, chain: &str, rule: &Rule, acknowledge: libc::c_int) -> u32 {
    let number = message(
        batch,
        libc::NFT_MSG_NEWRULE,
        libc::NLM_F_CREATE | libc::NLM_F_APPEND | acknowledge,
    );
    batch.text(attribute::RULE_TABLE, TABLE);
    batch.text(attribute::RULE_CHAIN, chain);
    batch.nest(attribute::RULE_EXPRESSIONS, |batch| {
        for condition in &rule.when {
            encode_condition(batch, *condition);
        }
        for action in &rule.then {
            encode_action(batch, *action);
        }
    });
    number
}

fn encode_condition(batch: &mut Batch, condition: Condition) {
    match condition {
        Condition::ToLoopbackV4 => {
            meta_equals(batch, libc::NFT_META_NFPROTO, libc::NFPROTO_IPV4 as u8);
            // The first byte of the destination is the prefix of eight bits.
            payload_equals(batch, libc::NFT_PAYLOAD_NETWORK_HEADER, 16, &[127]);
        }
        Condition::To(address) => address_equals(batch, address, [16, 24]),
        Condition::From(address) => address_equals(batch, address, [12, 8]),
        Condition::Transport(transport) => is_transport(batch, transport),
        Condition::SourcePort(transport, port) => {
            is_transport(batch, transport);
            payload_equals(
                batch,
                libc::NFT_PAYLOAD_TRANSPORT_HEADER,
                0,
                &port.to_be_bytes(),
            );
        }
        Condition::DestinationPort(transport, port) => {
            is_transport(batch, transport);
            payload_equals(
                batch,
                libc::NFT_PAYLOAD_TRANSPORT_HEADER,
                2,
                &port.to_be_bytes(),
            );
        }
        Condition::Opened => is_opened(batch),
        Condition::Marked(mark) => {
            meta(batch, libc::NFT_META_MARK);
            compare(batch, libc::NFT_CMP_EQ, &mark.value().to_ne_bytes());
        }
        Condition::Redirected => is_redirected(batch),
    }
}

/// The address at one of these offsets in the header of its family (RFC 791 section 3.1, RFC 8200 section 3).
fn address_equals(batch: &mut Batch, address: IpAddr, [v4, v6]: [i32; 2]) {
    let (family, offset, octets) = match address {
        IpAddr::V4(address) => (libc::NFPROTO_IPV4, v4, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::NFPROTO_IPV6, v6, address.octets().to_vec()),
    };
    meta_equals(batch, libc::NFT_META_NFPROTO, family as u8);
    payload_equals(batch, libc::NFT_PAYLOAD_NETWORK_HEADER, offset, &octets);
}

fn is_transport(batch: &mut Batch, transport: Transport) {
    let protocol = match transport {
        Transport::Tcp => libc::IPPROTO_TCP,
        Transport::Udp => libc::IPPROTO_UDP,
    };
    meta_equals(batch, libc::NFT_META_L4PROTO, protocol as u8);
}

/// `ct status & IPS_DST_NAT != 0`.
fn is_redirected(batch: &mut Batch) {
    expression(batch, "ct", |ct| {
        number(ct, attribute::CT_DREG, REGISTER);
        number(ct, attribute::CT_KEY, libc::NFT_CT_STATUS);
    });
    mask(batch, &DESTINATION_REWRITTEN.to_ne_bytes());
    compare(batch, libc::NFT_CMP_NEQ, &[0; 4]);
}

/// `flags & (FIN | SYN | RST | ACK) != SYN`.
fn is_opened(batch: &mut Batch) {
    is_transport(batch, Transport::Tcp);
    payload(batch, libc::NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS, 1);
    mask(batch, &[FIN | SYN | RST | ACK]);
    compare(batch, libc::NFT_CMP_NEQ, &[SYN]);
}

fn meta_equals(batch: &mut Batch, key: libc::c_int, value: u8) {
    meta(batch, key);
    compare(batch, libc::NFT_CMP_EQ, &[value]);
}

fn meta(batch: &mut Batch, key: libc::c_int) {
    expression(batch, "meta", |meta| {
        number(meta, attribute::META_DREG, REGISTER);
        number(meta, attribute::META_KEY, key);
    });
}

fn payload_equals(batch: &mut Batch, base: libc::c_int, offset: i32, value: &[u8]) {
    payload(batch, base, offset, value.len());
    compare(batch, libc::NFT_CMP_EQ, value);
}

fn payload(batch: &mut Batch, base: libc::c_int, offset: i32, length: usize) {
    expression(batch, "payload", |payload| {
        number(payload, attribute::PAYLOAD_DREG, REGISTER);
        number(payload, attribute::PAYLOAD_BASE, base);
        number(payload, attribute::PAYLOAD_OFFSET, offset);
        number(payload, attribute::PAYLOAD_LEN, length as i32);
    });
}

fn mask(batch: &mut Batch, bits: &[u8]) {
    expression(batch, "bitwise", |bitwise| {
        number(bitwise, attribute::BITWISE_SREG, REGISTER);
        number(bitwise, attribute::BITWISE_DREG, REGISTER);
        number(bitwise, attribute::BITWISE_LEN, bits.len() as i32);
        bitwise.nest(attribute::BITWISE_MASK, |data| {
            data.attribute(attribute::DATA_VALUE, bits);
        });
        bitwise.nest(attribute::BITWISE_XOR, |data| {
            data.attribute(attribute::DATA_VALUE, &vec![0; bits.len()]);
        });
    });
}

fn compare(batch: &mut Batch, operator: libc::c_int, value: &[u8]) {
    expression(batch, "cmp", |cmp| {
        number(cmp, attribute::CMP_SREG, REGISTER);
        number(cmp, attribute::CMP_OP, operator);
        cmp.nest(attribute::CMP_DATA, |data| {
            data.attribute(attribute::DATA_VALUE, value);
        });
    });
}

fn encode_action(batch: &mut Batch, action: Action) {
    match action {
        Action::Accept => verdict(batch, libc::NF_ACCEPT),
        Action::Drop => verdict(batch, libc::NF_DROP),
        Action::Untrack => expression(batch, "notrack", |_| {}),
        Action::RedirectTo(port) => redirect(batch, port),
        Action::SteerTo(port) => steer(batch, port),
        Action::SetMark(mark) => set_mark(batch, mark),
        Action::Within(rate) => limit(batch, rate, 0),
        Action::Above(rate) => limit(batch, rate, libc::NFT_LIMIT_F_INV),
        Action::Log { group, bytes } => expression(batch, "log", |log| {
            log.attribute(attribute::LOG_GROUP, &group.to_be_bytes());
            log.attribute(attribute::LOG_SNAPLEN, &bytes.to_be_bytes());
        }),
        Action::Reject(rejection) => reject(batch, rejection),
    }
}

fn verdict(batch: &mut Batch, code: libc::c_int) {
    expression(batch, "immediate", |immediate| {
        number(immediate, attribute::IMMEDIATE_DREG, libc::NFT_REG_VERDICT);
        immediate.nest(attribute::IMMEDIATE_DATA, |data| {
            data.nest(attribute::DATA_VERDICT, |verdict| {
                number(verdict, attribute::VERDICT_CODE, code);
            });
        });
    });
}

fn redirect(batch: &mut Batch, port: u16) {
    immediate(batch, &port.to_be_bytes());
    expression(batch, "redir", |redir| {
        number(redir, attribute::REDIR_REG_PROTO_MIN, REGISTER);
    });
}

/// Both families: without an address the kernel asks for the listener at the device's own.
fn steer(batch: &mut Batch, port: u16) {
    immediate(batch, &port.to_be_bytes());
    expression(batch, "tproxy", |tproxy| {
        number(tproxy, attribute::TPROXY_FAMILY, libc::NFPROTO_UNSPEC);
        number(tproxy, attribute::TPROXY_REG_PORT, REGISTER);
    });
}

fn set_mark(batch: &mut Batch, mark: Mark) {
    immediate(batch, &mark.value().to_ne_bytes());
    expression(batch, "meta", |meta| {
        number(meta, attribute::META_KEY, libc::NFT_META_MARK);
        number(meta, attribute::META_SREG, REGISTER);
    });
}

fn immediate(batch: &mut Batch, value: &[u8]) {
    expression(batch, "immediate", |immediate| {
        number(immediate, attribute::IMMEDIATE_DREG, REGISTER);
        immediate.nest(attribute::IMMEDIATE_DATA, |data| {
            data.attribute(attribute::DATA_VALUE, value);
        });
    });
}

fn limit(batch: &mut Batch, rate: Rate, flags: libc::c_int) {
    expression(batch, "limit", |limit| {
        limit.attribute(
            attribute::LIMIT_RATE,
            &u64::from(rate.per_second).to_be_bytes(),
        );
        limit.attribute(attribute::LIMIT_UNIT, &1u64.to_be_bytes());
        limit.attribute(attribute::LIMIT_BURST, &rate.burst.to_be_bytes());
        number(limit, attribute::LIMIT_TYPE, libc::NFT_LIMIT_PKTS);
        number(limit, attribute::LIMIT_FLAGS, flags);
    });
}

fn reject(batch: &mut Batch, rejection: Rejection) {
    let (kind, code) = match rejection {
        Rejection::TcpReset => (libc::NFT_REJECT_TCP_RST, None),
        Rejection::PortUnreachable => (
            libc::NFT_REJECT_ICMPX_UNREACH,
            Some(libc::NFT_REJECT_ICMPX_PORT_UNREACH),
        ),
        Rejection::AdministrativelyProhibited => (
            libc::NFT_REJECT_ICMPX_UNREACH,
            Some(libc::NFT_REJECT_ICMPX_ADMIN_PROHIBITED),
        ),
    };
    expression(batch, "reject", |reject| {
        number(reject, attribute::REJECT_TYPE, kind);
        if let Some(code) = code {
            reject.attribute(attribute::REJECT_ICMP_CODE, &[code as u8]);
        }
    });
}

fn expression(batch: &mut Batch, name: &str, data: impl FnOnce(&mut Batch)) {
    batch.nest(attribute::LIST_ELEM, |element| {
        element.text(attribute::EXPR_NAME, name);
        element.nest(attribute::EXPR_DATA, data);
    });
}

/// A 32-bit number in network byte order, which nf_tables uses for all of its own.
fn number(batch: &mut Batch, kind: u16, value: i32) {
    batch.attribute(kind, &value.to_be_bytes());
}
