//! Addresses inside addresses: the IPv4 destinations that an IPv6 address may stand for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and those that a translator or tunnel may make of it. Each one is checked as if it were dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forms {
    addresses: [IpAddr; MOST],
    count: usize,
}

/// Itself, and at most two more: Teredo and local-use NAT64 each hold two.
const MOST: usize = 3;

impl Forms {
    /// IPv4-mapped addresses (RFC 4291) become the IPv4 address, for the kernel dials just that. Besides the address itself,
    /// there is the IPv4 address within an IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765), NAT64 (RFC 6052, 8215), 6to4
    /// (RFC 3056) or Teredo (RFC 4380: server and client) address.
    pub(crate) fn of(address: IpAddr) -> Self {
        let outer = address.to_canonical();
        let mut forms = Self {
            addresses: [outer; MOST],
            count: 1,
        };
        if let IpAddr::V6(outer) = outer {
            forms.unwrap(outer);
        }
        forms
    }

    /// The address that is dialled first, then what lies in it.
    pub(crate) fn as_slice(&self) -> &[IpAddr] {
        &self.addresses[..self.count]
    }

    fn unwrap(&mut self, outer: Ipv6Addr) {
        let bits = outer.to_bits();
        match outer.segments() {
            // `::` and `::1` lie here too: 0.0.0.0 and 0.0.0.1, of the floor like themselves.
            [0, 0, 0, 0, 0, 0, _, _]
            | [0, 0, 0, 0, 0xffff, 0, _, _]
            | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => self.push(bits as u32),
            [0x64, 0xff9b, 1, ..] => {
                // The prefix that is translated may be this /48 (bits 64 to 71 are then left out) or a /96 within it.
                self.push(((bits >> 64) as u32 & 0xffff) << 16 | (bits >> 40) as u32 & 0xffff);
                self.push(bits as u32);
            }
            [0x2002, ..] => self.push((bits >> 80) as u32),
            [0x2001, 0, ..] => {
                self.push((bits >> 64) as u32);
                self.push(!(bits as u32));
            }
            _ => {}
        }
    }

    fn push(&mut self, inner: u32) {
        self.addresses[self.count] = Ipv4Addr::from_bits(inner).into();
        self.count += 1;
    }
}
