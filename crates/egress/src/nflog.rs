//! The messages of the kernel's packet log, as far as they say where a datagram was meant to go
//! (linux/netfilter/nfnetlink_log.h, netlink(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET`.
const PACKET: u16 = 4 << 8;
/// The attribute that holds the packet, from its IP header on.
const PAYLOAD: u16 = 9;
/// Length, type, flags, sequence number and port of a netlink message.
const MESSAGE_HEADER: usize = 16;
/// Family, version and resource of a netfilter message.
const NETFILTER_HEADER: usize = 4;
/// Length and type of an attribute.
const ATTRIBUTE_HEADER: usize = 4;
/// Protocol number of UDP.
const UDP: u8 = 17;

/// The destinations of the UDP datagrams in one batch. What is not understood is left out.
pub(crate) fn destinations(batch: &[u8]) -> impl Iterator<Item = SocketAddr> {
    records(batch, MESSAGE_HEADER, 4)
        .filter(|(kind, _)| *kind == PACKET)
        .filter_map(|(_, message)| message.get(NETFILTER_HEADER..))
        .filter_map(|attributes| {
            // The two highest bits of an attribute's type are flags.
            let mut attributes = records(attributes, ATTRIBUTE_HEADER, 2);
            attributes
                .find(|(kind, _)| kind & 0x3fff == PAYLOAD)
                .and_then(|(_, packet)| destination(packet))
        })
}

/// Length-prefixed records, each padded to four bytes: netlink messages, whose length has 4 bytes, and attributes, whose
/// length has 2. The type follows the length.
fn records(bytes: &[u8], header: usize, length_bytes: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let number16 = |at: usize| Some(u16::from_ne_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
        let number32 = |at: usize| Some(u32::from_ne_bytes(*rest.get(at..)?.first_chunk()?));
        let length = if length_bytes == 4 {
            usize::try_from(number32(0)?).ok()?
        } else {
            usize::from(number16(0)?)
        };
        let kind = number16(length_bytes)?;
        let body = rest.get(header..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Address and port of a datagram. Fragments after the first have no port, and were refused with the first.
fn destination(packet: &[u8]) -> Option<SocketAddr> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 15) * 4;
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff;
            let address = Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?);
            let is_first_udp = *packet.get(9)? == UDP && fragment == 0;
            if is_first_udp {
                with_port(address.into(), packet.get(header..)?)
            } else {
                None
            }
        }
        6 => {
            let address = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
            with_port(
                IpAddr::V6(address).to_canonical(),
                udp_header(*packet.get(6)?, packet.get(40..)?)?,
            )
        }
        _ => None,
    }
}

fn with_port(address: IpAddr, udp: &[u8]) -> Option<SocketAddr> {
    Some(SocketAddr::new(
        address,
        u16::from_be_bytes([*udp.get(2)?, *udp.get(3)?]),
    ))
}

/// Steps over IPv6 extension headers (RFC 8200 section 4).
fn udp_header(mut kind: u8, mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let length = match kind {
            UDP => return Some(rest),
            0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
            44 if u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) & 0xfff8 == 0 => 8,
            _ => return None,
        };
        kind = *rest.first()?;
        rest = rest.get(length..)?;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len() + 4).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), data].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(attributes: &[u8]) -> Vec<u8> {
        let body = [&[2, 0, 0, 7][..], attributes].concat();
        let length = u32::try_from(body.len() + 16).unwrap();
        [
            &length.to_ne_bytes()[..],
            &PACKET.to_ne_bytes(),
            &[0; 10],
            &body,
        ]
        .concat()
    }

    fn v4(address: [u8; 4], port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1];
        packet.extend(address);
        packet.extend([0x30, 0x39]);
        packet.extend(port.to_be_bytes());
        packet.extend([0, 8, 0, 0]);
        packet
    }

    fn v6(next: &[u8], port: u16) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next[0], 64];
        packet.extend([0; 16]);
        packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        packet.extend(&next[1..]);
        packet.extend([0x30, 0x39]);
        packet.extend(port.to_be_bytes());
        packet
    }

    fn check(batch: &[u8], expected: &[&str]) {
        let found: Vec<String> = destinations(batch)
            .map(|address| address.to_string())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_destination_of_each_datagram_in_a_batch_is_found() {
        let one = message(
            &[
                attribute(1, &[0; 4]),
                attribute(10, b"prefix\0"),
                attribute(9, &v4([8, 8, 8, 8], 443)),
            ]
            .concat(),
        );
        let two = message(&attribute(9, &v6(&[17], 5353)));
        check(&[one, two].concat(), &["8.8.8.8:443", "[2001:db8::9]:5353"]);
        check(
            &message(&attribute(9, &v6(&[0, 17, 0, 0, 0, 0, 0, 0, 0], 1))),
            &["[2001:db8::9]:1"],
        );
    }

    #[test]
    fn what_is_no_datagram_is_left_out() {
        let mut tcp = v4([8, 8, 8, 8], 1);
        tcp[9] = 6;
        check(&message(&attribute(9, &tcp)), &[]);
        let mut fragment = v4([8, 8, 8, 8], 1);
        fragment[7] = 1;
        check(&message(&attribute(9, &fragment)), &[]);
        let whole = message(&attribute(9, &v4([8, 8, 8, 8], 1)));
        for end in 0..whole.len() {
            check(&whole[..end], &[]);
        }
        check(&[0; 64], &[]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_it_ends(bytes: Vec<u8>) {
            destinations(&bytes).for_each(drop);
            destinations(&message(&attribute(9, &bytes))).for_each(drop);
        }
    }
}
